#!/usr/bin/env python3
"""Takes the short biographies out of a plain-text sample of Wikipedia: extract_text.py WIKI.txt.xz OUTPUT.txt.xz

Input: one article per block, blocks separated by a blank line; first line the title, each further line a paragraph.
Biographies are short, plain and alike, so that a small model learns something in a few minutes. The result depends on
the input alone.
"""
import lzma
import re
import sys

LONGEST_ARTICLE = 2600  # characters

BIOGRAPHY = re.compile(
    r"\((?:[^()]{0,40}; )?(?:born|b\.|[^()]{0,60}\b1[5-9]\d\d ?[–-] )"
    r"|\b(?:is|was) an? (?:former |retired |professional |[A-Z][a-z]+ )*"
    r"(?:footballer|politician|actor|actress|singer|writer|player)"
)


def is_short_biography(article: str) -> bool:
    lines = article.split("\n")
    return len(lines) >= 3 and len(article) <= LONGEST_ARTICLE and bool(BIOGRAPHY.search(lines[1][:250]))


def main() -> None:
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    with lzma.open(sys.argv[1], "rt", encoding="utf-8") as source:
        articles = source.read().split("\n\n")
    chosen = [article.strip("\n") for article in articles if is_short_biography(article)]
    text = "\n\n".join(chosen) + "\n"
    with open(sys.argv[2], "wb") as target:
        target.write(lzma.compress(text.encode(), preset=9 | lzma.PRESET_EXTREME))
    print(f"{len(chosen)} articles, {len(text.encode())} bytes")


if __name__ == "__main__":
    main()
