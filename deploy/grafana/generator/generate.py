#!/usr/bin/python3
"""Writes deploy/grafana/dashboards/*.json. The SDK is .deps/grafana-sdk (deploy/bootstrap --tests).

usage: deploy/grafana/generator/generate.py [FOLDER]
"""
import json
import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parents[2] / ".deps/grafana-sdk")]

import fleet  # noqa: E402
import job  # noqa: E402
import reliability  # noqa: E402
from grafana_foundation_sdk.cog.encoder import JSONEncoder  # noqa: E402

DASHBOARDS = {"fleet": fleet, "job": job, "reliability": reliability}


def encode(value):
    return json.dumps(value, cls=JSONEncoder, sort_keys=True, indent=1) + "\n"


def main():
    folder = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else HERE.parent / "dashboards"
    folder.mkdir(parents=True, exist_ok=True)
    for name, module in DASHBOARDS.items():
        (folder / f"{name}.json").write_text(encode(module.build()), encoding="utf-8")


if __name__ == "__main__":
    main()
