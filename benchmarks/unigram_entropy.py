#!/usr/bin/env python3
"""Entropy of the tokens of a prepared text, in nats: what a model pays that knows only how frequent each token is.

usage: unigram_entropy.py TRAIN_PREFIX [HELD_OUT_PREFIX]
Prints the entropy of the training tokens and, with held-out text, its cross entropy under the training frequencies
(add-one smoothing over the ids seen). A masked-language-model loss below it has learnt from context.
"""
import array
import collections
import math
import struct
import sys


def tokens(prefix):
    with open(prefix + ".idx", "rb") as f:
        magic, version, dtype = struct.unpack("<9sQB", f.read(18))
    if magic != b"MMIDIDX\x00\x00" or version != 1 or dtype not in (4, 8):
        sys.exit(f"{prefix}.idx: not token files of 16 or 32 bit ids")
    ids = array.array("i" if dtype == 4 else "H")
    with open(prefix + ".bin", "rb") as f:
        ids.frombytes(f.read())
    return ids


def main():
    if "--help" in sys.argv[1:]:
        print(__doc__.strip())
        return
    if len(sys.argv) not in (2, 3):
        print(__doc__.strip(), file=sys.stderr)
        sys.exit(2)
    train = collections.Counter(tokens(sys.argv[1]))
    total = sum(train.values())
    entropy = -sum(n / total * math.log(n / total) for n in train.values())
    print(f"train: {total} tokens, {len(train)} kinds, entropy {entropy:.4f} nats, perplexity {math.exp(entropy):.1f}")
    if len(sys.argv) == 3:
        held_out = collections.Counter(tokens(sys.argv[2]))
        n = sum(held_out.values())
        smoothed = total + len(train.keys() | held_out.keys())
        cross = -sum(k * math.log((train[t] + 1) / smoothed) for t, k in held_out.items()) / n
        print(f"held out: {n} tokens, cross entropy {cross:.4f} nats, perplexity {math.exp(cross):.1f}")


if __name__ == "__main__":
    main()
