#!/usr/bin/env python3
"""Compares muster-encode with sentence-transformers, on a model's folder and on what muster exports from it.

usage: export_parity.py MUSTER_ENCODE MODEL_FOLDER
needs: requirements.txt in this folder and torch (requirements-torch.txt, or on the module path)

50 texts of 1 to about 200 words are tokenized by the folder's own tokenizer. Exit code 1 if an embedding differs
  (a) by more than 1e-5 between muster-encode and sentence-transformers, both on MODEL_FOLDER, or
  (b) by more than 1e-4 between sentence-transformers on MODEL_FOLDER and on an export (tokenizer.json or vocab.txt), or
  (c) by more than 1e-4 between transformers' AutoModel, pooled here, and sentence-transformers on the export.
"""
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile

import numpy
import torch
from sentence_transformers import SentenceTransformer
from transformers import AutoModel, AutoTokenizer

WORDS = ("retrieval passage relevant the of a query model dense positive Several naïve Zürich 東京 2024 don't e-mail "
         "COVID-19 annotation multilingual ﬁnance µ-opioid x² \"quoted\" (brackets) unbelievably "
         "antidisestablishmentarianism").split()


def texts(count=50, seed=17):
    draw = random.Random(seed)
    return [" ".join(draw.choices(WORDS, k=1 + i * 4 if i % 2 else draw.randint(1, 30))) for i in range(count)]


def token_ids(folder, given, longest):
    tokenizer = AutoTokenizer.from_pretrained(folder)
    return [tokenizer(text, truncation=True, max_length=longest)["input_ids"] for text in given]


def muster_encode(command, ids):
    lines = "".join(" ".join(map(str, line)) + "\n" for line in ids)
    result = subprocess.run(command, input=lines, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        sys.exit(f"{command[0]} failed: {result.stderr}")
    return numpy.array([[float(x) for x in line.split()] for line in result.stdout.splitlines()], dtype=numpy.float32)


def mean_pooled(folder, ids):
    model = AutoModel.from_pretrained(folder, add_pooling_layer=False).eval()
    rows = []
    with torch.no_grad():
        for line in ids:
            hidden = model(input_ids=torch.tensor([line])).last_hidden_state[0].mean(0)
            rows.append((hidden / hidden.norm()).numpy())
    return numpy.stack(rows)


def main(binary, folder):
    given = texts()
    original = SentenceTransformer(folder, device="cpu")
    expected = original.encode(given)
    ids = token_ids(folder, given, original.max_seq_length)
    passed = True

    def check(name, got, bound):
        nonlocal passed
        difference = float(numpy.abs(got - expected).max()) if got.shape == expected.shape else float("inf")
        passed &= difference <= bound
        print(f"{name}: largest difference {difference:.2e}, at most {bound:g} allowed")

    with tempfile.TemporaryDirectory() as scratch:
        scratch = pathlib.Path(scratch)
        check("(a) muster-encode, original", muster_encode([binary, folder, str(scratch / "whole"), folder], ids), 1e-5)
        check("(b) exported, with tokenizer.json",
              SentenceTransformer(str(scratch / "whole"), device="cpu").encode(given), 1e-4)

        (scratch / "vocabulary").mkdir()
        shutil.copy(pathlib.Path(folder) / "vocab.txt", scratch / "vocabulary")
        muster_encode([binary, folder, str(scratch / "bare"), str(scratch / "vocabulary")], ids)
        bare = SentenceTransformer(str(scratch / "bare"), device="cpu")
        check("(b) exported, from only vocab.txt", bare.encode(given), 1e-4)
        check("(b) exported, encode_query", bare.encode_query(given), 1e-4)
        check("(c) exported, AutoModel", mean_pooled(str(scratch / "whole"), ids), 1e-4)
    return 0 if passed else 1


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1], sys.argv[2]))
