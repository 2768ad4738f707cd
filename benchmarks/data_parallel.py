#!/usr/bin/env python3
"""What it costs to share a batch out among ranks of this machine: one rank with all cores against one rank per core.

    benchmarks/data_parallel.py [--ranks 2] [--layers 12] [--precision fp32] [--batch 8] [--rounds 5] [--steps 3]
        [--no-floor]

Starts build/cpu/bin/training_step (of a build with -DWEFT_BUILD_BENCHMARKS=ON) by turns as

    one     one rank with a thread for each core
    ranks   so many ranks under mpirun, the cores shared out among them, each with its part of the batch
    floor   the same processes without MPI: they know nothing of each other, so nothing is added up

and prints for each the median over the rounds of a round's fastest step, the range, and the median of the rounds'
ratios to `one`. How far `ranks` is from `floor` is the price of adding the gradients up, and of waiting for each other.
"""
import argparse
import json
import os
import statistics
import subprocess

from cores import cores
from whole_numbers import at_least

PROGRAM = os.path.join(os.path.dirname(__file__), "../build/cpu/bin/training_step")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ranks", type=at_least(1), default=2)
    parser.add_argument("--layers", type=at_least(0), default=12)
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
    parser.add_argument("--batch", type=at_least(1), default=8, help="sequences to a step, of all ranks")
    parser.add_argument("--rounds", type=at_least(1), default=5)
    parser.add_argument("--steps", type=at_least(1), default=3, help="of each side and round, after one that is not counted")
    parser.add_argument("--no-floor", action="store_true", help="leave that side out")
    options = parser.parse_args()
    available = len(cores())
    if options.batch % options.ranks:
        parser.error(f"--batch {options.batch} is not a multiple of --ranks {options.ranks}")
    if available < options.ranks:
        parser.error(f"--ranks {options.ranks}: each needs a core, and there are {available}")
    if not os.access(PROGRAM, os.X_OK):
        parser.error(f"no {PROGRAM}: cmake --preset cpu -DWEFT_BUILD_BENCHMARKS=ON && cmake --build --preset cpu")
    return options


def command(options, parts):
    """training_step with one of `parts` parts of the batch."""
    masked = options.batch * 128 * 15 // 100 // options.ranks * options.ranks
    return [PROGRAM, "--layers", str(options.layers), "--precision", options.precision, "--warmup", "1",
            "--batch", str(options.batch // parts), "--masked", str(masked // parts)]


def start(command, threads):
    environment = dict(os.environ, OMP_NUM_THREADS=str(threads), OMPI_ALLOW_RUN_AS_ROOT="1",
                       OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1")
    return subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def fastest_steps(options, processes):
    """The fastest step of each process, all running at once."""
    for p in processes:
        p.stdin.write(f"{options.steps}\n")
        p.stdin.close()
    answers = [p.stdout.read() for p in processes]
    if any(p.wait() != 0 for p in processes):
        raise SystemExit("training_step failed")
    return [min(json.loads(line)["seconds"]) for text in answers for line in text.splitlines() if "seconds" in line]


def one(options, cpus):
    return max(fastest_steps(options, [start(command(options, 1), len(cpus))]))


def ranks(options, cpus):
    threads = len(cpus) // options.ranks
    launcher = ["mpirun", "-np", str(options.ranks), "--map-by", f"slot:PE={threads}", "--bind-to", "core"]
    return max(fastest_steps(options, [start(launcher + command(options, 1), threads)]))


def floor(options, cpus):
    threads = len(cpus) // options.ranks
    processes = []
    for r in range(options.ranks):
        own = ",".join(str(cpu) for cpu in cpus[r * threads:(r + 1) * threads])
        processes.append(start(["taskset", "-c", own] + command(options, options.ranks), threads))
    return max(fastest_steps(options, processes))


def main():
    options = arguments()
    cpus = cores()
    sides = {"one": one, "ranks": ranks} if options.no_floor else {"one": one, "ranks": ranks, "floor": floor}
    times = {name: [] for name in sides}
    for _ in range(options.rounds):
        for name, run in sides.items():
            times[name].append(run(options, cpus))
    print(f"BERT-base, {options.layers} layers, B {options.batch}, T 128, {options.precision}: "
          f"{options.ranks} ranks on {len(cpus)} cores; {options.rounds} rounds")
    print(f"{'side':8}{'s/step':>9}{'range':>19}{'to one':>9}")
    for name, seconds in times.items():
        ratio = statistics.median(s / o for s, o in zip(seconds, times["one"]))
        print(f"{name:8}{statistics.median(seconds):9.3f}{min(seconds):10.3f} -{max(seconds):7.3f}{ratio:9.3f}")


if __name__ == "__main__":
    main()
