#!/usr/bin/env python3
"""Muster's tokenizers and Hugging Face's, alternating: MB per second of processor time, on one thread.

usage: .deps/parity/bin/python tests/bench/tokenizing.py [--turns N] [--all] [--json FILE]

Texts: scifact and pubmedqa, seen for the first time, as an import sees them (neither side has a word in its cache). BERT's
own vocabulary, and tokenizers of three kinds (--all: of every kind), trained on the spot. tests/long/tokenizer_parity.py
tests that both give the same ids. needs: muster-tokenize
"""
import argparse
import pathlib
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "long"))

import tokenizer_kinds  # noqa: E402
import tokenizer_parity  # noqa: E402
from tokenizers import Tokenizer  # noqa: E402

import sets  # noqa: E402
from turns import BIN, MINILM, machine, median, table, write_json  # noqa: E402

KINDS = ("WordPiece cased", "BPE, GPT-2", "Unigram, Metaspace")


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--json")
    options = parser.parse_args()
    texts = [text.replace("\0", " ") for name in ("scifact", "pubmedqa") for text in sets.corpus_texts(name, 4000)]
    rows, results = [], []
    with tempfile.TemporaryDirectory(prefix="tokenizing-bench-") as folder:
        paths = {"BERT's vocabulary": str(MINILM / "tokenizer.json")}
        for name, make in tokenizer_kinds.kinds(texts[:2000]).items():
            if options.all or name in KINDS:
                paths[name] = str(pathlib.Path(folder) / f"{len(paths)}.json")
                make().save(paths[name])
        for name, path in paths.items():
            speeds = [tokenizer_parity.speed(BIN / "muster-tokenize", path, [], lambda: Tokenizer.from_file(path), texts)
                      for _ in range(options.turns)]
            own, other = (median(column) for column in zip(*speeds))
            ratio = median([mine / theirs for mine, theirs in speeds])
            results.append({"tokenizer": name, "mb_per_second": own, "peer_mb_per_second": other, "ratio": ratio})
            rows.append((name, f"{own:.0f}", f"{other:.1f}", f"{ratio:.1f}"))
    print(machine())
    table(("tokenizer", "Muster, MB/s", "tokenizers, MB/s", "ratio"), rows)
    write_json(options.json, {"machine": machine(), "results": results})


if __name__ == "__main__":
    main()
