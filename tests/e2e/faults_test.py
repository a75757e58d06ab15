"""A job survives the end of any process: ranks, coordinator, data server and terminals."""
import os
import pathlib
import signal
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from cluster import TopicsCase, topics_job, wait_until  # noqa: E402


def slow_job(name, steps=120):
    # Large batches of the small set, so that a step lasts long enough to be hit in the middle.
    return topics_job(name, duration={"steps": steps}, batch={"queries": 54}, data={"train": "topics", "positives": {"per_query": 0}},
                      checkpoint={"every_steps": 5, "keep": 2})


class Faults(TopicsCase):
    def test_a_killed_rank_resumes_from_the_last_checkpoint(self):
        cluster = self.cluster
        job_id = cluster.submit(slow_job("killed-rank"))
        wait_until("a checkpoint", lambda: cluster.job(job_id).get("checkpoints"), 60)
        cluster.wait_for_step(job_id, 8)
        with open(cluster.folder / "watched", "w") as watched:
            watcher = subprocess.Popen(cluster.command("watch", job_id), env=cluster.environment(), stdout=watched, stderr=watched)
        wait_until("the watcher shows steps", lambda: "step " in (cluster.folder / "watched").read_text(), 30)
        os.kill(cluster.rank_pids()[-1], signal.SIGKILL)
        job = cluster.wait_for_phase(job_id, "JOB_PHASE_SUCCEEDED", seconds=180)
        self.assertEqual(watcher.wait(30), 0)
        self.assertRegex((cluster.folder / "watched").read_text(), r"attempt 1 ended: rank . on local: killed by SIGKILL")
        self.assertEqual(len(job["attempts"]), 2, job["attempts"])
        first, second = job["attempts"]
        self.assertIn("SIGKILL", first["end_reason"])
        self.assertGreaterEqual(int(second["from_step"]), 5)
        self.assertEqual(int(job["progress"]["step"]), 120)

    def test_a_killed_coordinator_knows_its_jobs_and_training_continues(self):
        cluster = self.cluster
        done_before = cluster.submit(topics_job("done-before", duration={"steps": 2}))
        cluster.wait_for_phase(done_before, "JOB_PHASE_SUCCEEDED")
        job_id = cluster.submit(slow_job("coordinator-killed"))
        cluster.wait_for_step(job_id, 3)
        ranks = cluster.rank_pids()
        pid = cluster.info()["pids"]["coordinator"]
        os.kill(pid, signal.SIGKILL)
        wait_until("a new coordinator", lambda: cluster.info()["pids"]["coordinator"] != pid
                   and cluster.muster("get", job_id, "--output", "json").code == 0, 60)
        self.assertEqual(cluster.job(done_before)["phase"], "JOB_PHASE_SUCCEEDED")
        self.assertEqual(cluster.rank_pids(), ranks, "the ranks trained on")
        job = cluster.wait_for_phase(job_id, "JOB_PHASE_SUCCEEDED", seconds=180)
        self.assertEqual(len(job["attempts"]), 1, job["attempts"])

    def test_a_killed_data_server_is_started_again_and_disturbs_no_job(self):
        cluster = self.cluster
        job_id = cluster.submit(slow_job("data-killed"))
        cluster.wait_for_step(job_id, 3)
        pid = cluster.info()["pids"]["data"]
        os.kill(pid, signal.SIGKILL)
        wait_until("a new data server", lambda: cluster.info()["pids"]["data"] != pid, 60)
        job = cluster.wait_for_phase(job_id, "JOB_PHASE_SUCCEEDED", seconds=180)
        self.assertEqual(len(job["attempts"]), 1, job["attempts"])

    def test_the_ranks_of_a_killed_agent_end_and_the_job_resumes(self):
        cluster = self.cluster
        job_id = cluster.submit(slow_job("agent-killed"))
        wait_until("a checkpoint", lambda: cluster.job(job_id).get("checkpoints"), 60)
        ranks = cluster.rank_pids()
        os.kill(cluster.info()["pids"]["worker"], signal.SIGKILL)
        wait_until("the ranks are gone", lambda: not set(ranks) & set(cluster.rank_pids()), 30)
        job = cluster.wait_for_phase(job_id, "JOB_PHASE_SUCCEEDED", seconds=240)
        self.assertEqual(len(job["attempts"]), 2, job["attempts"])

    def test_a_closed_terminal_leaves_the_job_running(self):
        cluster = self.cluster
        job_id = cluster.submit(slow_job("terminal-closed"))
        watcher = subprocess.Popen(cluster.command("watch", job_id), env=cluster.environment(), stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL)
        cluster.wait_for_step(job_id, 2)
        watcher.send_signal(signal.SIGHUP)
        watcher.wait(10)
        cluster.wait_for_phase(job_id, "JOB_PHASE_SUCCEEDED", seconds=180)


if __name__ == "__main__":
    unittest.main(verbosity=2)
