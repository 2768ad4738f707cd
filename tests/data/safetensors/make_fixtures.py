#!/usr/bin/env python3
"""Writes the safetensors files of this folder with the reference library.

Needs torch and safetensors; the tests need neither. Usage: make_fixtures.py (in this folder).
"""
import torch
from safetensors.torch import save_file


def ramp(n, dtype):
    return (torch.arange(n) * 3 - 7).to(dtype)


every = {
    "z.f32": ramp(6, torch.float32).reshape(2, 3) / 4,
    "a.f32": ramp(1, torch.float32).reshape(()),
    "empty": torch.zeros(0, 5),
    "half": torch.tensor([1.5, -0.0, 65504.0, 6e-8, float("inf")], dtype=torch.float16),
    "brain": torch.tensor([1.5, -2.0, 3.0e38, 1e-40], dtype=torch.bfloat16),
    "double": torch.tensor([1 / 3, -1e300, 2.0], dtype=torch.float64),
    "ids": ramp(4, torch.int64),
    "i32": ramp(3, torch.int32),
    "i16": ramp(3, torch.int16),
    "i8": ramp(5, torch.int8),
    "u8": torch.tensor([0, 7, 255], dtype=torch.uint8),
    "flags": torch.tensor([True, False, True]),
    'naïve "quoted"\n\t\\ 名前 \x01\x7f': ramp(2, torch.float32),
}
save_file(every, "every_dtype.safetensors", metadata={"format": "pt"})
save_file({"w": ramp(6, torch.float32).reshape(3, 2)}, "no_metadata.safetensors")
save_file({}, "empty.safetensors", metadata={"format": "pt"})
