#!/usr/bin/env python3
"""Times Muster's loss kernel and PyTorch's plain cross entropy on the product, alternating.

    .deps/parity/bin/python tests/bench/loss_peer.py build/dev/bin/muster-loss-bench

Both compute the loss of one positive per query over all passages, and both gradients. Each runs in a separate process.
"""
import argparse
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
parser.add_argument("--temperature", type=float, default=0.05)
options = parser.parse_args()

torch.set_num_threads(options.threads)
torch.manual_seed(1)


def unit_rows(rows):
    return torch.nn.functional.normalize(torch.randn(rows, options.dim)).requires_grad_()


queries, passages = unit_rows(options.rows), unit_rows(options.columns)
labels = torch.arange(options.rows) % options.columns


def peer_seconds():
    queries.grad = passages.grad = None
    begin = time.perf_counter()
    torch.nn.functional.cross_entropy(queries @ passages.T / options.temperature, labels).backward()
    return time.perf_counter() - begin


muster = subprocess.Popen(
    [options.bench, "--serve", "--positives", "1", "--ignored", "0", "--rows", str(options.rows), "--columns",
     str(options.columns), "--dim", str(options.dim), "--threads", str(options.threads)],
    stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def muster_seconds():
    muster.stdin.write("\n")
    muster.stdin.flush()
    return float(muster.stdout.readline())


muster_seconds(), peer_seconds()
turns = [(muster_seconds(), peer_seconds()) for _ in range(options.turns)]
muster.stdin.close()
if muster.wait() != 0:
    raise SystemExit(f"{options.bench} ended with {muster.returncode}")
own, peer = (statistics.median(seconds) for seconds in zip(*turns))
print(json.dumps({"rows": options.rows, "columns": options.columns, "dim": options.dim, "threads": options.threads,
                  "torch": torch.__version__, "muster_seconds": own, "cross_entropy_seconds": peer,
                  "ratio": statistics.median(m / p for m, p in turns), "turns": turns}))
