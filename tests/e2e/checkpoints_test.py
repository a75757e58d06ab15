"""Checkpoints with damaged blobs are skipped; checkpoints that a temporary fault kept from being restored are not; a job
whose checkpoints are all damaged fails and says so."""
import hashlib
import os
import pathlib
import re
import signal
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import tiny_volume  # noqa: E402
from apart import Apart  # noqa: E402
from cluster import push_topics, topics_job, wait_until  # noqa: E402

MIB = 1 << 20
EVERY = 10


def job(name, steps=300):
    # Large batches of the small set, so that the job is still training when the test looks.
    return topics_job(name, duration={"steps": steps}, batch={"queries": 54}, data={"train": "topics", "positives": {"per_query": 0}},
                      checkpoint={"every_steps": EVERY, "keep": 1000, "keep_after_success": True})


class Checkpoints(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = Apart(slots=())
        cls.addClassCleanup(cls.cluster.close)
        cls.cluster.start()
        folder = cls.cluster.folder / "states/w1"
        # Its scratch folder is on a small volume, which a test can fill, if the system allows making one.
        prefix = tiny_volume.prefix(folder, 96 * MIB) if tiny_volume.possible() else ()
        cls.worker = cls.cluster.server("worker", "w1", "--coordinator", cls.cluster.coordinator.address, "--name", "w1", "--device", "cpu",
                                        "--slots", "2", state=folder, listens=False, prefix=prefix)
        cls.inside = pathlib.Path(f"/proc/{cls.worker.process.pid}/root{folder}")
        wait_until("the worker is ready", lambda: "READY" in cls.cluster.muster("workers", "--output", "json").out, 60)
        push_topics(cls.cluster)

    def blob(self, digest):
        return self.cluster.folder / "states/data/blobs" / digest[:2] / digest

    def files_of(self, checkpoint):
        """Name to digest, from the bytes of the manifest."""
        manifest = self.blob(checkpoint["manifest"]).read_bytes()
        files = {name.decode(): digest.decode()
                 for name, digest in re.findall(rb"([a-z]+\.[a-z]+)\x12\x40([0-9a-f]{64})", manifest)}
        self.assertIn("model.safetensors", files)
        return files

    def damage(self, digest):
        path = self.blob(digest)
        found = bytearray(path.read_bytes())
        found[len(found) // 2] ^= 1
        path.chmod(0o644)
        path.write_bytes(found)

    def paused_with_checkpoints(self, name, least):
        """A job with this many checkpoints at multiples of ten, and one at the step where it was paused, in ascending order."""
        job_id = self.cluster.submit(job(name))
        wait_until("checkpoints", lambda: len(self.cluster.job(job_id).get("checkpoints", [])) >= least, 120)
        self.cluster.ok("pause", job_id)
        found = self.cluster.wait_for_phase(job_id, "JOB_PHASE_PAUSED")
        self.assertGreater(int(found["checkpoints"][-1]["step"]), int(found["checkpoints"][-2]["step"]))
        return job_id, found["checkpoints"]

    def export(self, job_id, name):
        self.cluster.ok("export", job_id, self.cluster.folder / name)
        return {path.name: hashlib.sha256(path.read_bytes()).hexdigest()
                for path in (self.cluster.folder / name).rglob("*") if path.is_file()}

    def test_a_job_continues_from_the_newest_undamaged_checkpoint_with_the_bytes_of_an_undisturbed_job(self):
        cluster = self.cluster
        undisturbed = cluster.submit(job("damaged"))  # the same name, because the export contains it
        cluster.wait_for_phase(undisturbed, "JOB_PHASE_SUCCEEDED", seconds=240)
        job_id, checkpoints = self.paused_with_checkpoints("damaged", 3)
        for checkpoint in checkpoints[-2:]:
            self.damage(self.files_of(checkpoint)["model.safetensors"])
        whole, again = int(checkpoints[-3]["step"]), int(checkpoints[-2]["step"])
        cluster.ok("resume", job_id)
        done = cluster.wait_for_phase(job_id, "JOB_PHASE_SUCCEEDED", seconds=240)
        self.assertEqual(len(done["attempts"]), 2, done["attempts"])
        self.assertEqual(int(done["attempts"][1]["from_step"]), whole)
        self.assertEqual(self.export(job_id, "resumed"), self.export(undisturbed, "undisturbed"))
        # The repeated step of a damaged checkpoint gives the same bytes: they must be stored again, not assumed to be
        # there.
        known = {(int(c["step"]), int(c["attempt"])): c for c in done["checkpoints"]}
        self.assertNotIn((again, 1), known)
        for checkpoint in done["checkpoints"]:
            for name, digest in self.files_of(checkpoint).items():
                self.assertEqual(hashlib.sha256(self.blob(digest).read_bytes()).hexdigest(), digest, f"{checkpoint}: {name}")
        aside = [path.name for path in (cluster.folder / "states/data/blobs/partial").glob("*.damaged")]
        self.assertEqual(len(aside), 2, "what was damaged is kept for inspection")
        print("damaged", [c["step"] for c in checkpoints[-2:]], "continued from", whole, "; stored again:", sorted(known)[:12])

    def test_a_job_whose_checkpoints_are_all_damaged_fails_and_says_so(self):
        job_id, checkpoints = self.paused_with_checkpoints("all-damaged", 2)
        for number, checkpoint in enumerate(checkpoints):
            digest = self.files_of(checkpoint)["optimizer.safetensors"]
            self.blob(digest).unlink() if number % 2 else self.damage(digest)
        self.cluster.ok("resume", job_id)
        failed = self.cluster.wait_for_phase(job_id, "JOB_PHASE_FAILED")
        steps = ", ".join(str(c["step"]) for c in checkpoints)
        self.assertIn(f"all {len(checkpoints)} checkpoints of the job are damaged (steps {steps}). The newest: optimizer.safetensors",
                      failed["reason"])
        self.assertIn("Submit the job again to train from the start.", failed["reason"])
        self.assertEqual(len(failed["attempts"]), 2, "no attempt more for what no attempt can mend")

    def test_checkpoints_are_models_of_other_jobs_and_go_when_their_own_has_succeeded(self):
        cluster = self.cluster
        kept = cluster.submit(topics_job("kept", duration={"steps": 20}, checkpoint={"every_steps": 10, "keep": 2, "keep_after_success": True}))
        cluster.wait_for_phase(kept, "JOB_PHASE_SUCCEEDED", seconds=120)
        whole = self.export(kept, "kept-whole")
        for step in (10, 20):
            cluster.ok("export", "kept", cluster.folder / f"kept-{step}", "--step", step)
        weights = {step: hashlib.sha256((cluster.folder / f"kept-{step}/model.safetensors").read_bytes()).hexdigest() for step in (10, 20)}
        self.assertEqual(weights[20], whole["model.safetensors"], "no evaluation chose other weights than the last ones")
        self.assertNotEqual(weights[10], weights[20])
        missing = cluster.muster("export", kept, cluster.folder / "kept-15", "--step", 15)
        self.assertEqual(missing.code, 6, missing)
        self.assertIn(f"job {kept} has no checkpoint of step 15. It has those of steps 10, 20.", missing.err)

        lengths = {"query": 16, "passage": 16}
        later = cluster.submit(topics_job("later", model={"from": f"job:{kept}@10", "max_length": lengths}, duration={"steps": 10}))
        done = cluster.wait_for_phase(later, "JOB_PHASE_SUCCEEDED", seconds=120)
        measured = cluster.ok("eval", f"job:{kept}@10", "topics", "--set", "model.max_length={query: 16, passage: 16}",
                              "--set", "resources.device=cpu", "--output", "json").json()["metrics"]
        self.assertEqual(next(e for e in done["evaluations"] if e["label"] == "untrained")["metrics"], measured)

        self.assertEqual(done["checkpoints"], [])
        rows = cluster.ok("get", later, "--metrics", "csv").out.splitlines()
        self.assertEqual([row.split(",")[0] for row in rows], ["step", *map(str, range(1, 11))])
        gone = cluster.muster("export", later, cluster.folder / "later-10", "--step", 10)
        self.assertEqual(gone.code, 6, gone)
        self.assertIn("Its checkpoints were removed when it succeeded.", gone.err)
        self.assertIn("checkpoint.keep_after_success: true", gone.err)

    def test_a_full_scratch_disk_costs_no_checkpoint_and_the_job_continues_when_it_has_space(self):
        if not tiny_volume.possible():
            self.skipTest("this system lets nobody mount a small volume")
        cluster = self.cluster
        job_id = cluster.submit(job("full-scratch"))
        before = wait_until("checkpoints", lambda: (cluster.job(job_id).get("checkpoints") or None), 120)
        ballast = self.inside / "ballast"
        self.addCleanup(ballast.unlink, missing_ok=True)  # the other cases need the space
        with open(ballast, "wb") as file:
            try:
                while True:
                    file.write(bytes(MIB // 4))
                    file.flush()
            except OSError:
                pass
        os.truncate(ballast, ballast.stat().st_size - 2 * MIB)  # room for logs, not for a checkpoint
        os.kill(cluster.rank_pids()[-1], signal.SIGKILL)

        def waiting():
            found = cluster.job(job_id)
            self.assertNotEqual(found["phase"], "JOB_PHASE_FAILED", found.get("reason"))
            return found if "No space left on device" in found["reason"] and "next attempt in" in found["reason"] else None
        found = wait_until("the job says why it waits", waiting, 120)
        print(found["reason"])
        self.assertIn("restoring the checkpoint of step", found["reason"])
        self.assertGreaterEqual(len(found["checkpoints"]), len(before))
        ballast.unlink()
        done = cluster.wait_for_phase(job_id, "JOB_PHASE_SUCCEEDED", seconds=240)
        self.assertGreaterEqual(int(done["attempts"][-1]["from_step"]), int(before[-1]["step"]), done["attempts"])


if __name__ == "__main__":
    unittest.main(verbosity=2)
