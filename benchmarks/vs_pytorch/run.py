#!/usr/bin/env python3
"""The same BERT-base training step in PyTorch and in Weft, in one run: run.py [OPTIONS]

A step: B 8, T 128, MLM over 15% of the places, dropout 0.1, gradients clipped to 1.0, AdamW; all cores. PyTorch runs
eagerly and compiled, and the better median counts. The sides are separate processes that wait without using a core;
rounds alternate between them, so that a slow moment of the machine meets all. Prints medians, spread, ratio and peak
memory, and writes them as JSON. Needs Python with PyTorch (pip install torch) and
  cmake --preset cpu -DWEFT_BUILD_BENCHMARKS=ON && cmake --build --preset cpu
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))


class Worker:
    """A process that runs training steps when told to."""

    def __init__(self, name, command, environment):
        self.name = name
        self.seconds, self.losses, self.peak_rss = [], [], 0
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, **environment}
        )
        self.about = self.answer()

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"error: {self.name} ended with status {self.process.wait()}")
        return json.loads(line)

    def run(self, steps):
        self.process.stdin.write(f"{steps}\n")
        self.process.stdin.flush()
        result = self.answer()
        self.seconds += result["seconds"]
        self.losses.append(result["loss"])

    def finish(self):
        self.process.stdin.close()
        self.peak_rss = self.answer()["peak_rss"]
        self.process.wait()

    def summary(self):
        ordered = sorted(self.seconds)
        quarter = len(ordered) // 4
        return {
            "name": self.name,
            "about": self.about["ready"],
            "median_s": statistics.median(ordered),
            "quartiles_s": [ordered[quarter], ordered[-1 - quarter]],
            "best_s": ordered[0],
            "seconds": self.seconds,
            "first_loss": self.about["loss"],
            "last_loss": self.losses[-1],
            "peak_rss": self.peak_rss,
        }


def start_workers(options, precision):
    shape = ["--precision", precision, "--threads", str(options.threads), "--batch", str(options.batch)]
    shape += ["--length", str(options.length), "--masked", str(options.masked), "--layers", str(options.layers)]
    threads = str(options.threads)
    environment = {"OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads, "OMP_WAIT_POLICY": "passive"}
    torch_command = [options.python, os.path.join(HERE, "torch_worker.py"), *shape]
    print(f"{precision}: starting and warming up Weft, PyTorch eager, PyTorch compiled ...", file=sys.stderr)
    workers = [
        Worker("weft", [options.weft, *shape], environment),
        Worker("pytorch eager", torch_command, environment),
    ]
    if not options.no_compile:
        workers.append(Worker("pytorch compiled", [*torch_command, "--compile"], environment))
    return workers


def compare(options, precision):
    workers = start_workers(options, precision)
    counts = {w.about["parameters"] for w in workers}
    if len(counts) != 1:
        sys.exit(f"error: the models differ: {counts} parameters")
    for number in range(options.rounds):
        for worker in workers[number % len(workers) :] + workers[: number % len(workers)]:
            worker.run(options.steps)
        medians = ", ".join(f"{w.name} {statistics.median(w.seconds):.3f} s" for w in workers)
        print(f"{precision}: round {number + 1} of {options.rounds}: {medians}", file=sys.stderr)
    for worker in workers:
        worker.finish()
    sides = [w.summary() for w in workers]
    losses = [s["last_loss"] for s in sides]
    if max(losses) - min(losses) > 0.3:  # random words: all stay near log(vocabulary)
        sys.exit(f"error: the sides do not train the same: their losses are {losses}")
    weft, torch = sides[0], min(sides[1:], key=lambda s: s["median_s"])
    least_torch_memory = min(s["peak_rss"] for s in sides[1:])
    return {
        "precision": precision,
        "parameters": counts.pop(),
        "sides": sides,
        "best_pytorch": torch["name"],
        "speed_ratio": torch["median_s"] / weft["median_s"],
        "memory_ratio": weft["peak_rss"] / least_torch_memory,
    }


def table(results, batch):
    lines = ["| precision | side | median s/step | quartiles | sequences/s | peak memory | loss |", "|---|---|---|---|---|---|---|"]
    for result in results:
        for side in result["sides"]:
            low, high = side["quartiles_s"]
            lines.append(
                f"| {result['precision']} | {side['name']} | {side['median_s']:.3f} | {low:.3f} - {high:.3f} "
                f"| {batch / side['median_s']:.2f} | {side['peak_rss'] / 2**30:.2f} GiB "
                f"| {side['first_loss']:.3f} -> {side['last_loss']:.3f} |"
            )
    for result in results:
        lines.append("")
        lines.append(
            f"{result['precision']}: Weft is {result['speed_ratio']:.2f} times as fast as {result['best_pytorch']}, with "
            f"{result['memory_ratio']:.2f} of the memory of the more frugal PyTorch."
        )
    return "\n".join(lines)


def processor():
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        for line in file:
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return "unknown"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weft", default=os.path.join(ROOT, "build/cpu/bin/bert_step"), help="the Weft side")
    parser.add_argument("--python", default=sys.executable, help="a Python that has PyTorch")
    parser.add_argument("--precision", choices=["fp32", "bf16", "both"], default="both")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--steps", type=int, default=2, help="steps of each side in a round")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--length", type=int, default=128)
    parser.add_argument("--masked", type=int, default=154, help="masked places of a batch")
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--no-compile", action="store_true", help="leave out torch.compile")
    parser.add_argument("--output", default=os.path.join(ROOT, "build/vs_pytorch.json"), help="the numbers as JSON")
    options = parser.parse_args()
    if not os.access(options.weft, os.X_OK):
        sys.exit(f"error: no {options.weft}: cmake --preset cpu -DWEFT_BUILD_BENCHMARKS=ON && cmake --build --preset cpu")

    precisions = ["fp32", "bf16"] if options.precision == "both" else [options.precision]
    results = [compare(options, precision) for precision in precisions]
    settings = {k: getattr(options, k) for k in ("batch", "length", "masked", "layers", "threads", "rounds", "steps")}
    about = {"processor": processor(), "time": time.strftime("%Y-%m-%d %H:%M"), **settings}
    with open(options.output, "w", encoding="utf-8") as file:
        json.dump({**about, "results": results}, file, indent=1)
    print(f"{about['processor']}, {options.threads} threads; B {options.batch}, T {options.length}\n")
    print(table(results, options.batch))


if __name__ == "__main__":
    main()
