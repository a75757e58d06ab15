#!/usr/bin/python3
"""Writes Prometheus' target files for a `muster local`, from the metrics ports in its STATE/local.json.

usage: deploy/prometheus/write_targets.py STATE [FOLDER]     (FOLDER: targets/ in this folder)
"""
import json
import os
import pathlib
import sys


def write_targets(state, folder):
    """One file per server, replaced atomically, because Prometheus reads them at any time."""
    metrics = json.loads((pathlib.Path(state) / "local.json").read_text(encoding="utf-8"))["metrics"]
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for server, address in metrics.items():
        new = folder / f".muster-{server}.new"
        new.write_text(json.dumps([{"targets": [address]}]) + "\n", encoding="utf-8")
        os.replace(new, folder / f"muster-{server}.json")


if __name__ == "__main__":
    if not 2 <= len(sys.argv) <= 3:
        sys.exit(__doc__)
    write_targets(sys.argv[1], sys.argv[2] if len(sys.argv) == 3 else pathlib.Path(__file__).resolve().parent / "targets")
