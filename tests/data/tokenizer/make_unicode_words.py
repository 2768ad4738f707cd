#!/usr/bin/env python3
"""Writes unicode_words.txt beside this script: for each 4096 code points, checksums of the words
that Hugging Face's BertNormalizer and BertPreTokenizer (tokenizers 0.23 was used) make of "aCb" for
each code point C: lower-cased, cased, and cased without accents.

    pip install tokenizers && python make_unicode_words.py
"""
import pathlib
import zlib

from tokenizers import normalizers, pre_tokenizers

BLOCK = 4096
split = pre_tokenizers.BertPreTokenizer().pre_tokenize_str
NORMALIZERS = [
    normalizers.BertNormalizer(clean_text=True, handle_chinese_chars=True, strip_accents=accents,
                               lowercase=lower).normalize_str
    for accents, lower in ((None, True), (None, False), (True, False))
]


def words(normalize, c):
    return "|".join(word for word, _ in split(normalize("a" + c + "b"))) + "\n"


with open(pathlib.Path(__file__).parent / "unicode_words.txt", "w") as out:
    for first in range(0, 0x110000, BLOCK):
        chars = [chr(c) for c in range(first, first + BLOCK) if not 0xD800 <= c < 0xE000]
        sums = [zlib.crc32("".join(words(n, c) for c in chars).encode()) for n in NORMALIZERS]
        out.write(f"{first:06X} " + " ".join(f"{s:08x}" for s in sums) + "\n")
