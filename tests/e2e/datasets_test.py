"""Datasets through the CLI of a real cluster: from a user's rows to a model, and back to files."""
import json
import pathlib
import random
import re
import signal
import subprocess
import sys
import unittest
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from cluster import WORDS, Cluster, topics_job, wait_until, write_vocabulary  # noqa: E402


def write_rows(folder):
    """train.jsonl and test.jsonl with query, pos and neg, as for FlagEmbedding."""
    draw = random.Random(3)
    folder.mkdir(parents=True)
    told = {topic: [" ".join(draw.choices(words[5:], k=6)) for _ in range(8)] for topic, words in WORDS.items()}
    for split, count in (("train", 9), ("test", 3)):
        with open(folder / f"{split}.jsonl", "w") as out:
            for topic, words in WORDS.items():
                other = draw.choice([name for name in WORDS if name != topic])
                for n in range(count):
                    query = " ".join(draw.choices(words[:5], k=4)) + f" {split} {n}"
                    row = {"query": query, "pos": draw.sample(told[topic], 3), "neg": draw.sample(told[other], 2)}
                    out.write(json.dumps(row) + "\n")
    return folder


class Datasets(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster(slots=2)
        cls.addClassCleanup(cls.cluster.close)
        cls.cluster.start()
        cls.cluster.ok("models", "push", "small-vocab", write_vocabulary(cls.cluster.folder / "vocab"))

    def test_rows_become_an_evaluated_and_exported_model_in_three_commands(self):
        cluster, commands = self.cluster, []

        def run(*words):
            commands.append(words)
            return cluster.ok(*words)

        rows = write_rows(cluster.folder / "rows")
        job = cluster.folder / "job.yaml"
        job.write_text(json.dumps(topics_job("three", data={"train": "rows", "positives": {"per_query": 2}},
                                             report={"dataset": "rows", "split": "test"}, duration={"steps": 60})))

        run("data", "import", "rows", rows)
        done = run("submit", job, "--wait", "--output", "json").json()
        run("export", done["id"], cluster.folder / "model")

        self.assertLessEqual(len(commands), 3)
        scores = {e["label"]: e["metrics"]["ndcg@10"] for e in done["evaluations"]}
        print("ndcg@10", scores)
        self.assertGreater(scores["trained"], scores["untrained"] + 0.1)
        for name in ("config.json", "model.safetensors", "modules.json", "README.md"):
            self.assertTrue((cluster.folder / "model" / name).is_file(), name)

    def test_an_export_is_the_same_dataset_again(self):
        cluster = self.cluster
        rows = write_rows(cluster.folder / "again")
        first = cluster.ok("data", "import", "first", rows, "--output", "json").json()["dataset"]["digest"]
        printed = cluster.ok("data", "export", "first", cluster.folder / "files", "--format", "jsonl").out
        command = re.search(r"to import it again: muster (.*)", printed).group(1).replace("NAME", "second").split()
        self.assertEqual(cluster.ok(*command, "--output", "json").json()["dataset"]["digest"], first)
        sample = cluster.ok("data", "show", "second", "--split", "test", "--queries", "2", "--output", "json").json()["sample"]
        self.assertEqual((sample["split"], len(sample["queries"])), ("test", 2))

    def test_a_repeated_import_changes_nothing_and_operations_tell_what_ran(self):
        cluster = self.cluster
        rows = write_rows(cluster.folder / "repeated")
        words = ("data", "import", "repeated", rows, "--request-id", "r1", "--output", "json")
        first = cluster.ok(*words).json()
        self.assertEqual(cluster.ok(*words).json(), first)
        refused = cluster.muster("data", "import", "repeated", rows / "train.jsonl", "--request-id", "r1")
        self.assertEqual(refused.code, 6, refused)
        self.assertIn('request_id: "r1" was used to import dataset repeated, with other options or files.', refused.err)
        cluster.ok("data", "rm", "repeated", "--request-id", "r2")
        cluster.ok("data", "rm", "repeated", "--request-id", "r2")

        once = cluster.ok("gc", "--dry-run", "--request-id", "g1", "--output", "json").json()
        self.assertEqual(cluster.ok("gc", "--dry-run", "--request-id", "g1", "--output", "json").json(), once)
        self.assertEqual(cluster.muster("gc", "--request-id", "g1").code, 6, "another request")
        operations = cluster.ok("operations", "--output", "json").json()["operations"]
        imports = [o for o in operations if o["subject"] == "repeated"]
        self.assertEqual([(o["kind"], o["phase"]) for o in imports], [("OPERATION_KIND_IMPORT", "OPERATION_PHASE_SUCCEEDED")], "once")
        kinds = [o["kind"] for o in operations if o["subject"] == "dry run"]
        self.assertEqual(sorted(kinds), ["OPERATION_KIND_GARBAGE_COLLECTION", "OPERATION_KIND_SWEEP"])
        shown = cluster.ok("operation", "get", imports[0]["id"]).out
        self.assertIn("imported 72 queries", shown)
        ended = cluster.muster("operation", "cancel", imports[0]["id"])
        self.assertEqual(ended.code, 6, ended)
        self.assertIn("has ended (succeeded)", ended.err)

    def test_an_import_that_runs_can_be_canceled_by_its_id(self):
        cluster = self.cluster
        client = subprocess.Popen(cluster.command("data", "import", "endless", "-", "--schema", "flagembedding"), env=cluster.environment(),
                                  stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        self.addCleanup(client.kill)
        row = json.dumps({"query": "asked", "pos": ["told"]}) + "\n"

        def running():
            client.stdin.write(row * 2000)  # until a whole chunk has been sent
            client.stdin.flush()
            found = cluster.ok("operations", "--active", "--output", "json").json()["operations"]
            return [o for o in found if o["subject"] == "endless"]
        found, = wait_until("the import runs", running, 60)
        canceled = cluster.ok("operation", "cancel", found["id"], "--output", "json").json()
        self.assertEqual(canceled["phase"], "OPERATION_PHASE_CANCELED", canceled)
        try:
            client.stdin.close()
        except BrokenPipeError:
            pass
        self.assertNotEqual(client.wait(60), 0)
        self.assertEqual(cluster.muster("data", "report", "endless").code, 6, "nothing is left of it")

    def test_judgments_of_another_source_are_added(self):
        cluster = self.cluster
        rows = write_rows(cluster.folder / "add")
        cluster.ok("data", "import", "judged", rows)
        (cluster.folder / "llm.tsv").write_text("query-id\tcorpus-id\tscore\nq1\tp1\t2\nq2\tp1\t1\n")
        page = cluster.folder / "report.html"
        added = cluster.ok("data", "add", "judged", cluster.folder / "llm.tsv", "--split", "train", "--source", "llm",
                           "--report", page, "--output", "json").json()
        self.assertEqual(added["added"]["judgments"], "2")
        self.assertEqual(added["sources"]["llm"], "2")
        self.assertIn("<td>llm</td>", page.read_text())
        self.assertEqual(cluster.ok("data", "report", "judged", "--output", "json").json(), added)

    def test_an_upload_of_a_killed_client_continues_where_it_stopped(self):
        cluster = self.cluster
        path = cluster.folder / "large.jsonl"
        with open(path, "w") as out:
            for n in range(130_000):
                out.write(json.dumps({"query": f"asked {n}", "pos": [f"told {n} " + "x" * 1000]}) + "\n")
        size = path.stat().st_size
        self.assertGreater(size, 64 << 20)
        partial = next(cluster.state.rglob("blobs/partial"))

        def kept():
            return sum(entry.stat().st_size for entry in partial.iterdir())

        calls = self.metric("muster_rpc_seconds_count", 'method="BlobService/PutBlob"')
        client = subprocess.Popen(cluster.command("data", "import", "large", path), env=cluster.environment(),
                                  stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until("some of the file is stored", lambda: kept() > 8 << 20 or client.poll() is not None, 60, every=0.001)
        client.send_signal(signal.SIGKILL)
        client.wait()
        self.assertEqual(client.returncode, -signal.SIGKILL, "the upload was faster than this test")
        # Until its call has ended, the server may still receive what the client sent before it was killed.
        wait_until("the server has ended the killed client's call",
                   lambda: self.metric("muster_rpc_seconds_count", 'method="BlobService/PutBlob"') > calls, 30)
        before, stopped = self.bytes_in(), kept()
        self.assertGreater(stopped, 0)
        done = cluster.ok("data", "import", "large", path, "--output", "json").json()
        self.assertEqual(done["dataset"]["queries"], "130000")
        sent = self.bytes_in() - before
        print(f"{size} bytes, {stopped} were there, {sent} sent again")
        self.assertEqual(sent, size - stopped)

    def bytes_in(self):
        return self.metric("muster_blob_bytes_total", 'direction="in"')

    def metric(self, name, label):
        """The sum of the samples of `name` that have `label`; 0 where there is none yet."""
        url = f"http://{self.cluster.info()['metrics']['data']}/metrics"
        with urllib.request.urlopen(url, timeout=10) as reply:
            text = reply.read().decode()
        samples = re.findall(r"^%s{([^}]*)} (\S+)$" % re.escape(name), text, re.M)
        return int(sum(float(value) for labels, value in samples if label in labels))


if __name__ == "__main__":
    unittest.main(verbosity=2)
