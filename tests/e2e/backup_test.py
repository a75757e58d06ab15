"""A cluster is backed up while a job trains, destroyed, and restored elsewhere: the job continues and ends with the
bytes of an undisturbed one. Garbage collection removes garbage, and nothing else."""
import hashlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from cluster import BIN, TopicsCase, topics_job, wait_until, write_vocabulary  # noqa: E402
from resume_test import digests  # noqa: E402

STEPS, EVERY = 150, 10


def job(name, steps=STEPS):
    return topics_job(name, model={"preset": "tiny", "tokenizer": "small-vocab", "dropout": 0.1,
                                   "max_length": {"query": 16, "passage": 16}},
                      duration={"steps": steps}, checkpoint={"every_steps": EVERY, "keep": 2})


def run(*words):
    return subprocess.run([str(BIN / "muster"), *map(str, words)], capture_output=True, text=True, timeout=120,
                          stdin=subprocess.DEVNULL)


class Backup(TopicsCase):
    def destroy(self, cluster):
        """Destroys the host: kills every process and removes every folder."""
        pids = [cluster.process.pid, *cluster.info()["pids"].values(), *cluster.rank_pids()]
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        cluster.process.wait()
        wait_until("all its processes are gone", lambda: not any(pathlib.Path(f"/proc/{pid}/exe").exists() for pid in pids))
        shutil.rmtree(cluster.state)

    def test_a_content_without_a_name_is_collected(self):
        """Content that no name and no job needs is removed when it is old enough; everything else stays."""
        cluster, data = self.cluster, self.cluster.state / "data"
        done = cluster.submit(job("small", steps=10))
        cluster.wait_for_phase(done, "JOB_PHASE_SUCCEEDED", seconds=120)
        folder = write_vocabulary(cluster.folder / "unused")
        (folder / "vocab.txt").write_text((folder / "vocab.txt").read_text() + "unused\n")
        cluster.ok("models", "push", "unused", folder)
        cluster.ok("models", "rm", "unused")
        for path in data.rglob("*"):  # as if nothing had been used for two days
            if path.parts[-2] != "partial" and path.is_file():
                os.utime(path, (time.time() - 2 * 86400,) * 2)
        would = cluster.ok("gc", "--dry-run", "--output", "json").json()
        sizes = {kind["kind"]: int(kind["count"]) for kind in would["kinds"]}
        self.assertGreaterEqual(sizes["blobs"], 2, "the vocabulary and its manifest")
        digest = hashlib.sha256((folder / "vocab.txt").read_bytes()).hexdigest()
        blob = data / "blobs" / digest[:2] / digest
        self.assertTrue(blob.is_file(), "a dry run removes nothing")
        self.assertEqual(cluster.ok("gc", "--output", "json").json()["kinds"], would["kinds"])
        self.assertFalse(blob.exists())
        self.assertEqual(cluster.ok("gc", "--output", "json").json()["kinds"], [])
        cluster.ok("export", done, cluster.folder / "kept-export")
        cluster.ok("get", done, "--metrics", "csv")
        again = cluster.submit(job("small", steps=10))
        cluster.wait_for_phase(again, "JOB_PHASE_SUCCEEDED", seconds=120)

    def test_a_destroyed_cluster_continues_from_its_backup(self):
        cluster, backups = self.cluster, self.cluster.folder / "backups"
        finished = cluster.submit(job("finished"))
        cluster.wait_for_phase(finished, "JOB_PHASE_SUCCEEDED", seconds=240)
        undisturbed = cluster.folder / "undisturbed"
        cluster.ok("export", finished, undisturbed)
        first = cluster.ok("backup", "take", backups, "--output", "json").json()
        self.assertEqual(first["files"], first["new_files"])

        lost = cluster.submit(job("finished"))  # the same job, so that its export must have the same bytes
        cluster.wait_for_step(lost, 25)
        second = cluster.ok("backup", "take", backups, "--output", "json").json()
        self.assertLess(second["new_files"], second["files"], "what had not changed was not sent again")
        backed_up = cluster.job(lost)
        self.assertEqual(backed_up["phase"], "JOB_PHASE_TRAINING", "the servers kept running, and so did the job")
        cluster.wait_for_step(lost, 60)  # work after the backup is lost
        datasets = cluster.ok("data", "list", "--output", "json").json()["datasets"]
        models = cluster.ok("models", "list", "--output", "json").json()["models"]
        self.destroy(cluster)

        self.assertEqual(run("backup", "verify", backups).returncode, 0)
        place = cluster.folder / "elsewhere"
        (place / "data").mkdir(parents=True)
        (place / "data/something").write_text("of somebody else")
        refused = run("restore", backups, "--coordinator", place / "coordinator", "--data", place / "data")
        self.assertEqual(refused.returncode, 6, refused.stderr)
        self.assertIn("is not empty (something)", refused.stderr)
        (place / "data/something").unlink()
        restored = run("restore", backups, "--coordinator", place / "coordinator", "--data", place / "data")
        self.assertEqual(restored.returncode, 0, restored.stderr)

        cluster.state = place
        cluster.start()
        done = cluster.wait_for_phase(lost, "JOB_PHASE_SUCCEEDED", seconds=240)
        self.assertEqual(len(done["attempts"]), 2, done["attempts"])
        before, after = done["attempts"]
        self.assertIn(f"restored from backup {second['name']}", before["end_reason"])
        self.assertGreater(int(after["number"]), int(before["number"]) + 1000, "attempts begun after the backup are fenced")
        self.assertGreaterEqual(int(after["from_step"]), 20, "it continued from a checkpoint in the backup")
        self.assertLess(int(after["from_step"]), 60)

        resumed = cluster.folder / "resumed"
        cluster.ok("export", lost, resumed)
        whole, again = digests(undisturbed), digests(resumed)
        self.assertIn("model.safetensors", whole)
        self.assertEqual(whole, again, "the bytes of the undisturbed job")
        old = cluster.folder / "old-export"
        cluster.ok("export", finished, old)
        self.assertEqual(digests(old), whole, "a finished job's export is in the backup")
        self.assertEqual(cluster.ok("data", "list", "--output", "json").json()["datasets"], datasets)
        self.assertEqual(cluster.ok("models", "list", "--output", "json").json()["models"], models)
        self.assertTrue(cluster.ok("logs", finished).out.strip(), "its logs, too")

        occupied = run("restore", backups, "--coordinator", place / "coordinator", "--data", cluster.folder / "third")
        self.assertEqual(occupied.returncode, 6)
        self.assertIn("is in use", occupied.stderr)

    def test_a_damaged_backup_is_named(self):
        cluster, backups = self.cluster, self.cluster.folder / "damaged"
        taken = cluster.ok("backup", "take", backups, "--output", "json").json()
        manifest = json.loads((backups / "backups" / (taken["name"] + ".json")).read_text())
        journal = next(f for part in manifest["parts"] for f in part["files"] if f["path"] == "coordinator.db")
        content = backups / "files" / journal["digest"][:2] / journal["digest"]
        content.write_bytes(content.read_bytes()[:-1] + b"?")
        verified = run("backup", "verify", backups)
        self.assertNotEqual(verified.returncode, 0)
        self.assertIn("coordinator/coordinator.db is damaged", verified.stderr)
        place = cluster.folder / "of-damaged"
        restored = run("restore", backups, "--coordinator", place / "coordinator", "--data", place / "data")
        self.assertNotEqual(restored.returncode, 0)
        started = subprocess.run([str(BIN / "muster-data"), "--state", str(place / "data"), "--insecure", "--listen", "127.0.0.1:0",
                                  "--metrics", "127.0.0.1:0"], capture_output=True, text=True, timeout=60)
        self.assertEqual(started.returncode, 1)
        self.assertIn("was not finished", started.stderr)


if __name__ == "__main__":
    unittest.main(verbosity=2)
