"""The coordinator's volume fills under a running job: the job keeps running, new work is refused with a reason, no
acknowledged change is lost, and everything continues automatically when there is space again."""
import os
import pathlib
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import tiny_volume  # noqa: E402
from apart import Apart  # noqa: E402
from cluster import push_topics, topics_job, wait_until  # noqa: E402

MIB = 1 << 20


class SmallCoordinator(Apart):
    """The coordinator's state is on a separate volume of 96 MiB."""

    def server(self, program, name, *words, **more):
        if program == "coordinator":
            folder = self.folder / "states" / name
            more["prefix"] = tiny_volume.prefix(folder, 96 * MIB)
        return super().server(program, name, *words, **more)

    @property
    def inside(self):
        return pathlib.Path(f"/proc/{self.coordinator.process.pid}/root{self.folder}/states/coordinator")


def fill(path):
    """Writes until nothing fits, not even a page."""
    with open(path, "wb", buffering=0) as file:
        for size in (MIB // 4, 4096):
            try:
                while True:
                    file.write(bytes(size))
            except OSError:
                pass


@unittest.skipUnless(tiny_volume.possible(), "this system lets nobody mount a small volume")
class FullDisk(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = SmallCoordinator(slots=(2,))
        cls.addClassCleanup(cls.cluster.close)
        cls.cluster.start()
        push_topics(cls.cluster)

    def test_jobs_run_on_and_everything_continues_when_there_is_space(self):
        cluster = self.cluster
        job_id = cluster.submit(topics_job("long", duration={"steps": 4000}, checkpoint={"every_steps": 20, "keep": 1},
                                           batch={"queries": 54}, data={"train": "topics", "positives": {"per_query": 0}}))
        kept = cluster.submit(topics_job("kept", resources={"device": "cpu", "slots": {"min": 2, "max": 2}}))
        cluster.wait_for_step(job_id, 25)
        pids = sorted(cluster.rank_pids())
        ballast = cluster.inside / "ballast"
        # Fills it first to the limit below which new work is refused, then completely.
        with open(ballast, "wb") as file:
            file.write(bytes(60 * MIB))
        refused = cluster.muster("submit", cluster.folder / "kept.yaml")
        self.assertEqual(refused.code, 6, refused)
        self.assertIn("takes no new work", refused.err)
        fill(ballast)

        log = cluster.coordinator.log
        wait_until("the coordinator says that it waits for space",
                   lambda: "no space for the journal" in log.read_text(errors="replace"), 60)
        manifests = {path: path.stat().st_mtime_ns for path in (cluster.folder / "states/data/blobs").glob("*/*")}

        def stored():
            return len({path for path in (cluster.folder / "states/data/blobs").glob("*/*")} - set(manifests)) > 8
        wait_until("ranks store further checkpoints", stored, 120)
        self.assertEqual(sorted(cluster.rank_pids()), pids, "the ranks are those that began")
        self.assertIsNone(cluster.coordinator.process.poll(), "the coordinator waits")

        ballast.unlink()
        begin = time.monotonic()
        job = cluster.job(job_id)
        took = time.monotonic() - begin
        print(f"answers {took:.1f} s after space returned")
        self.assertLess(took, 5)
        self.assertEqual((job["phase"], len(job["attempts"])), ("JOB_PHASE_TRAINING", 1))
        self.assertEqual(cluster.job(kept)["phase"], "JOB_PHASE_QUEUED", "what was acknowledged before is there")
        cluster.ok("submit", cluster.folder / "kept.yaml")
        cluster.ok("cancel", job_id)
        cluster.wait_for_phase(kept, "JOB_PHASE_SUCCEEDED")


if __name__ == "__main__":
    unittest.main(verbosity=2)
