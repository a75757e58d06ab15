"""The Python client on a real cluster: its example, its guide, following across a restart, import, export, cancel, errors."""
import contextlib
import csv
import io
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import threading
import unittest
from unittest import mock

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from cluster import ROOT, TopicsCase, topics_job, wait_until  # noqa: E402

sys.path.insert(0, str(ROOT / "client/python/testing"))
import scratch  # noqa: E402
import event_reader  # noqa: E402
import muster  # noqa: E402


def hashes(folder):
    import hashlib
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in folder.rglob("*") if path.is_file()}


class PythonClient(TopicsCase):
    def setUp(self):
        info = self.cluster.info()
        self.client = muster.connect(info["address"], info["certs"])
        self.addCleanup(self.client.close)

    def test_the_example_trains_shows_and_exports(self):
        target = self.cluster.folder / "example-model"
        example = ROOT / "client/python/examples/train.py"
        self.client.import_dataset("example", [{"query": "of a run before", "pos": ["is replaced"]}])
        done = subprocess.run([sys.executable, str(example), str(target)], env={**self.cluster.environment(), "PYTHONPATH": scratch.PATH},
                              capture_output=True, text=True, timeout=500, cwd=self.cluster.folder)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        print(done.stdout[-700:])
        self.assertIn("untrained  trained   change", done.stdout)
        self.assertTrue((target / "model.safetensors").is_file())
        untrained, trained = self.client.jobs(name_prefix="example", limit=1)[0].before_after["ndcg@10"]
        self.assertGreater(trained, untrained + 0.2)

    def test_progress_and_metrics_continue_across_a_restart_of_the_coordinator(self):
        job = self.client.submit(topics_job("restart", duration={"steps": 60}, checkpoint={"every_steps": 20}), request_id="restart-1")
        self.assertEqual(self.client.submit(topics_job("restart", duration={"steps": 60}, checkpoint={"every_steps": 20}),
                                            request_id="restart-1").id, job.id, "the same request is the same job")
        steps = []
        reader = threading.Thread(target=lambda: steps.extend(row["step"] for row in self.client.job(job.id).stream_metrics(timeout=400)))
        reader.start()
        killed, before, seen = None, 0, []
        for now in job.progress(timeout=400):
            seen.append((now.phase, now.step))
            if killed is None and now.phase == "training" and now.step:
                killed, before = self.cluster.info()["pids"]["coordinator"], len(seen)
                os.kill(killed, signal.SIGKILL)
        reader.join(60)
        self.assertIsNotNone(killed)
        wait_until("a new coordinator", lambda: self.cluster.info()["pids"]["coordinator"] != killed, 60)
        self.assertEqual((job.phase, seen[-1]), ("succeeded", ("succeeded", 60)), seen[-5:])
        for part in (seen[:before], seen[before:]):  # steps are not in the journal: a new coordinator begins with 0
            self.assertEqual(part, sorted(part, key=lambda one: one[1]), "no state is seen twice")
        self.assertEqual((steps[-1], steps), (60, sorted(steps)))
        rows = job.step_log()
        log = rows if isinstance(rows, list) else rows.to_dict("records")
        self.assertEqual([int(row["step"]) for row in log], list(range(1, 61)))
        self.assertEqual(job.step_log_csv(), self.cluster.ok("get", job.id, "--metrics", "csv").out)

    def test_an_export_has_the_bytes_of_the_command_lines(self):
        job = self.client.submit(topics_job("exported", duration={"steps": 10})).wait(timeout=120)
        ours, theirs = self.cluster.folder / "ours", self.cluster.folder / "theirs"
        self.assertEqual(job.export(ours), ours)
        self.cluster.ok("export", job.id, theirs)
        self.assertIn("model.safetensors", hashes(ours))
        self.assertEqual(hashes(ours), hashes(theirs))
        model = self.client.push_model("exported", ours)
        self.assertEqual((model.name, model.architecture), ("exported", "bert"))
        with self.assertRaises(muster.RefusedError) as caught:
            self.client.push_model("exported", ours)
        self.assertEqual((caught.exception.code, caught.exception.reason), ("ALREADY_EXISTS", "MODEL_EXISTS"))
        again = self.client.submit({"name": "again", "model": {"from": "job:exported"}, "data": {"train": "topics"},
                                    "duration": {"steps": 1}}, dry_run=True)
        self.assertEqual(getattr(again.spec.model, "from"), f"job:{job.id}", "a job is named by its name, too")
        self.assertEqual((again.id, again.preview.total_steps), ("", 1))

    def test_rows_and_files_become_the_dataset_that_the_command_line_makes(self):
        rows = [{"query": f"größe {number}", "pos": [f"passage {number}", "shared"], "neg": ["wolf"]} for number in range(500)]
        path = self.cluster.folder / "rows.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        self.cluster.ok("data", "import", "rows-cli", path)

        class Dataset:  # as datasets.Dataset
            def __iter__(self):
                return iter(rows)
        digest = self.client.dataset("rows-cli").digest
        for number, source in enumerate((rows, (row for row in rows), Dataset(), path, {"train": rows})):
            found = self.client.import_dataset(f"rows-{number}", source)
            self.assertEqual((found.digest, found.splits), (digest, {"train": 500}), f"source {number}")
        self.assertEqual(self.client.import_dataset("topics-2", self.cluster.folder / "topics").digest, self.client.dataset("topics").digest)
        large = self.client.import_dataset("large", ({"query": f"q {n}", "pos": [f"p {n} " + "x" * 1000]} for n in range(5000)))
        self.assertEqual(large.queries, 5000)
        with self.assertRaises(muster.RefusedError) as caught:
            self.client.import_dataset("large", rows)
        self.assertEqual(caught.exception.reason, "DATASET_EXISTS")
        self.assertEqual(self.client.import_dataset("large", rows, replace=True).queries, 500)
        with self.assertRaises(muster.InvalidArgumentError) as caught:
            self.client.import_dataset("bad", [{"query": "a", "pos": "not a list of texts", "neg": 5}])
        self.assertEqual(caught.exception.reason, "BAD_RECORD")
        self.client.delete_dataset("large")
        self.assertNotIn("large", [dataset.name for dataset in self.client.datasets()])

    def test_pause_resume_cancel_and_lists(self):
        job = self.client.submit(topics_job("long-python", duration={"steps": 100000}))
        for now in job.progress(timeout=120):
            if now.step:
                break
        job.pause()
        for now in job.progress(timeout=120):
            if now.phase == "paused":
                break
        self.assertIn(job.id, [one.id for one in self.client.jobs(phases=["paused"])])
        job.resume()
        self.assertIn(job.id, [one.id for one in self.client.jobs(active=True, name_contains="long-py")])
        with self.assertRaises(muster.InvalidArgumentError):
            self.client.jobs(phases=["runing"])
        job.cancel()
        with self.assertRaises(muster.JobCancelledError) as caught:
            job.wait(timeout=60)
        self.assertEqual((caught.exception.reason, caught.exception.exit_code), ("CANCELED", 3))
        self.assertTrue(any(line.rank == 0 for line in job.logs()))
        with self.assertRaises(muster.RefusedError):
            job.export(self.cluster.folder / "nothing")
        self.assertFalse((self.cluster.folder / "nothing").exists())
        job.delete()
        with self.assertRaises(muster.NotFoundError):
            self.client.job(job.id)

    def test_metrics_are_mirrored_to_tensorboard(self):
        folder = self.cluster.folder / "runs"
        job = self.client.submit(topics_job("mirrored", duration={"steps": 20})).mirror(tensorboard=folder)
        self.assertEqual(job.phase, "succeeded")
        found = event_reader.scalars(folder)
        self.assertEqual([step for step, _ in found["topics/test/ndcg@10"]], [0, 20])
        table = job.metrics()
        rows = table if isinstance(table, list) else table.to_dict("records")
        # Ranks report a few times per second, so steps may be missing; the step log has all.
        self.assertEqual([step for step, _ in found["train/loss"]], [row["step"] for row in rows])
        self.assertEqual((rows[-1]["step"], len(list(csv.DictReader(io.StringIO(job.step_log_csv()))))), (20, 20))
        for (step, value), row in zip(found["train/loss"], rows):
            self.assertAlmostEqual(value, row["loss"], places=5)

    def test_wrong_job_files_are_refused_with_the_command_lines_words(self):
        path = self.cluster.folder / "wrong.yaml"
        whole = yaml_of(topics_job("wrong"))
        for old, new in (("objective: lsepair", "objective: lse_pair"), ("loss:", "los:"), ("steps: 40", "steps: 40\n  epochs: 1"),
                         ("seed: 5", "seed: five"), ("temperature: 0.05", "temperature: -1"), ("queries: 16", "queries: 1.5"),
                         ("temperature: 0.05", "temperature: 1e39"), ("preset: tiny", "preset: [tiny]"), ("seed: 5", "seed: 5\nseed: 6"),
                         ("seed: 5", "batch: {keep_activations: 4Gb}"), ("min: 2", "min: 3")):
            self.assertIn(old, whole)
            path.write_text(whole.replace(old, new, 1))
            theirs = self.cluster.muster("submit", path)
            self.assertEqual(theirs.code, 2, theirs)
            with self.assertRaises(muster.InvalidArgumentError) as caught:
                self.client.submit(path)
            self.assertIn(caught.exception.message, theirs.err, new)
            self.assertIn("wrong.yaml:", caught.exception.message)

    def test_errors_of_the_cluster(self):
        info = self.cluster.info()
        with self.assertRaises(muster.NotFoundError) as caught:
            self.client.submit(topics_job("nowhere", data={"train": "nowhere"}))
        self.assertEqual((caught.exception.reason, caught.exception.code), ("DATASET_NOT_FOUND", "NOT_FOUND"))
        self.assertTrue(caught.exception.request_id)
        with self.assertRaises(muster.RefusedError) as caught:
            bare = self.cluster.folder / "authority-alone"
            bare.mkdir()
            (bare / "ca.pem").write_bytes((pathlib.Path(info["certs"]) / "ca.pem").read_bytes())
            muster.connect(info["address"], bare, token="mst_" + 43 * "a")
        self.assertEqual(caught.exception.reason, "TOKEN_UNKNOWN")
        token = (self.cluster.state / "user.token").read_text().strip()
        with muster.connect(info["address"], bare, token=token) as client:
            self.assertEqual(client.cluster().version, muster.__version__)
        self.cluster.ok("certs", "init", self.cluster.folder / "other-authority")
        with self.assertRaises(muster.UnreachableError):
            (bare / "ca.pem").write_bytes((self.cluster.folder / "other-authority/ca.pem").read_bytes())
            muster.connect(info["address"], bare, token=token)

    def test_the_cluster_of_muster_local_is_found(self):
        others = {name: value for name, value in os.environ.items() if not name.startswith("MUSTER_")}
        with mock.patch.dict(os.environ, {**others, "XDG_CONFIG_HOME": str(self.cluster.folder / "config")}, clear=True):
            with muster.connect() as client:
                self.assertIn("topics", [dataset.name for dataset in client.datasets()])

    def test_the_guide_runs(self):
        job = self.client.submit(topics_job("guide", duration={"steps": 5})).wait(timeout=120)
        self.client.push_model("my-model", job.export(self.cluster.folder / "my-model"))
        folder = self.cluster.folder / "guide"
        (folder / "mydata").mkdir(parents=True)
        for split in ("train", "test"):
            (folder / f"mydata/{split}.jsonl").write_text('{"query": "apple pear", "pos": ["plum", "grape"]}\n{"query": "iron", "pos": ["zinc"]}\n')
        (folder / "job.yaml").write_text("name: file\nmodel: {from: my-model}\ndata: {train: mydata}\nduration: {steps: 4}\n"
                                         "report: {dataset: mydata, split: test}\n")
        blocks = re.findall(r"^```python\n(.*?)^```", (ROOT / "docs/guides/python.md").read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
        self.assertGreater(len(blocks), 6)
        names = {}
        with mock.patch.dict(os.environ, self.cluster.environment()), contextlib.chdir(folder):
            for number, block in enumerate(blocks, 1):
                with self.subTest(f"block {number}"), contextlib.redirect_stdout(io.StringIO()) as out:
                    exec(compile(block, f"python.md, block {number}", "exec"), names)
        self.assertTrue((folder / "trained/model.safetensors").is_file())
        self.assertIn("NOT_FOUND DATASET_NOT_FOUND", out.getvalue())
        self.assertTrue(1 <= len(names["losses"]) <= 4)
        self.assertEqual(len(names["log"].splitlines()), 1 + 4)
        self.assertTrue(list((folder / "runs/second").glob("*tfevents*")))
        self.assertEqual(names["preview"].total_steps, 4)
        self.client.job("third").wait(timeout=300)


def yaml_of(job):
    """One key per line."""
    def lines(value, indent):
        for key, inner in value.items():
            if isinstance(inner, dict):
                yield f"{indent}{key}:"
                yield from lines(inner, indent + "  ")
            else:
                yield f"{indent}{key}: {inner}"
    job["loss"]["temperature"] = 0.05
    return "\n".join(lines(job, "")) + "\n"


if __name__ == "__main__":
    unittest.main(verbosity=2)
