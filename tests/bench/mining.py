#!/usr/bin/env python3
"""Whether mined negatives help on scifact: training with them against in-batch negatives alone, over seeds, on the test queries.

usage: .deps/parity/bin/python tests/bench/mining.py [--seeds N] [--epochs N] [--per-query N] [--ranks FIRST-LAST]
           [--relative-margin X] [--objective NAME] [--passage-tokens N] [--set FIELD=VALUE]... [--json FILE]
  --seeds N           pairs of jobs, with seeds 1 to N (5)
  --epochs N          of each job (3)
  --per-query N       mined negatives that a query brings into a step (4); as many are mined
  --ranks, --relative-margin   as for muster mine (1-100, 0.95)
  --passage-tokens N  longer passages are cut, in training and in the evaluation (256)
  --set FIELD=VALUE   of the training jobs

MiniLM mines from scifact's train split once, and trains from the same weights in every job. The two jobs of a seed differ in
their negatives alone: batches have the same queries and positives. Each model is exported, and ranks the corpus by
sentence-transformers; `muster compare` tests each seed's two runs over the queries, and a paired t test the means over the seeds.
A pair takes about half an hour on two cores, and 5 minutes with one epoch and 128 tokens.
"""
import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys

os.environ.setdefault("HF_HUB_OFFLINE", "1")
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))

from cluster import MINILM, SHARED, Cluster  # noqa: E402
from turns import BIN, machine, table, write_json  # noqa: E402

HOUR = 3600
KEPT = 1000
DATA = SHARED / "data/scifact"
QRELS = DATA / "qrels/test.tsv"
QUERY_TOKENS = 64


def job(name, seed, dataset, negatives, options):
    return {"name": name, "model": {"from": "minilm", "max_length": {"query": QUERY_TOKENS, "passage": options.passage_tokens}},
            "data": {"train": dataset, "positives": {"per_query": 2}, "negatives": {"per_query": negatives}},
            "loss": {"objective": options.objective}, "batch": {"queries": 32}, "duration": {"epochs": options.epochs}, "seed": seed,
            "resources": {"device": "cpu", "slots": {"min": 1, "max": 1}}}


def write_run(folder, run, passage_tokens):
    """The model's ranking of the whole corpus for each test query, in TREC's format."""
    import torch
    from sentence_transformers import SentenceTransformer
    judged = {line.split("\t")[0] for line in QRELS.read_text(encoding="utf-8").splitlines()[1:]}
    read = lambda name: [json.loads(line) for line in open(DATA / name, encoding="utf-8")]  # noqa: E731
    queries = [record for record in read("queries.jsonl") if record["_id"] in judged]
    corpus = read("corpus.jsonl")
    model = SentenceTransformer(str(folder), device="cpu", local_files_only=True)

    def encoded(texts, tokens):
        model.max_seq_length = tokens
        return torch.from_numpy(model.encode(texts, normalize_embeddings=True, show_progress_bar=False))
    documents = encoded([f"{record['title']} {record['text']}" for record in corpus], passage_tokens)
    scores, numbers = torch.topk(encoded([record["text"] for record in queries], QUERY_TOKENS) @ documents.T, KEPT)
    with open(run, "w", encoding="utf-8") as out:
        for query, row_scores, row_numbers in zip(queries, scores.tolist(), numbers.tolist()):
            out.writelines(f"{query['_id']} Q0 {corpus[number]['_id']} {rank} {score:.8f} {run.stem}\n"
                           for rank, (score, number) in enumerate(zip(row_scores, row_numbers), 1))


def train(cluster, name, seed, dataset, negatives, options):
    """The file with the run of a trained model."""
    job_id = cluster.submit(job(f"{name}-{seed}", seed, dataset, negatives, options), *options.settings)
    cluster.wait_for_phase(job_id, "JOB_PHASE_SUCCEEDED", seconds=10 * HOUR)
    folder = cluster.folder / f"model-{name}-{seed}"
    cluster.ok("export", job_id, folder)
    run = cluster.folder / f"{name}-{seed}.run"
    write_run(folder, run, options.passage_tokens)
    return run


def muster(*words):
    return subprocess.run([BIN / "muster", *map(str, words)], check=True, capture_output=True, text=True).stdout


def mean_of(run):
    return json.loads(muster("score", run, "--qrels", QRELS, "--metric", "ndcg@10", "--output", "json"))["runs"][0]["metrics"]["ndcg@10"]["mean"]


def test_over_seeds(plain, mined):
    from scipy import stats
    difference = [b - a for a, b in zip(plain, mined)]
    if len(difference) < 2:
        return
    half = stats.t.ppf(0.975, len(difference) - 1) * statistics.stdev(difference) / len(difference) ** 0.5
    mean = statistics.mean(difference)
    print(f"over {len(difference)} seeds: {mean:+.4f} ({mean - half:+.4f} to {mean + half:+.4f}), "
          f"paired t test p = {stats.ttest_rel(mined, plain).pvalue:.4f}")


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--per-query", type=int, default=4)
    parser.add_argument("--ranks", default="1-100")
    parser.add_argument("--relative-margin", default="0.95")
    parser.add_argument("--objective", default="jointlh")
    parser.add_argument("--passage-tokens", type=int, default=256)
    parser.add_argument("--set", dest="sets", action="append", default=[])
    parser.add_argument("--json")
    options = parser.parse_args()
    options.settings = [word for setting in options.sets for word in ("--set", setting)]
    found = {"in-batch": [], "mined": []}
    with Cluster(slots=1) as cluster:
        cluster.ok("models", "push", "minilm", MINILM)
        cluster.ok("data", "import", "scifact", DATA)
        mined = cluster.ok("mine", "scifact", "--model", "minilm", "--out", "scifact-mined", "--per-query", options.per_query, "--ranks",
                           options.ranks, "--relative-margin", options.relative_margin, timeout=HOUR)
        print(mined.err.splitlines()[-1])
        for seed in range(1, options.seeds + 1):
            plain = train(cluster, "in-batch", seed, "scifact", 0, options)
            mined = train(cluster, "mined", seed, "scifact-mined", options.per_query, options)
            found["in-batch"].append(mean_of(plain))
            found["mined"].append(mean_of(mined))
            print(f"seed {seed}\n{muster('compare', plain, mined, '--qrels', QRELS)}", flush=True)
            write_json(options.json, {"machine": machine(), "settings": vars(options), "ndcg@10": found})
    print(machine())
    table(("negatives", "seeds", "mean nDCG@10", "lowest", "highest"),
          [(name, len(values), f"{statistics.mean(values):.4f}", f"{min(values):.4f}", f"{max(values):.4f}")
           for name, values in found.items()])
    test_over_seeds(found["in-batch"], found["mined"])


if __name__ == "__main__":
    main()
