#!/usr/bin/env python3
"""The same training step in PyTorch and in Weft, in one run: run.py [OPTIONS]

A step: forward, backward, gradients clipped to 1.0, AdamW. BERT: MLM over 15% of the places, dropout 0.1; GPT-2: causal,
loss over all places, no dropout. PyTorch runs eagerly and compiled, with scaled_dot_product_attention and fused AdamW,
and the better median counts. The sides are separate processes that wait without using a core; rounds alternate between
them, so that a slow moment of the machine meets all. Prints medians, spread, ratio and peak memory, and writes them as
JSON. Needs Python with PyTorch (pip install torch) and
  cmake --preset cpu -DWEFT_BUILD_BENCHMARKS=ON && cmake --build --preset cpu
(the preset cuda for --device cuda).
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
sys.path.append(os.path.dirname(HERE))

from cores import cores  # noqa: E402 (its folder is known from here on)
from whole_numbers import at_least  # noqa: E402

SHAPES = {  # hidden, layers, vocabulary of the logits
    "bert-base": (768, 12, 30522),
    "bert-large": (1024, 24, 30522),
    "gpt2-124m": (768, 12, 50304),
}


class Worker:
    """A process that runs training steps when told to."""

    def __init__(self, name, command, environment):
        self.name = name
        self.seconds, self.losses, self.peak_memory = [], [], 0
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
        self.peak_memory = self.answer()["peak_memory"]
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
            "peak_memory": self.peak_memory,
        }


def flops_of_step(options):
    """Multiply-adds times two of forward and backward: 6 for each weight of a product and token, and attention's two
    products, of which a causal mask leaves half."""
    hidden, layers, vocabulary = SHAPES[options.model]
    layers = options.layers or layers
    tokens = options.batch * options.length
    causal = options.model.startswith("gpt2")
    attention = 12 * hidden * options.length * (0.5 if causal else 1)
    body = tokens * layers * (6 * 12 * hidden**2 + attention)
    head = 6 * tokens * hidden * vocabulary if causal else 6 * options.masked * (hidden**2 + hidden * vocabulary)
    return body + head


def start_workers(options, precision):
    shape = ["--model", options.model, "--device", options.device, "--precision", precision]
    for name in ("batch", "length", "masked", "layers", "threads"):
        shape += [f"--{name}", str(getattr(options, name))]
    threads = str(options.threads)
    environment = {"OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads, "OMP_WAIT_POLICY": "passive"}
    torch_command = [options.python, os.path.join(HERE, "torch_worker.py"), *shape]
    compiled = "" if options.no_compile else ", PyTorch compiled"
    print(f"{precision}: starting and warming up Weft, PyTorch eager{compiled} ...", file=sys.stderr)
    workers = [Worker("weft", [options.weft, *shape], environment)]
    if options.device == "cuda":
        workers.append(Worker("weft as a graph", [options.weft, *shape, "--graph", "on"], environment))
    workers.append(Worker("pytorch eager", torch_command, environment))
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
    own = [s for s in sides if s["name"].startswith("weft")]
    others = [s for s in sides if s not in own]
    weft, torch = (min(group, key=lambda s: s["median_s"]) for group in (own, others))
    least_torch_memory = min(s["peak_memory"] for s in others)
    return {
        "precision": precision,
        "parameters": counts.pop(),
        "device": workers[0].about["device"],
        "peak_flops": 1e12 * options.peak_tflops or workers[0].about.get("peak_flops", 0),
        "sides": sides,
        "best_weft": weft["name"],
        "best_pytorch": torch["name"],
        "speed_ratio": torch["median_s"] / weft["median_s"],
        "memory_ratio": weft["peak_memory"] / least_torch_memory,
    }


def table(results, options):
    lines = [
        "| model | precision | side | median s/step | quartiles | sequences/s | tokens/s | MFU | peak memory | loss |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for result in results:
        peak = result["peak_flops"]
        for side in result["sides"]:
            low, high = side["quartiles_s"]
            rate = options.batch / side["median_s"]
            mfu = f"{100 * flops_of_step(options) / side['median_s'] / peak:.1f}%" if peak else "-"
            lines.append(
                f"| {options.model} {options.batch} x {options.length} | {result['precision']} | {side['name']} "
                f"| {side['median_s']:.4f} | {low:.4f} - {high:.4f} | {rate:.2f} | {rate * options.length:.0f} | {mfu} "
                f"| {side['peak_memory'] / 2**30:.2f} GiB | {side['first_loss']:.3f} -> {side['last_loss']:.3f} |"
            )
    for result in results:
        lines.append("")
        lines.append(
            f"{options.model}, {result['precision']}: {result['best_weft']} is {result['speed_ratio']:.2f} times as fast as "
            f"{result['best_pytorch']}, with {result['memory_ratio']:.2f} of the memory of the more frugal PyTorch."
        )
    return "\n".join(lines)


def processor():
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        for line in file:
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return "unknown"


def has_torch(python):
    find = "import importlib.util, sys; sys.exit(importlib.util.find_spec('torch') is None)"
    try:
        return subprocess.run([python, "-c", find], stderr=subprocess.DEVNULL, check=False).returncode == 0
    except OSError:
        return False


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=list(SHAPES), default="bert-base")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--weft", help="the Weft side (build/DEVICE/bin/training_step)")
    parser.add_argument("--python", default=sys.executable, help="a Python that has PyTorch")
    parser.add_argument("--precision", choices=["fp32", "bf16", "both"], default="both")
    parser.add_argument("--rounds", type=at_least(1), default=9)
    parser.add_argument("--steps", type=at_least(1), default=2, help="steps of each side in a round")
    parser.add_argument("--threads", type=at_least(1), default=len(cores()))
    parser.add_argument("--batch", type=at_least(1), default=8)
    parser.add_argument("--length", type=at_least(1), default=128)
    parser.add_argument("--masked", type=at_least(1), help="masked places of a batch (15%%)")
    parser.add_argument("--layers", type=at_least(0), default=0, help="fewer layers, for a trial (0: the model's)")
    parser.add_argument("--peak-tflops", type=float, default=0, help="of the device, for MFU (a GPU's data sheet)")
    parser.add_argument("--no-compile", action="store_true", help="leave out torch.compile")
    parser.add_argument("--output", default=os.path.join(ROOT, "build/vs_pytorch.json"), help="the numbers as JSON")
    options = parser.parse_args()
    options.weft = options.weft or os.path.join(ROOT, "build", options.device, "bin/training_step")
    if options.masked is None:
        options.masked = max(1, round(0.15 * options.batch * options.length))
    if options.masked > options.batch * options.length:
        parser.error(f"--masked {options.masked}: a batch has {options.batch * options.length} places")
    if not os.access(options.weft, os.X_OK):
        preset = options.device
        sys.exit(
            f"error: no {options.weft}: cmake --preset {preset} -DWEFT_BUILD_BENCHMARKS=ON && cmake --build --preset {preset}"
        )

    if not has_torch(options.python):
        parser.error(f"{options.python} has no PyTorch: give --python a Python with PyTorch")

    precisions = ["fp32", "bf16"] if options.precision == "both" else [options.precision]
    results = [compare(options, precision) for precision in precisions]
    names = ("model", "device", "batch", "length", "masked", "layers", "threads", "rounds", "steps", "peak_tflops")
    about = {
        "processor": processor(),
        "gpu": results[0]["device"] if options.device == "cuda" else None,
        "time": time.strftime("%Y-%m-%d %H:%M"),
        **{name: getattr(options, name) for name in names},
    }
    where = about["gpu"] or f"{about['processor']}, {options.threads} threads"
    print(f"{where}; B {options.batch}, T {options.length}\n")
    print(table(results, options))
    os.makedirs(os.path.dirname(os.path.abspath(options.output)), exist_ok=True)
    with open(options.output, "w", encoding="utf-8") as file:
        json.dump({**about, "results": results}, file, indent=1)


if __name__ == "__main__":
    main()
