#!/usr/bin/env python3
"""Compares muster-tokenize with Hugging Face's tokenizers: every text of the data sets, every code point, odd texts.

usage: tokenizer_parity.py MUSTER_TOKENIZE VOCAB [TEXTS...]
  TEXTS: .jsonl files (title, text) or folders that hold some
needs: pip install tokenizers==0.23.3

Prints the number of texts compared and of those that differ; exit code 1 if any does.
"""
import json
import pathlib
import random
import subprocess
import sys
import time

from tokenizers import BertWordPieceTokenizer


def data_texts(paths):
    for path in paths:
        path = pathlib.Path(path)
        for file in sorted(path.rglob("*.jsonl")) if path.is_dir() else [path]:
            for line in file.open(encoding="utf-8"):
                record = json.loads(line)
                yield from (record[key] for key in ("title", "text") if record.get(key))


def code_point_texts():
    for code in range(1, 0x110000):
        if 0xD800 <= code < 0xE000:
            continue
        yield f"a{chr(code)}b the{chr(code)}"


def random_texts(vocabulary, count=200_000, seed=17):
    draw = random.Random(seed)
    odd = ["\u0096", "\ufffd", "\u00ad", "\u200b", "\u0301", "\u0327", "\u4e2d", "\u00e9", "\u0130", "\u03a3", "\u1734",
           "\uac00", "\U0001d15e", "\U0001f600", "\u2028", "\u00a0", "\t", "\r", "\v", "\x7f", "\x01", "'", "-", "\u2014",
           "[MASK]", "[mask]", "[SEP]", "[CLS", "[", "]", "##", "\u3099", "\u0345", "\u0653", "x" * 100, "y" * 101,
           "\u00e9" * 99]
    for _ in range(count):
        parts = []
        for _ in range(draw.randint(1, 12)):
            kind = draw.random()
            if kind < 0.4:
                parts.append(draw.choice(odd))
            elif kind < 0.7:
                parts.append(draw.choice(vocabulary))
            elif kind < 0.85:
                parts.append(chr(draw.choice([draw.randint(32, 0x24F), draw.randint(0x250, 0xD7FF),
                                              draw.randint(0xE000, 0x1FFFF)])))
            else:
                parts.append(" ")
        yield "".join(parts)


def ours(binary, vocab, lower, texts):
    command = [binary, vocab] + ([] if lower else ["cased"])
    text = "".join(t + "\n" for t in texts).encode("utf-8")
    start = time.monotonic()
    out = subprocess.run(command, input=text, stdout=subprocess.PIPE, check=True).stdout
    seconds = time.monotonic() - start
    print(f"  muster-tokenize: {len(text) / 1e6:.1f} MB in {seconds:.2f} s", flush=True)
    return out.decode().split("\n")[:-1]


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    binary, vocab, paths = sys.argv[1], sys.argv[2], sys.argv[3:]
    vocabulary = pathlib.Path(vocab).read_text(encoding="utf-8").split("\n")
    failed = False
    for lower in (True, False):
        theirs = BertWordPieceTokenizer(vocab, lowercase=lower)
        for name, texts in (("data", data_texts(paths)), ("code points", code_point_texts()),
                            ("random, seed 17", random_texts(vocabulary))):
            texts = [text.replace("\n", " ") for text in texts]
            found = ours(binary, vocab, lower, texts)
            if len(found) != len(texts):
                sys.exit(f"{name}: {len(found)} lines for {len(texts)} texts")
            differ = 0
            for begin in range(0, len(texts), 10_000):
                encoded = theirs.encode_batch(texts[begin:begin + 10_000], add_special_tokens=False)
                for text, expected, line in zip(texts[begin:], encoded, found[begin:]):
                    if expected.ids != [int(i) for i in line.split()]:
                        differ += 1
                        if differ <= 5:
                            print(f"  {text!r}\n    expected {expected.ids}\n    found    {line}")
            print(f"{'uncased' if lower else 'cased'}, {name}: {len(texts)} texts, {differ} differ", flush=True)
            failed |= differ > 0 or not texts
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
