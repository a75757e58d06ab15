#!/usr/bin/python3
"""Makes the pictures of docs/guides/reports.md: trains two jobs on Debian's facets, and takes screenshots of their reports.
Needs a build (MUSTER_BIN: its bin folder) and deploy/bootstrap --tests --model.

usage: docs/images/make_report.py
"""
import pathlib
import sys

import make

sys.path.insert(0, str(make.ROOT / "tests"))
from browser import Browser  # noqa: E402
from cluster import MINILM, Cluster  # noqa: E402


def job(name, objective):
    spec = make.job(name, 1, 300, queries=32)
    spec["loss"] = {"objective": objective, "temperature": 0.05}
    spec["evaluate"]["every_steps"] = 25
    return {**spec, "report": {"dataset": "small-test", "split": "test", "allow_selection_split": True}}


def main():
    with Cluster(slots=1) as cluster, Browser() as browser:
        cluster.ok("models", "push", "all-minilm-l6-v2", MINILM)
        made = make.facets(cluster.folder / "facets")
        cluster.ok("data", "import", "debtags-train", made / "train")
        cluster.ok("data", "import", "small-test", make.smaller(made / "test", cluster.folder / "small"))
        for name in ("lsepair", "jointlh"):
            cluster.wait_for_phase(cluster.submit(job(name, name)), "JOB_PHASE_SUCCEEDED", seconds=600)
        for picture, jobs, height in (("report", ["lsepair"], 1010), ("report-comparison", ["lsepair", "jointlh"], 1010)):
            page = cluster.folder / f"{picture}.html"
            cluster.ok("report", *jobs, "--out", page)
            browser.open(page)
            file = pathlib.Path(__file__).parent / f"{picture}.png"
            browser.screenshot(file, 1240, height)
            print(f"{file}: {file.stat().st_size} bytes")


if __name__ == "__main__":
    main()
