#!/usr/bin/env python3
"""Training steps of Muster and of sentence-transformers, alternating, on the same batches: samples per second, memory, and the
share of the machine's own product rate.

usage: .deps/parity/bin/python tests/bench/training.py [options]
  --sets NAMES       scifact, banking77-intent, mixed (scifact)
  --models NAMES     minilm, base (minilm); base: BERT-base's shape with random weights
  --dropout NUMBERS  0.1, 0 (0.1,0)
  --losses NAMES     mnrl, cached: the peer's (mnrl)
  --precision P      of Muster: fp32, bf16 (fp32); the peer always computes in fp32
  --batch N          queries per step; default 32 (scifact), 64 (banking77-intent), 16 with up to 4 positives (mixed)
  --turns N          at most, per combination (5); --seconds S: and no new turn that would end later (100)
  --neighbor         also with one busy process on the same cores
  --muster-only      without the peer
  --threads N        of each program (2)
  --json FILE        figures in full

A sample is one (query, positive) pair. The peer has one row per pair. Muster has one row per query, and each text once.
Ratios are medians over turns of one program's time over the other's in that turn. Turns in which other processes took more
than 5% of the cores are left out.
"""
import argparse
import pathlib
import subprocess
import sys
import tempfile

import sets
from programs import base_folder, start_muster, start_peer
from turns import MINILM, machine, median, table, turns, write_json

HEADER = ("set", "model", "dropout", "peer's loss", "Muster, samples/s", "tokens/s", "peer, samples/s", "tokens/s", "ratio",
          "share of products' GFLOP/s", "Muster, MiB", "peer, MiB", "memory")


class Combination:
    def __init__(self, options, scratch, name, model, dropout, loss):
        self.options, self.name, self.model, self.dropout, self.loss = options, name, model, dropout, loss
        make, length = sets.SETS[name]
        self.batches = make(options.batch, options.turns + 1)
        common = {"scratch": scratch, "batches": self.batches, "length": length, "dropout": dropout,
                  "model": MINILM if model == "minilm" else base_folder(scratch), "threads": options.threads}
        self.muster = start_muster(**common, precision=options.precision)
        self.peer = None if options.muster_only else start_peer(**common, loss=loss)

    def close(self):
        for child in (self.muster, self.peer):
            if child:
                child.close()

    def takers(self):
        batch = lambda turn: turn % len(self.batches)  # noqa: E731
        takers = {"muster": lambda turn: self.muster.ask(f"step {batch(turn)}")}
        if self.peer:
            takers["peer"] = lambda turn: self.peer.ask(f"step {batch(turn)}")
        return takers

    def measure(self):
        takers = {**self.takers(), "products": lambda turn: self.muster.ask("products")}
        measured = turns(takers, self.options.turns, self.options.seconds)
        pairs = [len(sets.pairs(batch)) for batch in self.batches]
        of = lambda turn: pairs[turn["turn"] % len(pairs)]  # noqa: E731
        result = {
            "set": self.name, "model": self.model, "dropout": self.dropout, "loss": self.loss, "turns": measured,
            "threads": self.options.threads, "precision": self.options.precision,
            "samples_per_second": median([of(t) / t["muster"]["seconds"] for t in measured]),
            "tokens_per_second": median([t["muster"]["tokens"] / t["muster"]["seconds"] for t in measured]),
            "product_share": median([t["muster"]["flops"] / t["muster"]["seconds"] / 1e9 / t["products"]["gflops"]
                                     for t in measured]),
            "product_gflops": median([t["products"]["gflops"] for t in measured]),
            "peak_mib": self.muster.peak_mib(), "phases": measured[-1]["muster"]["phases"],
        }
        if self.peer:
            self.check_inputs(measured)
            result.update({
                "peer_unpadded": self.peer.hello["unpadded"], "peer_peak_mib": self.peer.peak_mib(),
                "peer_samples_per_second": median([of(t) / t["peer"]["seconds"] for t in measured]),
                "peer_tokens_per_second": median([t["peer"]["tokens"] / t["peer"]["seconds"] for t in measured]),
                "ratio": median([t["peer"]["seconds"] / t["muster"]["seconds"] for t in measured]),
                "memory_ratio": self.muster.peak_mib() / self.peer.peak_mib(),
            })
        return result

    def check_inputs(self, measured):
        """If no text occurs twice in a batch, both must have encoded the same number of tokens."""
        for turn in measured:
            texts = [text for pair in sets.pairs(self.batches[turn["turn"] % len(self.batches)]) for text in pair]
            mine, other = turn["muster"]["tokens"], turn["peer"]["tokens"]
            if len(set(texts)) == len(texts) and mine != other:
                sys.exit(f"{self.name}: Muster encoded {mine} tokens, the peer {other}")

    def beside_a_neighbor(self, quiet):
        """Times of a step with a busy process on the same cores, divided by those without it."""
        neighbor = subprocess.Popen([sys.executable, "-c", "while True: pass"])
        try:
            busy = turns(self.takers(), 3, self.options.seconds, expected=1.0)
        finally:
            neighbor.kill()
            neighbor.wait()
        return {name: median([turn[name]["seconds"] for turn in busy]) / median([turn[name]["seconds"] for turn in quiet])
                for name in self.takers()}


def row(result):
    peer = "ratio" in result
    return (result["set"], result["model"], result["dropout"], result["loss"] if peer else "",
            f"{result['samples_per_second']:.2f}", f"{result['tokens_per_second']:.0f}",
            f"{result['peer_samples_per_second']:.2f}" if peer else "",
            f"{result['peer_tokens_per_second']:.0f}" if peer else "", f"{result['ratio']:.2f}" if peer else "",
            f"{result['product_share']:.2f} of {result['product_gflops']:.0f}", f"{result['peak_mib']:.0f}",
            f"{result['peer_peak_mib']:.0f}" if peer else "", f"{result['memory_ratio']:.2f}" if peer else "")


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--sets", default="scifact")
    parser.add_argument("--models", default="minilm")
    parser.add_argument("--dropout", default="0.1,0")
    parser.add_argument("--losses", default="mnrl")
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
    parser.add_argument("--batch", type=int, default=0)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=100)
    parser.add_argument("--neighbor", action="store_true")
    parser.add_argument("--muster-only", action="store_true")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json")
    options = parser.parse_args()
    results, rows = [], []
    with tempfile.TemporaryDirectory(prefix="training-bench-") as folder:
        for name in options.sets.split(","):
            for model in options.models.split(","):
                for dropout in map(float, options.dropout.split(",")):
                    for loss in options.losses.split(","):
                        combination = Combination(options, pathlib.Path(folder), name, model, dropout, loss)
                        result = combination.measure()
                        if options.neighbor:
                            result["neighbor"] = combination.beside_a_neighbor(result["turns"])
                        combination.close()
                        results.append(result)
                        rows.append(row(result))
                        print("; ".join(f"{key} {value:.3f} s" for key, value in result["phases"].items()),
                              "| neighbor:", result.get("neighbor", "not measured"), "|", *rows[-1], flush=True)
                        write_json(options.json, {"machine": machine(), "results": results})
    print(machine())
    table(HEADER, rows)


if __name__ == "__main__":
    main()
