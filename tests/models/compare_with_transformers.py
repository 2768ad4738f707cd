#!/usr/bin/env python3
"""Compares `weft forward` with transformers on real texts, padded batches included.

usage: compare_with_transformers.py WEFT MODEL_DIR TEXT_FILE        needs torch, transformers, safetensors
Exits with 1 when token ids differ, or any hidden state, pooled output or logit by more than 1e-4.
"""
import os
import subprocess
import sys
import tempfile

import torch
from safetensors.torch import load_file
from transformers import AutoModel, AutoModelForPreTraining, AutoTokenizer

TOLERANCE = 1e-4


def ours(weft, model_dir, texts):
    with tempfile.TemporaryDirectory() as folder:
        out = os.path.join(folder, "out.safetensors")
        subprocess.run([weft, "forward", model_dir, texts, "--output", out, "--quiet"], check=True)
        return load_file(out)


def theirs(model_dir, texts):
    tokenizer = AutoTokenizer.from_pretrained(model_dir)
    lines = [line.rstrip("\n") for line in open(texts, encoding="utf-8")]
    batch = tokenizer(lines, padding=True, truncation=True, max_length=512, return_tensors="pt")
    heads = AutoModelForPreTraining.from_pretrained(model_dir, output_loading_info=True)[1]
    with torch.no_grad():
        bare = AutoModel.from_pretrained(model_dir).eval()(**batch)
        result = {"last_hidden_state": bare.last_hidden_state, "pooler_output": bare.pooler_output}
        if not heads["missing_keys"]:  # the directory has the pretraining heads
            full = AutoModelForPreTraining.from_pretrained(model_dir).eval()(**batch)
            result |= {"logits": full.prediction_logits, "seq_relationship_logits": full.seq_relationship_logits}
            print("pretraining heads: unexpected keys", sorted(heads["unexpected_keys"]) or "none")
    return batch, result


def main():
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    batch, expected = theirs(sys.argv[2], sys.argv[3])
    got = ours(*sys.argv[1:])
    same = torch.equal(batch["input_ids"], got["input_ids"].long())
    print(f"{len(batch['input_ids'])} texts, {batch['input_ids'].shape[1]} tokens; ids {'equal' if same else 'DIFFER'}")
    tokens = batch["attention_mask"].bool()
    for name, value in expected.items():
        difference = (value - got[name]).abs()
        difference = difference[tokens] if value.dim() == 3 else difference
        worst = difference.max().item()
        same = same and worst <= TOLERANCE
        print(f"{name}: largest difference {worst:.2e}")
    sys.exit(0 if same else 1)


if __name__ == "__main__":
    main()
