#!/usr/bin/env python3
"""Writes references.jsonl.xz and pair_references.jsonl.xz beside this script: what Hugging Face's
tokenizers library (0.23 was used) makes of inputs.jsonl.xz and pairs.jsonl.xz with the three
vocabularies. `--check` compares with the files there instead of writing them.

    pip install tokenizers && python make_references.py
"""
import json
import lzma
import pathlib
import sys

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

HERE = pathlib.Path(__file__).parent
LOWERCASE = {"uncased": True, "cased": False, "chinese": True}


def lines(name):
    with lzma.open(HERE / name, "rt", encoding="utf-8", newline="\n") as f:
        return [line.removesuffix("\n") for line in f]


def tokenizer(name):
    vocab = {token: i for i, token in enumerate(lines(f"bert-base-{name}.vocab.txt.xz"))}
    t = Tokenizer(models.WordPiece(vocab, unk_token="[UNK]", max_input_chars_per_word=100))
    t.normalizer = normalizers.BertNormalizer(
        clean_text=True, handle_chinese_chars=True, strip_accents=None, lowercase=LOWERCASE[name])
    t.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    t.post_processor = processors.BertProcessing(("[SEP]", vocab["[SEP]"]), ("[CLS]", vocab["[CLS]"]))
    t.decoder = decoders.WordPiece(prefix="##", cleanup=True)
    t.add_special_tokens(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"])
    return t


def single(t, text):
    e = t.encode(text, add_special_tokens=False)
    # Offsets as one list: begin and end of each token in turn.
    return {"ids": e.ids, "offsets": [x for o in e.offsets for x in o], "decoded": t.decode(e.ids)}


def pair(t, a, b):
    t.no_truncation()
    whole = t.encode(a, b)
    t.enable_truncation(64, strategy="longest_first")
    cut = t.encode(a, b)
    return {"ids": whole.ids, "type_ids": whole.type_ids,
            "trunc64_ids": cut.ids, "trunc64_type_ids": cut.type_ids}


def put(name, rows):
    text = "".join(json.dumps(r, ensure_ascii=False, separators=(",", ":")) + "\n" for r in rows)
    if "--check" in sys.argv:
        assert lines(name) == text.split("\n")[:-1], f"{name} differs"
        return
    (HERE / name).write_bytes(lzma.compress(text.encode(), preset=9 | lzma.PRESET_EXTREME))


def main():
    tokenizers = {name: tokenizer(name) for name in LOWERCASE}
    texts = [json.loads(line)["text"] for line in lines("inputs.jsonl.xz")]
    put("references.jsonl.xz",
        [{name: single(t, text) for name, t in tokenizers.items()} for text in texts])
    pairs = [json.loads(line) for line in lines("pairs.jsonl.xz")]
    put("pair_references.jsonl.xz",
        [{name: pair(tokenizers[name], p["a"], p["b"]) for name in ("uncased", "cased")} for p in pairs])


if __name__ == "__main__":
    main()
