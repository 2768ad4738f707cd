#!/usr/bin/env python3
"""Computes samples from scratch, as docs/decisions/sample-order.md describes them, without any code of Weft:
make_reference_samples.py > tests/data/samples/reference.json

dataset_reference_test.cpp compares Weft's samples with them. Needs nothing but Python.
"""
import json
import math
import random

M32 = 0xFFFFFFFF
CLS, SEP, MASK = 2, 3, 4
WORDS = 500  # tests/core/data/fake_tokenizer.hpp: ids 5 + n start a word, 5 + WORDS + n continue one
PURPOSE = {"chunk_order": 0xDA000000, "source_order": 0xDA100000, "pair": 0xDA200000, "mask": 0xDA300000}
BLOCK = 1 << 16


def philox(seed, step, place, group):
    """Philox4x32-10 with the counter (group low, group high, place, step) and the key seed."""
    c = [group & M32, group >> 32, place, step]
    k = [seed & M32, seed >> 32]
    for _ in range(10):
        p0, p1 = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [(p1 >> 32) ^ c[1] ^ k[0], p1 & M32, (p0 >> 32) ^ c[3] ^ k[1], p0 & M32]
        k = [(k[0] + 0x9E3779B9) & M32, (k[1] + 0xBB67AE85) & M32]
    return c


class Stream:
    def __init__(self, seed, purpose, index):
        self.seed, self.step, self.place = seed, index & M32, PURPOSE[purpose]
        self.group, self.numbers, self.bits = index >> 32 << 32, [], []

    def next(self):
        if not self.numbers:
            self.numbers = philox(self.seed, self.step, self.place, self.group)
            self.group += 1
        return self.numbers.pop(0)

    def below(self, n):
        while True:
            product = self.next() * n
            if product & M32 >= (1 << 32) % n:
                return product >> 32

    def chance(self, p):
        return self.next() < p * 2.0**32

    def coin(self):
        if not self.bits:
            number = self.next()
            self.bits = [number >> i & 1 for i in range(32)]
        return self.bits.pop(0) == 1


def permuted(i, n, seed, purpose, stream, index):
    half = 1
    while 4**half < n:
        half += 1
    low = (1 << half) - 1
    while True:
        left, right = i >> half, i & low
        for r in range(6):
            group = right | (r | index >> 32 << 3) << 32
            left, right = right, left ^ (philox(seed, index & M32, PURPOSE[purpose] + stream, group)[0] & low)
        i = left << half | right
        if i < n:
            return i


