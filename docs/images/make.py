#!/usr/bin/python3
"""Makes the README's pictures: runs two workers and jobs on them, kills a rank on the way, and draws what Prometheus scraped.
Needs a build (MUSTER_BIN: its bin folder), deploy/bootstrap --tests --model, and python3-matplotlib.

usage: docs/images/make.py [FOLDER_WITH_MODEL]
"""
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/e2e"))
from apart import Apart  # noqa: E402
from cluster import MINILM  # noqa: E402
from watching import Prometheus  # noqa: E402

DRAW = ROOT / "deploy/grafana/draw.py"


def facets(folder):
    index = subprocess.Popen(["apt-cache", "dumpavail"], stdout=subprocess.PIPE)
    subprocess.run([sys.executable, str(ROOT / "deploy/demo/debtags.py"), str(folder)], stdin=index.stdout, check=True)
    index.wait()
    return folder


def job(name, slots, steps, queries=24, queue="default"):
    # A small model with random weights, so that minutes on two cores show something.
    return {"name": name, "model": {"preset": "tiny", "tokenizer": "all-minilm-l6-v2", "max_length": {"query": 16, "passage": 24}},
            "data": {"train": "debtags-train", "positives": {"per_query": 4}},
            "loss": {"objective": "lsepair", "temperature": 0.05}, "batch": {"queries": queries},
            "optimizer": {"learning_rate": 1e-3}, "duration": {"steps": steps},
            "evaluate": {"dataset": "small-test", "split": "test", "every_steps": 40, "metric": "ndcg@20"},
            "resources": {"device": "cpu", "slots": {"min": slots, "max": slots}, "threads": 1, "queue": queue},
            "checkpoint": {"every_steps": 30, "keep": 1}, "seed": 17}


def smaller(source, folder, documents=400):
    """A part of a BEIR folder: its first judged documents, so that an evaluation takes seconds."""
    shutil.copytree(source, folder)
    judged = [line.split("\t") for line in (source / "qrels/test.tsv").read_text().splitlines()[1:]]
    kept = set(list(dict.fromkeys(row[1] for row in judged))[:documents])
    lines = (source / "corpus.jsonl").read_text().splitlines(True)
    (folder / "corpus.jsonl").write_text("".join(line for line in lines if line.split('"_id": "')[1].split('"')[0] in kept))
    rows = [row for row in judged if row[1] in kept]
    (folder / "qrels/test.tsv").write_text("query-id\tcorpus-id\tscore\n" + "".join("\t".join(row) + "\n" for row in rows))
    asked = {row[0] for row in rows}
    lines = (source / "queries.jsonl").read_text().splitlines(True)
    (folder / "queries.jsonl").write_text("".join(line for line in lines if line.split('"_id": "')[1].split('"')[0] in asked))
    return folder


def draw(name, prometheus, rows, start, *more):
    minutes = (time.time() - start) / 60
    subprocess.run([str(DRAW), str(ROOT / f"deploy/grafana/dashboards/{name}.json"), str(ROOT / f"docs/images/{name}.png"), "--prometheus",
                    f"http://{prometheus.address}", "--rows", rows, "--minutes", f"{minutes:.2f}", *more], check=True)


def main():
    cluster = Apart((2, 1))
    prometheus = Prometheus(cluster.folder / "prometheus")
    try:
        cluster.start()
        cluster.ok("models", "push", "all-minilm-l6-v2", sys.argv[1] if len(sys.argv) > 1 else MINILM)
        made = facets(cluster.folder / "facets")
        cluster.ok("data", "import", "debtags-train", made / "train")
        cluster.ok("data", "import", "small-test", smaller(made / "test", cluster.folder / "small"))
        prometheus.start()
        prometheus.watch("coordinator", [cluster.coordinator.metrics])
        prometheus.watch("data", [cluster.data.metrics])
        prometheus.watch("worker", [worker.metrics for worker in cluster.workers])
        start = time.time()
        main_job = cluster.submit(job("facets", 2, 400))
        cluster.submit(job("small", 1, 60, 8, "research"))
        cluster.submit(job("behind", 1, 120, 8, "research"))
        cluster.wait_for_step(main_job, 170, seconds=600)
        os.kill(cluster.rank_pids()[0], signal.SIGKILL)
        cluster.wait_for_step(main_job, 390, seconds=900)
        draw("job", prometheus, "Now,Learning,Several positives,Speed", start, "--job", main_job)
        draw("fleet", prometheus, "Now,Jobs,Queue,Fleet", start)
    finally:
        prometheus.stop()
        cluster.close()


if __name__ == "__main__":
    main()
