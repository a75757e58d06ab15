#!/usr/bin/env python3
"""nDCG@10 on scifact's test queries after one epoch of one row per (query, positive) pair, over seeds.

usage: tests/bench/quality.py [--seeds N] [--peer-seeds N] [--objective NAME] [--set FIELD=VALUE]... [--json FILE]
  --seeds N         jobs of Muster, with seeds 1 to N (5)
  --peer-seeds N    runs of sentence-transformers (0): its loss and recipe on the same pairs; .deps/parity trains them
  --objective NAME  Muster's (jointlh)

MiniLM, 256 tokens, 32 pairs per step, AdamW at 2e-5 with 10% warmup and linear decay, the model's own dropout. `muster
eval` measures every model, the peer's, too. A run takes several minutes on two cores.
"""
import argparse
import json
import shutil
import statistics
import subprocess
import sys
import pathlib

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))

from cluster import MINILM, SHARED, Cluster  # noqa: E402
from turns import PARITY, machine, table, write_json  # noqa: E402

HOUR = 3600


def write_pairs(folder):
    """scifact's training judgments with one query record per pair."""
    folder.mkdir()
    (folder / "qrels").mkdir()
    shutil.copy(SHARED / "data/scifact/corpus.jsonl", folder)
    texts = {}
    with open(SHARED / "data/scifact/queries.jsonl", encoding="utf-8") as lines:
        for line in lines:
            record = json.loads(line)
            texts[record["_id"]] = record["text"]
    queries, judgments = [], ["query-id\tcorpus-id\tscore"]
    with open(SHARED / "data/scifact/qrels/train.tsv", encoding="utf-8") as lines:
        next(lines)
        for number, line in enumerate(lines):
            query, document, grade = line.split()
            queries.append(json.dumps({"_id": f"{query}-{number}", "text": texts[query]}))
            judgments.append(f"{query}-{number}\t{document}\t{grade}")
    (folder / "queries.jsonl").write_text("\n".join(queries) + "\n", encoding="utf-8")
    (folder / "qrels/train.tsv").write_text("\n".join(judgments) + "\n", encoding="utf-8")


def job(seed, objective):
    return {"name": f"seed-{seed}", "model": {"from": "minilm", "max_length": {"query": 256, "passage": 256}},
            "data": {"train": "pairs", "positives": {"per_query": 1}}, "loss": {"objective": objective, "temperature": 0.05},
            "batch": {"queries": 32}, "optimizer": {"learning_rate": 2e-5, "warmup": 0.1, "schedule": "linear"},
            "duration": {"epochs": 1}, "seed": seed,
            "resources": {"device": "cpu", "slots": {"min": 1, "max": 1}, "threads": 2}}


def evaluate(cluster, model, options=()):
    return cluster.ok("eval", model, "scifact", "--split", "test", *options, "--output", "json", timeout=HOUR).json()["ndcg@10"]


def train_peer(cluster, seed):
    folder = cluster.folder / f"peer-{seed}"
    subprocess.run([str(PARITY), str(pathlib.Path(__file__).with_name("quality_peer.py")), str(MINILM),
                    str(cluster.folder / "pairs"), str(folder), str(seed)], check=True)
    cluster.ok("models", "push", f"peer-{seed}", folder)
    return f"peer-{seed}"


def train(cluster, seed, options):
    job_id = cluster.submit(job(seed, options.objective), *options.settings)
    cluster.wait_for_phase(job_id, "JOB_PHASE_SUCCEEDED", seconds=HOUR)
    return f"job:{job_id}"


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--peer-seeds", type=int, default=0)
    parser.add_argument("--objective", default="jointlh")
    parser.add_argument("--set", dest="sets", action="append", default=[])
    parser.add_argument("--json")
    options = parser.parse_args()
    options.settings = [word for setting in options.sets for word in ("--set", setting)]
    found = {options.objective: [], "sentence-transformers": []}
    with Cluster(slots=1) as cluster:
        cluster.ok("models", "push", "minilm", MINILM)
        write_pairs(cluster.folder / "pairs")
        cluster.ok("data", "import", "pairs", cluster.folder / "pairs")
        cluster.ok("data", "import", "scifact", SHARED / "data/scifact")
        found["untrained"] = [evaluate(cluster, "minilm")]
        runs = [(options.objective, seed, lambda seed: train(cluster, seed, options)) for seed in range(1, options.seeds + 1)]
        runs += [("sentence-transformers", seed, lambda seed: train_peer(cluster, seed))
                 for seed in range(1, options.peer_seeds + 1)]
        for name, seed, make in runs:
            found[name].append(evaluate(cluster, make(seed)))
            print(f"{name}, seed {seed}: nDCG@10 {found[name][-1]:.4f}", flush=True)
            write_json(options.json, {"machine": machine(), "settings": options.sets, "ndcg@10": found})
    print(machine())
    table(("trained by", "runs", "mean nDCG@10", "standard deviation", "lowest", "highest"),
          [(name, len(values), f"{statistics.mean(values):.4f}",
            f"{statistics.stdev(values):.4f}" if len(values) > 1 else "", f"{min(values):.4f}", f"{max(values):.4f}")
           for name, values in found.items() if values])


if __name__ == "__main__":
    main()