def pick_source(i, weights, seed):
    if len(weights) == 1:
        return 0, i
    exact = [w / sum(weights) * BLOCK for w in weights]
    slots = [max(1, int(x)) for x in exact]
    while sum(slots) < BLOCK:
        rest = [x - s for x, s in zip(exact, slots)]
        slots[rest.index(max(rest))] += 1
    slot = permuted(i % BLOCK, BLOCK, seed, "source_order", 0, i // BLOCK)
    for s, count in enumerate(slots):
        if slot < count:
            return s, i // BLOCK * count + slot
        slot -= count


def pieces_of(sentence, limit):
    """A sentence as equal pieces of at most `limit` tokens; a piece is (sentence number, list of ids)."""
    number, ids = sentence
    count = math.ceil(len(ids) / limit)
    sizes = [len(ids) // count + (i < len(ids) % count) for i in range(count)]
    return [(number, ids[sum(sizes[:i]):sum(sizes[:i + 1])]) for i in range(count)]


def size(pieces):
    return sum(len(ids) for _, ids in pieces)


def chunks_of(documents, task, limit):
    chunks = []
    for d, sentences in enumerate(documents):
        chunk = []
        for piece in [p for s in sentences for p in pieces_of(s, limit)]:
            if chunk and (size(chunk) >= limit if task != "none" else size(chunk + [piece]) > limit):
                chunks.append((d, chunk))
                chunk = []
            chunk.append(piece)
        chunks.append((d, chunk))
    return [c for c in chunks if size(c[1]) >= (1 if task == "none" else 2)]


def segments(documents, document, pieces, task, limit, short, stream):
    """The segments with their documents, and the label."""
    if task == "none":
        return [(document, pieces)], None
    target = limit
    if stream.chance(short):
        target = 2 + stream.below(limit - 1)
        starts = [i for i in range(len(pieces)) if size(pieces[i:]) >= target]
        if starts:
            start = stream.below(len(starts))
            end = start + 1
            while size(pieces[start:end]) < target:
                end += 1
            pieces = pieces[start:end]
    if len(pieces) > 1:
        cut = 1 + stream.below(len(pieces) - 1)
        a, b = pieces[:cut], pieces[cut:]
    else:
        number, ids = pieces[0]
        cut = 1 + stream.below(len(ids) - 1)
        a, b = [(number, ids[:cut])], [(number, ids[cut:])]
    other, label = document, int(stream.coin())
    if label and task == "sop":
        a, b = b, a
    elif label:
        other = stream.below(len(documents) - 1)
        other += other >= document
        sentence = stream.below(len(documents[other]))
        own = pieces_of(documents[other][sentence], limit)
        following = own[stream.below(len(own)):]
        for s in documents[other][sentence + 1:]:
            following += pieces_of(s, limit)
        b, left = [], target - size(a)
        while following and (not b or size(b) < left):
            b.append(following.pop(0))
    sides = [[(n, t) for n, ids in side for t in ids] for side in (a, b)]
    while len(sides[0]) + len(sides[1]) > target:
        longer = sides[0] if len(sides[0]) > len(sides[1]) else sides[1]
        longer.pop(0 if stream.coin() else -1)
    as_pieces = [[(n, [t]) for n, t in side] for side in sides]
    return [(document, as_pieces[0]), (other, as_pieces[1])], label


def mask(ids, options, stream):
    words, inside = [], False
    for i, t in enumerate(ids):
        if t < 5:
            inside = False
        elif options["whole_word"] and inside and t >= 5 + WORDS:
            words[-1].append(i)
        else:
            words.append([i])
            inside = True
    left = max(1, math.floor(len(ids) * options["mask_probability"] + 0.5))
    if options["max_predictions"]:
        left = min(left, options["max_predictions"])
    places = []
    for k in range(len(words)):
        if left == 0:
            break
        j = k + stream.below(len(words) - k)
        words[k], words[j] = words[j], words[k]
        if len(words[k]) <= left:
            left -= len(words[k])
            places += words[k]
    places.sort()
    targets = [ids[p] for p in places]
    for p in places:
        tenth = stream.below(10)
        if tenth < 8:
            ids[p] = MASK
        elif tenth == 8:
            ids[p] = 5 + stream.below(2 * WORDS)
    return places, targets


def sample(i, sources, weights, options, seed):
    source, j = pick_source(i, weights, seed)
    task, T = options["sentence"], options["seq_length"]
    limit = T - (2 if task == "none" else 3)
    documents = sources[source]
    chunks = chunks_of(documents, task, limit)
    epoch, k = divmod(j, len(chunks))
    document, pieces = chunks[permuted(k, len(chunks), seed, "chunk_order", source, epoch)]
    parts, label = segments(documents, document, pieces, task, limit,
                            options["short_sequence_probability"], Stream(seed, "pair", i))
    ids, types, origins = [CLS], [0], []
    for which, (d, part) in enumerate(parts):
        ids += [t for _, tokens in part for t in tokens] + [SEP]
        types += [which] * (len(ids) - len(types))
        origins.append([source, d, part[0][0]])
    places, targets = mask(ids, options, Stream(seed, "mask", i))
    return {"i": i, "ids": ids, "type_ids": types, "places": places, "targets": targets,
            "label": -1 if label is None else label, "segments": origins}


def make_corpus(draw, documents, longest):
    """Documents of sentences of words, a word being a list of numbers: its pieces."""
    return [[[[draw.randrange(WORDS) for _ in range(draw.choice([1, 1, 1, 2, 3]))]
              for _ in range(draw.randint(1, longest))]
             for _ in range(draw.randint(1, 7))]
            for _ in range(documents)]


def tokens_of(corpus):
    documents, number = [], 0
    for document in corpus:
        documents.append([])
        for sentence in document:
            ids = [5 + n + (WORDS if k else 0) for word in sentence for k, n in enumerate(word)]
            documents[-1].append((number, ids))
            number += 1
    return documents


def text_of(corpus):
    return "\n\n".join("\n".join(" ".join("+".join(map(str, word)) for word in sentence)
                                 for sentence in document) for document in corpus) + "\n"


def main():
    draw = random.Random(20)
    corpora = [make_corpus(draw, 11, 12), make_corpus(draw, 4, 40)]
    base = {"sentence": "nsp", "seq_length": 24, "mask_probability": 0.15, "whole_word": False,
            "max_predictions": 0, "short_sequence_probability": 0.1}
    cases = [
        ({}, [1.0], 42, list(range(30))),
        ({"sentence": "sop", "short_sequence_probability": 0.5}, [1.0], 7, list(range(20))),
        ({"sentence": "none", "seq_length": 17}, [1.0], 1, list(range(15))),
        ({"whole_word": True, "mask_probability": 0.3, "max_predictions": 5}, [0.3, 2.0], 2**63 + 5,
         list(range(20)) + [BLOCK + 3, 2**32 + 1, 2**40 + 123456789]),
    ]
    result = {"corpora": [text_of(c) for c in corpora], "cases": []}
    for changes, weights, seed, numbers in cases:
        options = {**base, **changes}
        sources = [tokens_of(c) for c in corpora[:len(weights)]]
        result["cases"].append({"options": options, "weights": weights, "seed": seed,
                                "samples": [sample(i, sources, weights, options, seed) for i in numbers]})
    head = json.dumps(result["corpora"])
    rows = ",\n".join(
        '{"options": %s, "weights": %s, "seed": %d, "samples": [\n%s]}'
        % (json.dumps(c["options"]), json.dumps(c["weights"]), c["seed"],
           ",\n".join(json.dumps(s) for s in c["samples"])) for c in result["cases"])
    print('{"corpora": %s,\n"cases": [\n%s]}' % (head, rows))


if __name__ == "__main__":
    main()
