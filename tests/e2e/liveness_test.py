"""An attempt that waits for the data server is not ended; one that hangs is ended, and its reason names the rank."""
import os
import pathlib
import re
import signal
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from apart import Apart  # noqa: E402
from cluster import push_topics, topics_job, wait_until  # noqa: E402

BOUND = 15  # seconds without progress


def long_job(name, **changes):
    return topics_job(name, **{"duration": {"steps": 200}, "batch": {"queries": 54}, "checkpoint": {"every_steps": 5, "keep": 2},
                               "data": {"train": "topics", "positives": {"per_query": 0}}, **changes})


def one_slot(threads=1):
    return {"device": "cpu", "slots": {"min": 1, "max": 1}, "threads": threads}


def seconds_of(reason):
    """How long the data server is reported to be unreachable: "… unreachable for 1m10s" is 70."""
    found = re.search(r"waiting for data server \S+, unreachable for (?:(\d+)m)?(\d+)s", reason or "")
    return int(found[1] or 0) * 60 + int(found[2]) if found else 0


class Case(unittest.TestCase):
    slots = (2,)

    @classmethod
    def setUpClass(cls):
        cls.cluster = Apart(slots=cls.slots, coordinator=("--no-progress", BOUND))
        cls.addClassCleanup(cls.cluster.close)
        cls.cluster.start()
        push_topics(cls.cluster)

    def rank_pid(self, job_id, attempt, rank):
        """Waits for the process of a rank."""
        config = f"{job_id}-a{attempt}/rank-{rank}.textproto"

        def there():
            for pid in self.cluster.rank_pids():
                try:
                    if config in pathlib.Path(f"/proc/{pid}/cmdline").read_text():
                        return pid
                except OSError:
                    continue
            return None
        return wait_until(f"rank {rank} of {job_id} attempt {attempt}", there, 60)


class DataServerAway(Case):
    slots = (4,)

    def jobs(self, name):
        """Ranks that train, evaluate, and start: each of them waits for the data server in its own way."""
        cluster = self.cluster
        training = cluster.submit(long_job(f"{name}-training"))
        evaluating = cluster.submit(long_job(f"{name}-evaluating", resources=one_slot(), checkpoint={"every_steps": 1000},
                                             evaluate={"dataset": "topics", "split": "test", "every_steps": 1},
                                             report={"dataset": "topics", "split": "test", "allow_selection_split": True},
                                             duration={"steps": 30}))
        cluster.wait_for_step(training, 3)
        cluster.wait_for_step(evaluating, 1)
        starting = cluster.submit(long_job(f"{name}-starting", resources=one_slot(), duration={"steps": 5}))
        self.rank_pid(starting, 1, 0)
        return training, evaluating, starting

    def outlast(self, jobs):
        """Every job waits for longer than the bound, and its reason says so."""
        cluster = self.cluster

        def waited():
            found = [cluster.job(job) for job in jobs]
            for job in found:
                self.assertEqual(len(job["attempts"]), 1, job["attempts"])
            return all(seconds_of(job.get("reason")) > 2 * BOUND for job in found)
        wait_until("all wait for the data server", waited, 8 * BOUND, every=1)

    def finish(self, jobs):
        for job_id in jobs:
            job = self.cluster.wait_for_phase(job_id, "JOB_PHASE_SUCCEEDED", seconds=240)
            self.assertEqual(len(job["attempts"]), 1, job["attempts"])

    def test_a_killed_data_server_that_comes_back_later_ends_nothing(self):
        jobs = self.jobs("killed")
        self.cluster.data.signal(signal.SIGKILL)
        self.cluster.data.process.wait()
        self.outlast(jobs)
        self.cluster.data.start()
        self.finish(jobs)

    def test_a_frozen_data_server_ends_nothing(self):
        jobs = self.jobs("frozen")
        self.cluster.data.signal(signal.SIGSTOP)
        self.addCleanup(self.cluster.data.signal, signal.SIGCONT)
        self.outlast(jobs)
        self.cluster.data.signal(signal.SIGCONT)
        self.finish(jobs)


class HungRank(Case):
    slots = (1, 1)

    def check(self, job_id, pid, *words):
        job = wait_until("the attempt ends", lambda: (lambda job: job if len(job["attempts"]) > 1 else None)(self.cluster.job(job_id)),
                         6 * BOUND, every=0.5)
        for word in (f"no progress for {BOUND} s: ", *words):
            self.assertIn(word, job["attempts"][0]["end_reason"])
        wait_until("the stopped process is gone", lambda: not pathlib.Path(f"/proc/{pid}").exists(), 30)
        job = self.cluster.wait_for_phase(job_id, "JOB_PHASE_SUCCEEDED", seconds=240)
        self.assertEqual(len(job["attempts"]), 2, job["attempts"])
        wait_until("no rank is left", lambda: not self.cluster.rank_pids(), 30)

    def test_a_frozen_rank_is_named_and_the_next_attempt_works(self):
        job_id = self.cluster.submit(long_job("hung", duration={"steps": 60}))
        self.cluster.wait_for_step(job_id, 6)
        pid = self.rank_pid(job_id, 1, 1)
        os.kill(pid, signal.SIGSTOP)
        self.check(job_id, pid, "rank 1 on w", " has not responded for ", ", while rank 0 waits in ")

    def test_a_rank_that_hangs_at_its_start_is_named(self):
        job_id = self.cluster.submit(long_job("hung-at-start", duration={"steps": 8}))
        pid = self.rank_pid(job_id, 1, 0)
        os.kill(pid, signal.SIGSTOP)
        self.check(job_id, pid, "rank 0 on w")


class Reasons(Case):
    def test_a_running_attempt_shows_its_step_and_an_early_stop_says_why(self):
        job_id = self.cluster.submit(long_job(
            "early", optimizer={"learning_rate": 1e-12}, duration={"steps": 50}, checkpoint={"every_steps": 1000},
            evaluate={"dataset": "topics", "split": "test", "every_steps": 2, "early_stop": {"patience": 2}},
            report={"dataset": "topics", "split": "test", "allow_selection_split": True}))
        self.cluster.wait_for_step(job_id, 1)
        job = self.cluster.job(job_id)
        if "ended" not in job["attempts"][0]:
            self.assertEqual(job["attempts"][0].get("last_step"), job["progress"].get("step"))
        job = self.cluster.wait_for_phase(job_id, "JOB_PHASE_SUCCEEDED")
        self.assertRegex(job["reason"], r"^trained and exported; stopped early at step \d+ of 50: ndcg@10 was not better than "
                                        r"0\.\d{4} \(step (\d+)\) in 2 evaluations; "
                                        r"the export has the weights of step \1, the best by ndcg@10 \(0\.\d{4}\)$")
        self.assertIn("stopped early at step", self.cluster.ok("watch", job_id).err)
        self.cluster.ok("export", job_id, self.cluster.folder / "early")
        self.assertRegex((self.cluster.folder / "early/README.md").read_text(), r"steps.* of 50: ndcg@10 was not better than at step")


if __name__ == "__main__":
    unittest.main(verbosity=2)
