"""One BERT-base training step in PyTorch, timed on demand: the other side of benchmarks/bert_step.cpp.

Same protocol: says {"ready": ...} when warm; then every line "N" on stdin makes it run N steps and print one JSON object
with their times; at the end of stdin it prints its peak memory.
"""
import argparse
import json
import resource
import sys
import time

import torch
import torch.nn.functional as F
from torch import nn


class Block(nn.Module):
    """A BERT layer with one matrix product for query, key and value."""

    def __init__(self, hidden, heads, intermediate, dropout):
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.qkv = nn.Linear(hidden, 3 * hidden)
        self.out = nn.Linear(hidden, hidden)
        self.attention_norm = nn.LayerNorm(hidden, eps=1e-12)
        self.up = nn.Linear(hidden, intermediate)
        self.down = nn.Linear(intermediate, hidden)
        self.mlp_norm = nn.LayerNorm(hidden, eps=1e-12)

    def forward(self, x):
        batch, length, hidden = x.shape
        q, k, v = self.qkv(x).view(batch, length, 3, self.heads, hidden // self.heads).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(q, k, v, dropout_p=self.dropout)
        mixed = mixed.transpose(1, 2).reshape(batch, length, hidden)
        x = self.attention_norm(x + F.dropout(self.out(mixed), self.dropout))
        return self.mlp_norm(x + F.dropout(self.down(F.gelu(self.up(x))), self.dropout))


class BertMlm(nn.Module):
    """BERT with its masked-language-model head; logits only at the masked places, output weights tied."""

    def __init__(self, vocabulary=30522, hidden=768, layers=12, heads=12, intermediate=3072, positions=512, dropout=0.1):
        super().__init__()
        self.dropout = dropout
        self.words = nn.Embedding(vocabulary, hidden)
        self.positions = nn.Embedding(positions, hidden)
        self.types = nn.Embedding(2, hidden)
        self.norm = nn.LayerNorm(hidden, eps=1e-12)
        self.blocks = nn.ModuleList(Block(hidden, heads, intermediate, dropout) for _ in range(layers))
        self.transform = nn.Linear(hidden, hidden)
        self.transform_norm = nn.LayerNorm(hidden, eps=1e-12)
        self.bias = nn.Parameter(torch.zeros(vocabulary))
        for module in self.modules():
            if isinstance(module, (nn.Linear, nn.Embedding)):
                nn.init.normal_(module.weight, std=0.02)

    def forward(self, ids, types, places, targets):
        x = self.words(ids) + self.positions.weight[: ids.shape[1]] + self.types(types)
        x = F.dropout(self.norm(x), self.dropout)
        for block in self.blocks:
            x = block(x)
        masked = x.reshape(-1, x.shape[-1])[places]
        masked = self.transform_norm(F.gelu(self.transform(masked)))
        return F.cross_entropy(F.linear(masked, self.words.weight, self.bias).float(), targets)


def make_batch(generator, batch, length, masked, vocabulary=30522):
    ids = torch.randint(1000, vocabulary, (batch, length), generator=generator)
    places = torch.randperm(batch * length, generator=generator)[:masked].sort().values
    targets = ids.view(-1)[places].clone()
    ids.view(-1)[places] = 103  # [MASK]
    return ids, torch.zeros_like(ids), places, targets


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--precision", choices=["fp32", "bf16"], required=True)
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--length", type=int, default=128)
    parser.add_argument("--masked", type=int, default=154)
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--warmup", type=int, default=3)
    options = parser.parse_args()

    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(1)
    model = BertMlm(layers=options.layers).train()
    decayed = [p for p in model.parameters() if p.ndim > 1]
    others = [p for p in model.parameters() if p.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": 0.01}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=1e-4, betas=(0.9, 0.999), eps=1e-6, fused=True)
    run_model = torch.compile(model) if options.compile else model

    def step():
        batch = make_batch(generator, options.batch, options.length, options.masked)
        start = time.perf_counter()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=options.precision == "bf16"):
            loss = run_model(*batch)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        value = loss.item()
        return time.perf_counter() - start, value

    for _ in range(options.warmup):
        _, loss = step()
    parameters = sum(p.numel() for p in model.parameters())
    print(json.dumps({"ready": f"torch {torch.__version__}", "parameters": parameters, "loss": loss}), flush=True)
    for line in sys.stdin:
        results = [step() for _ in range(int(line))]
        print(json.dumps({"seconds": [r[0] for r in results], "loss": results[-1][1]}), flush=True)
    print(json.dumps({"peak_rss": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}), flush=True)


if __name__ == "__main__":
    main()
