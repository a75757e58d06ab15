#!/usr/bin/env python3
"""Compares muster-encode's embeddings and parameter gradients with transformers' BertModel in float64.

usage: encoder_parity.py MUSTER_ENCODE MODEL_FOLDER
needs: requirements.txt in this folder and torch (requirements-torch.txt, or on the module path)

40 ragged sequences of random token ids, packed into one batch by muster-encode and one at a time here, mean pooled and
normalized. Exit code 1 if an embedding differs by more than 1e-4, or a parameter's gradient by more than 1e-4 of its
norm. Key biases have no gradient in theory: theirs may be 1e-4 of the largest gradient's norm.
"""
import math
import pathlib
import random
import subprocess
import sys
import tempfile

import torch
from safetensors.torch import load_file
from transformers import BertModel

SEED = 17


def sequences(vocabulary, count=40):
    draw = random.Random(SEED)
    return [[101] + [draw.randrange(1000, vocabulary) for _ in range(draw.randint(0, 1 + 6 * i))] + [102]
            for i in range(count)]


def ours(binary, folder, lines):
    with tempfile.TemporaryDirectory() as scratch:
        file = str(pathlib.Path(scratch) / "gradients.safetensors")
        result = subprocess.run([binary, folder, "--gradients", file], capture_output=True, text=True, check=False,
                                input="".join(" ".join(map(str, line)) + "\n" for line in lines))
        if result.returncode != 0:
            sys.exit(f"{binary} failed: {result.stderr}")
        rows = [[float(x) for x in line.split()] for line in result.stdout.splitlines()]
        return torch.tensor(rows, dtype=torch.float64), load_file(file)


def reference(model, lines):
    rows = []
    for i, line in enumerate(lines):
        pooled = model(input_ids=torch.tensor([line])).last_hidden_state[0].mean(0)
        row = pooled / pooled.norm()
        cotangent = torch.tensor([math.cos(i + 0.37 * c) for c in range(len(row))], dtype=torch.float64)
        row.backward(cotangent)
        rows.append(row.detach())
    return torch.stack(rows), {name: p.grad for name, p in model.named_parameters()}


def main(binary, folder):
    model = BertModel.from_pretrained(folder, add_pooling_layer=False, attn_implementation="eager").double().eval()
    lines = sequences(model.config.vocab_size)
    embeddings, gradients = ours(binary, folder, lines)
    expected, expected_gradients = reference(model, lines)
    difference = float((embeddings - expected).abs().max())
    print(f"seed {SEED}, {len(lines)} sequences of {min(map(len, lines))} to {max(map(len, lines))} tokens")
    print(f"embeddings: largest difference {difference:.2e}, at most 1e-4 allowed")
    passed = difference <= 1e-4
    if set(gradients) != set(expected_gradients):
        print(f"the models' parameters differ: {sorted(set(gradients) ^ set(expected_gradients))}")
        return 1
    largest = max(float(g.norm()) for g in expected_gradients.values())
    worst, worst_name, worst_key = 0.0, "", 0.0
    for name, gradient in expected_gradients.items():
        error = float((gradients[name].double() - gradient).norm())
        if name.endswith("key.bias"):
            worst_key = max(worst_key, error / largest)
        elif error / float(gradient.norm()) > worst:
            worst, worst_name = error / float(gradient.norm()), name
    print(f"gradients of {len(gradients)} tensors: largest difference {worst:.2e} ({worst_name}), at most 1e-4 allowed")
    print(f"key biases: {worst_key:.2e} of the largest gradient's norm, at most 1e-4 allowed")
    return 0 if passed and worst <= 1e-4 and worst_key <= 1e-4 else 1


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1], sys.argv[2]))
