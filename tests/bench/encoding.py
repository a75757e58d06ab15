#!/usr/bin/env python3
"""Muster's evaluation and sentence-transformers' encode(), alternating, on the same texts of scifact, with MiniLM.

usage: .deps/parity/bin/python tests/bench/encoding.py [options]
  --queries N, --documents N   of scifact's test split (64, 192)
  --turns N, --seconds S       at most this many turns (5), and none that would end later (120)
  --cpu-tokens N,…             tokens that Muster encodes at once; several take turns (its default)
  --json FILE                  figures in full

Muster's time is a whole evaluation: encoding, search, metrics; its tokens come from the data server's store, made once
per dataset. The peer's time is encode() with batches of 32, which sorts by length and tokenizes; the tokenizer's part is
printed too. Both float32 on two threads.
"""
import argparse
import pathlib
import tempfile

import sets
from programs import start_muster, start_peer
from turns import machine, median, table, turns, write_json


def batch_of(queries, documents):
    asked = sets.judged(sets.SHARED / "scifact", "test")[:queries]
    passages = list(dict.fromkeys([text for _, texts in asked for text in texts] +
                                  sets.corpus_texts("scifact", 2 * documents)))[:documents]
    columns = {text: column for column, text in enumerate(passages)}
    return {"queries": [query for query, _ in asked], "passages": passages,
            "positives": [[columns[text] for text in texts if text in columns] for _, texts in asked]}


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--queries", type=int, default=64)
    parser.add_argument("--documents", type=int, default=192)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--cpu-tokens")
    parser.add_argument("--json")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="encoding-bench-") as folder:
        common = {"scratch": pathlib.Path(folder), "batches": [batch_of(options.queries, options.documents)], "length": 256}
        kinds = options.cpu_tokens.split(",") if options.cpu_tokens else ["default"]
        musters = {kind: start_muster(**common, options=() if kind == "default" else ("--cpu-tokens", kind))
                   for kind in kinds}
        peer = start_peer(**common)
        takers = {kind: lambda turn, muster=muster: muster.ask("evaluate 0") for kind, muster in musters.items()}
        measured = turns({**takers, "peer": lambda turn: peer.ask("encode 0")}, options.turns, options.seconds)
        peaks = {kind: child.peak_mib() for kind, child in {**musters, "peer": peer}.items()}
        for child in (*musters.values(), peer):
            child.close()
    other, rows = [turn["peer"] for turn in measured], []
    for kind in kinds:
        mine = [turn[kind] for turn in measured]
        rows.append((kind, mine[0]["texts"], f"{median([m['texts'] / m['seconds'] for m in mine]):.1f}",
                     f"{median([m['tokens'] / m['seconds'] for m in mine]):.0f}",
                     f"{median([p['texts'] / p['seconds'] for p in other]):.1f}",
                     f"{median([p['tokenizer_seconds'] / p['seconds'] for p in other]):.2f}",
                     f"{median([p['seconds'] / m['seconds'] for m, p in zip(mine, other)]):.2f}",
                     f"{peaks[kind]:.0f}", f"{peaks['peer']:.0f}"))
    print(machine())
    table(("tokens at once", "texts", "Muster, texts/s", "tokens/s", "peer, texts/s", "of its time: tokenizer", "ratio",
           "Muster, MiB", "peer, MiB"), rows)
    write_json(options.json, {"machine": machine(), "turns": measured, "peak_mib": peaks})


if __name__ == "__main__":
    main()
