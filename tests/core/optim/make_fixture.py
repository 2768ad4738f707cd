#!/usr/bin/env python3
"""Writes adamw.json: ten AdamW steps of PyTorch in fp64 on a weight and a bias.

Run by hand with PyTorch (2.x) installed; the tests read the committed result.
"""
import json
import pathlib

import torch

torch.manual_seed(0)
options = {"lr": 0.01, "betas": [0.9, 0.98], "eps": 1e-6, "weight_decay": 0.1}
start = {"weight": torch.randn(3, 5), "bias": torch.randn(5)}
# Rounded to fp32, so that both sides begin with the same numbers.
parameters = {name: torch.nn.Parameter(x.double()) for name, x in start.items()}
optimizer = torch.optim.AdamW(
    [
        {"params": [parameters["weight"]], "weight_decay": options["weight_decay"]},
        {"params": [parameters["bias"]], "weight_decay": 0.0},
    ],
    lr=options["lr"], betas=options["betas"], eps=options["eps"],
)


def flat(x):
    return [float(v) for v in x.detach().flatten()]


steps = []
for _ in range(10):
    gradients = {name: torch.randn_like(x) for name, x in start.items()}
    for name, p in parameters.items():
        p.grad = gradients[name].double()
    optimizer.step()
    steps.append({name: {"gradient": flat(gradients[name]), "value": flat(parameters[name])}
                  for name in parameters})

fixture = {"torch": torch.__version__, "options": options,
           "start": {name: flat(x) for name, x in start.items()}, "steps": steps}
path = pathlib.Path(__file__).with_name("adamw.json")
path.write_text(json.dumps(fixture, indent=1) + "\n")
