#!/usr/bin/env python3
"""Times Muster's loss kernel and two forms in PyTorch, alternating: cross entropy on the whole product, and in chunks.

    .deps/parity/bin/python tests/bench/loss_peer.py build/dev/bin/muster-loss-bench

All compute the loss of one positive per query over all passages, and both gradients. Muster's runs in a separate process. The
chunked form is that of GradCache and of sentence-transformers' CachedMultipleNegativesRankingLoss, which cuts queries into
chunks of its mini-batch (32 by default): scores, softmax and backward of one chunk at a time, with gradients accumulated.
"""
import argparse
import functools
import json
import statistics
import subprocess
import time

import torch

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("bench", help="path of muster-loss-bench")
parser.add_argument("--rows", type=int, default=16384)
parser.add_argument("--columns", type=int, default=16384)
parser.add_argument("--dim", type=int, default=384)
parser.add_argument("--threads", type=int, default=2)
parser.add_argument("--turns", type=int, default=5)
parser.add_argument("--chunk-rows", type=int, nargs="+", default=[32, 1024], help="queries per chunk; a form for each number")
parser.add_argument("--temperature", type=float, default=0.05)
options = parser.parse_args()

torch.set_num_threads(options.threads)
torch.manual_seed(1)


def unit_rows(rows):
    return torch.nn.functional.normalize(torch.randn(rows, options.dim)).requires_grad_()


queries, passages = unit_rows(options.rows), unit_rows(options.columns)
labels = torch.arange(options.rows) % options.columns


def whole():
    loss = torch.nn.functional.cross_entropy(queries @ passages.T / options.temperature, labels)
    loss.backward()
    return loss.item()


def chunked(rows):
    total = 0.0
    for begin in range(0, options.rows, rows):
        chunk = slice(begin, begin + rows)
        scores = queries[chunk] @ passages.T / options.temperature
        loss = torch.nn.functional.cross_entropy(scores, labels[chunk], reduction="sum") / options.rows
        loss.backward()
        total += loss.item()
    return total


FORMS = {"cross_entropy": whole, **{f"chunks_of_{rows}": functools.partial(chunked, rows) for rows in options.chunk_rows}}


def evaluate(form):
    """(loss, gradients of queries and passages)"""
    queries.grad = passages.grad = None
    return form(), queries.grad, passages.grad


def seconds_of(form):
    begin = time.perf_counter()
    evaluate(form)
    return time.perf_counter() - begin


def difference(own, expected):
    """The largest of loss and gradients, relative to the largest number of each."""
    pairs = [(torch.tensor(own[0]), torch.tensor(expected[0])), *zip(own[1:], expected[1:])]
    return max(((x - y).abs().max() / y.abs().max()).item() for x, y in pairs)


muster = subprocess.Popen(
    [options.bench, "--serve", "--positives", "1", "--ignored", "0", "--rows", str(options.rows), "--columns",
     str(options.columns), "--dim", str(options.dim), "--threads", str(options.threads)],
    stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def muster_seconds():
    muster.stdin.write("\n")
    muster.stdin.flush()
    return float(muster.stdout.readline())


# The first run of each, which also shows that the forms agree.
muster_seconds()
expected = evaluate(whole)
disagree = {name: difference(evaluate(form), expected) for name, form in FORMS.items() if form is not whole}
if any(not value <= 1e-4 for value in disagree.values()):
    raise SystemExit(f"the forms disagree with cross_entropy: {disagree}")
measured = [{"muster": muster_seconds(), **{name: seconds_of(form) for name, form in FORMS.items()}} for _ in range(options.turns)]
muster.stdin.close()
if muster.wait() != 0:
    raise SystemExit(f"{options.bench} ended with {muster.returncode}")
for name in FORMS:
    ratio = statistics.median(turn["muster"] / turn[name] for turn in measured)
    print(f"# muster {statistics.median(turn['muster'] for turn in measured):.2f} s, {name} "
          f"{statistics.median(turn[name] for turn in measured):.2f} s, ratio {ratio:.2f}")
print(json.dumps({"rows": options.rows, "columns": options.columns, "dim": options.dim, "threads": options.threads,
                  "torch": torch.__version__, "largest_difference": disagree, "turns": measured,
                  "seconds": {name: statistics.median(turn[name] for turn in measured) for name in measured[0]},
                  "ratios": {name: statistics.median(turn["muster"] / turn[name] for turn in measured) for name in FORMS}}))
