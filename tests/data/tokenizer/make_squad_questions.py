#!/usr/bin/env python3
"""Writes squad_questions.txt.xz beside this script: 7793 questions, each behind the checksum of its ids and offsets
by Hugging Face's tokenizers (0.23 was used) with the uncased vocabulary.

    pip install tokenizers && python make_squad_questions.py QUESTIONS.jsonl

QUESTIONS.jsonl holds {"text", "ids"} per line, the ids by BERT's own tokenizer in Python: those of
Resources/tokenized_questions.json in GitHub's huggingface/swift-coreml-transformers. The two must agree on every line.
Without a file, compares the checksums that are there with what the library makes of the questions.
"""
import json
import lzma
import pathlib
import sys
import zlib

from make_references import lines, tokenizer

OUT = pathlib.Path(__file__).parent / "squad_questions.txt.xz"


def line(encoding, text):
    pieces = "".join(f"{i}:{b}-{e} " for i, (b, e) in zip(encoding.ids, encoding.offsets))
    return f"{zlib.crc32(pieces.encode()):08x} {text}\n"


def main():
    t = tokenizer("uncased")
    if len(sys.argv) > 1:
        with open(sys.argv[1], encoding="utf-8") as f:
            questions = [json.loads(row) for row in f]
        encodings = [t.encode(q["text"], add_special_tokens=False) for q in questions]
        assert all(e.ids == q["ids"] for e, q in zip(encodings, questions)), "the two tokenizers differ"
        text = "".join(line(e, q["text"]) for e, q in zip(encodings, questions))
        OUT.write_bytes(lzma.compress(text.encode(), preset=9 | lzma.PRESET_EXTREME))
    else:
        for row in lines(OUT.name):
            text = row.split(" ", 1)[1]
            assert row + "\n" == line(t.encode(text, add_special_tokens=False), text), text


main()
