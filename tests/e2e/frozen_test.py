"""A frozen coordinator (SIGSTOP, like a stalled disk or a virtual machine being moved) ends nothing."""
import os
import signal
import sys
import pathlib
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from cluster import TopicsCase, topics_job, wait_until  # noqa: E402

# Longer than a worker may be silent (15 s). From 30 s on agents also drop their connections, and from 120 s without
# progress on an attempt would end.
FREEZE = float(os.environ.get("MUSTER_FREEZE_SECONDS", "20"))


def endless_job(name):
    return topics_job(name, duration={"steps": 1000000}, checkpoint={"every_steps": 1000000, "keep": 1})


class Frozen(TopicsCase):
    def freeze(self, seconds=FREEZE):
        pid = self.cluster.info()["pids"]["coordinator"]
        os.kill(pid, signal.SIGSTOP)
        try:
            time.sleep(seconds)  # the freeze itself, during which nothing can be polled
        finally:
            os.kill(pid, signal.SIGCONT)

    def assert_unharmed(self, job_id, ranks):
        cluster = self.cluster
        before = int(cluster.job(job_id)["progress"]["step"])
        job = cluster.wait_for_step(job_id, before + 20)
        self.assertEqual(len(job["attempts"]), 1, job["attempts"])
        self.assertEqual(cluster.rank_pids(), ranks, "the same ranks train")

    def end(self, job_id):
        """A cancel right after the freeze takes effect, whatever happened to the sessions."""
        cluster = self.cluster
        cluster.ok("cancel", job_id)
        wait_until("the canceled ranks are gone", lambda: not cluster.rank_pids(), 30)

    def test_a_frozen_coordinator_ends_no_attempt(self):
        cluster = self.cluster
        job_id = cluster.submit(endless_job("frozen"))
        cluster.wait_for_step(job_id, 3)
        ranks = cluster.rank_pids()
        self.freeze()
        wait_until("the coordinator says what happened",
                   lambda: "the coordinator was frozen" in (cluster.state / "logs/coordinator.log").read_text(errors="replace"), 30)
        self.assert_unharmed(job_id, ranks)
        self.end(job_id)

    def test_a_frozen_coordinator_that_is_killed_knows_its_jobs(self):
        cluster = self.cluster
        job_id = cluster.submit(endless_job("frozen-and-killed"))
        cluster.wait_for_step(job_id, 3)
        ranks = cluster.rank_pids()
        pid = cluster.info()["pids"]["coordinator"]
        os.kill(pid, signal.SIGSTOP)
        os.kill(pid, signal.SIGKILL)
        wait_until("a new coordinator", lambda: cluster.info()["pids"]["coordinator"] != pid
                   and cluster.muster("get", job_id, "--output", "json").code == 0, 60)
        wait_until("progress is heard", lambda: cluster.job(job_id).get("progress", {}).get("step"), 60)
        self.assert_unharmed(job_id, ranks)
        self.end(job_id)

    def test_ranks_that_look_for_each_other_wait_for_a_frozen_coordinator(self):
        cluster = self.cluster
        job_id = cluster.submit(endless_job("frozen-start"))
        wait_until("ranks run", cluster.rank_pids, 60, every=0.01)
        self.freeze()
        job = cluster.wait_for_step(job_id, 3, seconds=90)
        self.assertEqual(len(job["attempts"]), 1, job["attempts"])
        self.end(job_id)


if __name__ == "__main__":
    unittest.main(verbosity=2)
