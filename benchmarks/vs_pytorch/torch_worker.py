"""One training step in PyTorch, timed on demand: the other side of benchmarks/training_step.cpp.

Same protocol: says {"ready": ...} when warm; then every line "N" on stdin makes it run N steps and print one JSON object
with their times; at the end of stdin it prints its peak memory.
"""
import argparse
import json
import resource
import sys
import time

import torch
from torch import nn

from torch_models import SHAPES, make_batch, make_model


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", choices=list(SHAPES), default="bert-base")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--precision", choices=["fp32", "bf16"], required=True)
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--length", type=int, default=128)
    parser.add_argument("--masked", type=int, default=154)
    parser.add_argument("--layers", type=int, default=0)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--warmup", type=int, default=3)
    options = parser.parse_args()

    if options.threads:
        torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(1)
    model = make_model(options.model, options.layers, options.length).to(options.device)
    decayed = [p for p in model.parameters() if p.ndim > 1]
    others = [p for p in model.parameters() if p.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": 0.01}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=1e-4, betas=(0.9, 0.999), eps=1e-6, fused=True)
    run_model = torch.compile(model) if options.compile else model

    def step():
        batch = make_batch(options.model, generator, options.batch, options.length, options.masked)
        start = time.perf_counter()
        batch = [x.to(options.device) for x in batch]
        with torch.autocast(options.device, dtype=torch.bfloat16, enabled=options.precision == "bf16"):
            loss = run_model(*batch)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        value = loss.item()
        if options.device == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - start, value

    for _ in range(options.warmup):
        _, loss = step()
    parameters = sum(p.numel() for p in model.parameters())
    device = torch.cuda.get_device_name() if options.device == "cuda" else "cpu"
    ready = {"ready": f"torch {torch.__version__}", "device": device, "parameters": parameters, "loss": loss}
    print(json.dumps(ready), flush=True)
    for line in sys.stdin:
        results = [step() for _ in range(int(line))]
        print(json.dumps({"seconds": [r[0] for r in results], "loss": results[-1][1]}), flush=True)
    if options.device == "cuda":
        peak = torch.cuda.max_memory_allocated()
    else:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"peak_memory": peak}), flush=True)


if __name__ == "__main__":
    main()
