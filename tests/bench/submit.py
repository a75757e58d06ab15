#!/usr/bin/env python3
"""From `muster submit` to the end of the first step, on a warm cluster of this machine with MiniLM over mTLS.

usage: tests/bench/submit.py [--slots N] [--jobs N] [--json FILE]
  --slots   ranks per job (1), which share two threads
  --jobs    after the first one, which warms up: dataset, tokens and model are in their caches then (5)

The clock starts before the client program does. A step's time is the rank's own, from the job's step log.
"""
import argparse
import datetime
import json
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))

from cluster import MINILM, SHARED, Cluster  # noqa: E402
from turns import machine, median, table, write_json  # noqa: E402


def job(name, slots, dataset):
    return {"name": name, "model": {"from": "minilm", "max_length": {"query": 64, "passage": 64}},
            "data": {"train": dataset, "positives": {"per_query": 1}}, "batch": {"queries": 8},
            "optimizer": {"learning_rate": 2e-5}, "duration": {"steps": 2},
            "resources": {"device": "cpu", "slots": {"min": slots, "max": slots}, "threads": max(1, 2 // slots)}}


def seconds_of(text):
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def measure(cluster, name, slots, dataset="banking", seconds=120):
    """Seconds from the start of the client to: the end of the client, the first lines of rank 0, the end of step 1."""
    start = time.time()
    job_id = cluster.submit(job(name, slots, dataset))
    submitted = time.time() - start
    cluster.wait_for_phase(job_id, "JOB_PHASE_SUCCEEDED", seconds=seconds)
    header, first, *_ = cluster.ok("get", job_id, "--metrics", "csv").out.splitlines()
    row = dict(zip(header.split(","), first.split(",")))
    marks = {"submit returns": submitted}
    for line in cluster.ok("logs", job_id).out.splitlines():
        for mark in ("connecting", "loading the model", "waiting for the data server"):
            if line.endswith(mark) and mark not in marks:
                stamp = next((word for word in line.split() if word[:3] == "202" and "T" in word), None)
                if stamp:
                    marks[mark] = seconds_of(stamp.strip("[]")) - start
    marks["first step takes"] = float(row["seconds"])
    marks["first step ends"] = seconds_of(row["time"]) - start
    return marks


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--slots", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=5)
    parser.add_argument("--json")
    options = parser.parse_args()
    with Cluster(slots=options.slots) as cluster:
        cluster.ok("models", "push", "minilm", MINILM)
        cluster.ok("data", "import", "banking", SHARED / "data/banking77-intent")
        first, *runs = [measure(cluster, f"job-{i}", options.slots) for i in range(options.jobs + 1)]
        print(f"log of a job:\n{cluster.ok('logs', cluster.ok('jobs', '--output', 'json').json()['jobs'][0]['id']).out}")
    print(machine())
    table(("ranks", *runs[0], "the first job"),
          [(options.slots, *(f"{median([run[mark] for run in runs]):.3f} s" for mark in runs[0]),
            f"{first['first step ends']:.3f} s")])
    write_json(options.json, {"machine": machine(), "first": first, "runs": runs})


if __name__ == "__main__":
    main()
