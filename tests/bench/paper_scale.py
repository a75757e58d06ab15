#!/usr/bin/env python3
"""Time and memory of a dataset of MS MARCO's size on a cluster of this machine: import, token store, submission.

usage: tests/bench/paper_scale.py [--passages N] [--queries N] [--positives X] [--folder PATH] [--json FILE]
  --passages, --queries, --positives   of the generated set (8800000, 500000, 2.9 positives per query on average)
  --folder PATH   where the BEIR folder is generated and kept (default: a temporary one, 4 GB); used again if it exists

The clock of an import runs from the start of `muster data import` to its end: reading, the upload over mTLS, writing. The
first job on the dataset makes its token store; the second one finds it. Memory is the data server's peak in each part: all
resident pages, and those that belong to no file (RssAnon, sampled every 50 ms). Pages of mapped files can be dropped at any
moment, and a container's limit does not end the process for them.
"""
import argparse
import pathlib
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))

from cluster import MINILM, Cluster  # noqa: E402
from submit import measure  # noqa: E402
from turns import BIN, machine, table, write_json  # noqa: E402


def parent_of(pid):
    return int(pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])


def data_server(cluster):
    """The process id of the cluster's data server."""
    for folder in pathlib.Path("/proc").iterdir():
        try:
            if folder.name.isdigit() and (folder / "comm").read_text().strip() == "muster-data":
                if parent_of(folder.name) == cluster.process.pid:
                    return int(folder.name)
        except (OSError, IndexError):
            continue  # the process has ended
    raise RuntimeError("the cluster has no data server")


class Peak:
    """Peak memory of a process in a part of the run, with and without the pages of mapped files."""

    def __init__(self, pid):
        self.status, self.clear = pathlib.Path(f"/proc/{pid}/status"), pathlib.Path(f"/proc/{pid}/clear_refs")
        self.begin()
        threading.Thread(target=self.sample, daemon=True).start()

    def begin(self):
        self.clear.write_text("5")  # resets VmHWM
        self.anonymous = 0

    def read(self, name):
        lines = dict(line.split(":", 1) for line in self.status.read_text().splitlines())
        return int(lines[name].split()[0]) / 1024

    def sample(self):
        try:
            while True:
                self.anonymous = max(self.anonymous, self.read("RssAnon"))
                time.sleep(0.05)
        except (OSError, KeyError):
            return  # the process has ended

    def mib(self):
        return {"resident": self.read("VmHWM"), "anonymous": self.anonymous}


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--passages", type=int, default=8_800_000)
    parser.add_argument("--queries", type=int, default=500_000)
    parser.add_argument("--positives", type=float, default=2.9)
    parser.add_argument("--folder", type=pathlib.Path)
    parser.add_argument("--json")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="paper-scale-") as scratch, Cluster(slots=1) as cluster:
        folder = options.folder or pathlib.Path(scratch) / "set"
        if not (folder / "corpus.jsonl").exists():
            subprocess.run([BIN / "muster-import-bench", "generate", folder, "--passages", str(options.passages), "--queries",
                            str(options.queries), "--positives", str(options.positives)], check=True)
        size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
        cluster.ok("models", "push", "minilm", MINILM)
        peak = Peak(data_server(cluster))
        start = time.monotonic()
        cluster.ok("data", "import", "paper", folder, timeout=3600)
        found = {"bytes": size, "import_seconds": time.monotonic() - start, "import_mib": peak.mib()}
        for name in ("first", "second", "third"):
            peak.begin()
            found[name] = {**measure(cluster, name, 1, "paper", seconds=3600), "data_server_mib": peak.mib()}
    print(machine())
    memory = lambda peak: f"{peak['resident']:.0f}, {peak['anonymous']:.0f}"  # noqa: E731
    table(("part", "seconds", "data server, MiB: resident, anonymous"),
          [("import", f"{found['import_seconds']:.1f}", memory(found["import_mib"])),
           *((f"{name} job: submit returns, first step ends",
              f"{found[name]['submit returns']:.2f}, {found[name]['first step ends']:.2f}",
              memory(found[name]["data_server_mib"])) for name in ("first", "second", "third"))])
    write_json(options.json, {"machine": machine(), "found": found, "passages": options.passages, "queries": options.queries})


if __name__ == "__main__":
    main()
