"""A job that leaves its workers (SIGTERM to an agent, drain --now, pause) continues from exactly the step where it
stopped: no step is repeated, and it exports the bytes of an undisturbed job."""
import csv
import os
import pathlib
import signal
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import audit  # noqa: E402
from cluster import BIN, TopicsCase, topics_job, wait_until  # noqa: E402
from resume_test import OWN_COLUMNS, digests  # noqa: E402

STEPS = 160


def job(name="drained", **changes):
    # Evaluations choose the best weights; one may be due at the step where the job stops. Regular checkpoints are far apart.
    return topics_job(name, model={"preset": "tiny", "tokenizer": "small-vocab", "dropout": 0.1,
                                   "max_length": {"query": 16, "passage": 16}},
                      data={"train": "topics", "positives": {"per_query": 0}}, batch={"queries": 40, "micro_batch_tokens": 256},
                      duration={"steps": STEPS}, evaluate={"dataset": "topics", "split": "train", "every_steps": 40},
                      checkpoint={"every_steps": 1000, "keep": 2}, **changes)


class Agent:
    """A muster-worker in addition to the one of `muster local`."""

    def __init__(self, cluster, name):
        self.name, self.state = name, cluster.folder / name
        self.ports = cluster.folder / f"{name}.json"
        certs = cluster.folder / f"{name}-certs"
        cluster.ok("certs", "issue", cluster.state / "certs/authority", "--role", "worker", "--name", name, "--out", certs)
        self.log = open(cluster.folder / f"{name}.log", "ab")
        self.process = subprocess.Popen(
            [str(BIN / "muster-worker"), "--coordinator", cluster.info()["address"], "--name", name, "--slots", "1", "--device", "cpu",
             "--state", str(self.state), "--certs", str(certs), "--metrics", "127.0.0.1:0", "--health", "127.0.0.1:0",
             "--port-file", str(self.ports)],
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log, env={**os.environ, "MUSTER_AUDIT_DIR": str(cluster.audit)})
        wait_until(f"worker {name}", lambda: name in worker_names(cluster), 60)

    def end(self):
        """SIGTERM; returns its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(110)

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.log.close()


def worker_names(cluster):
    return [worker["name"] for worker in cluster.ok("workers", "--output", "json").json().get("workers", [])]


class Drain(TopicsCase):
    slots = 1

    def agent(self, name):
        agent = Agent(self.cluster, name)
        self.addCleanup(agent.close)
        return agent

    def last_steps(self, job_id, attempt):
        """The last step that each rank of the attempt logged."""
        logs = audit.read_logs(self.cluster.audit, job_id).get(attempt, {})
        return [max(steps, default=0) for _, steps in logs.values()]

    def wait_for_own_steps(self, job_id, attempt, count=6):
        """Waits until both ranks of this attempt have completed some steps. Returns its workers."""
        def there():
            found = self.cluster.job(job_id)
            self.assertNotIn(found["phase"], ("JOB_PHASE_FAILED", "JOB_PHASE_SUCCEEDED"), found.get("reason"))
            info = found["attempts"][-1]
            steps = self.last_steps(job_id, attempt)
            if int(info["number"]) != attempt or len(steps) != 2:
                return None
            return info if min(steps) >= int(info.get("from_step", 0)) + count else None
        info = wait_until(f"{count} steps of attempt {attempt}", there, 120)
        return [rank["worker"] for rank in info["ranks"]]

    def test_a_job_that_moves_does_nothing_twice(self):
        cluster = self.cluster
        agents = {name: self.agent(name) for name in ("second", "third")}
        undisturbed = cluster.submit(job("undisturbed"))
        cluster.wait_for_phase(undisturbed, "JOB_PHASE_SUCCEEDED", seconds=240)

        moved = cluster.submit(job("undisturbed"))
        # SIGTERM to an agent that has a rank: a host goes down for maintenance.
        there = self.wait_for_own_steps(moved, 1)
        leaving = next(name for name in there if name in agents)
        self.assertEqual(agents[leaving].end(), 0, "the agent ends in order")
        wait_until("a worker that left in order is not missed", lambda: leaving not in worker_names(cluster), 10)
        there = self.wait_for_own_steps(moved, 2)
        self.assertNotIn(leaving, there)
        # muster drain --now, with the first host back.
        agents[leaving].close()
        agents[leaving] = self.agent(leaving)
        evicted = there[0]
        cluster.ok("drain", evicted, "--now")
        there = self.wait_for_own_steps(moved, 3)
        self.assertNotIn(evicted, there)
        cluster.ok("drain", evicted, "--undo")
        # A pause saves too.
        cluster.ok("pause", moved)
        cluster.wait_for_phase(moved, "JOB_PHASE_PAUSED")
        cluster.ok("resume", moved)
        done = cluster.wait_for_phase(moved, "JOB_PHASE_SUCCEEDED", seconds=240)

        attempts = done["attempts"]
        print("attempts", [(a.get("from_step", 0), a.get("end_reason", "")) for a in attempts])
        self.assertEqual([a["end_reason"] for a in attempts],
                         [f"{leaving} drains", f"{evicted} drains", "paused by local", "succeeded"])
        for before, after in zip(attempts, attempts[1:]):
            self.assertEqual(self.last_steps(moved, int(before["number"])), [int(after["from_step"])] * 2,
                             "the next attempt continues from the step where both ranks stopped")

        text = cluster.ok("get", moved, "--metrics", "csv").out
        rows = list(csv.DictReader(text.splitlines()))
        whole_rows = list(csv.DictReader(cluster.ok("get", undisturbed, "--metrics", "csv").out.splitlines()))
        self.assertEqual([int(row["step"]) for row in rows], list(range(1, STEPS + 1)))
        self.assertEqual({row["attempt"] for row in rows}, {"1", "2", "3", "4"})
        said = [column for column in rows[0] if column not in OWN_COLUMNS and not column.endswith("seconds")]
        for row, other in zip(rows, whole_rows):
            self.assertEqual({c: row[c] for c in said}, {c: other[c] for c in said})
        logs = audit.read_logs(cluster.audit, moved)
        taken = sorted(step for ranks in logs.values() for step in ranks[0][1])
        self.assertEqual(taken, list(range(1, STEPS + 1)), "no step was done by two attempts")
        resolved = done["resolved"]
        self.assertEqual(audit.complaints(logs, audit.lineage_of_step_log(text), int(resolved["train_queries"]),
                                          int(resolved["steps_per_epoch"])), [])
        for job_id, name in ((undisturbed, "whole"), (moved, "moved")):
            cluster.ok("export", job_id, cluster.folder / name)
        whole, other = digests(cluster.folder / "whole"), digests(cluster.folder / "moved")
        self.assertIn("model.safetensors", whole)
        self.assertEqual(whole, other)

    def test_without_now_a_drain_stops_new_placement_alone(self):
        cluster = self.cluster
        self.agent("fourth")
        running = cluster.submit(topics_job("stays", duration={"steps": 2000}, resources={
            "device": "cpu", "slots": {"min": 2, "max": 2}, "threads": 1}))
        cluster.wait_for_step(running, 3)
        cluster.ok("drain", "fourth")
        job_at = cluster.job(running)
        step = int(job_at["progress"]["step"])
        self.assertEqual(cluster.wait_for_step(running, step + 10)["attempts"][-1].get("end_reason", ""), "")
        self.assertEqual(len(cluster.job(running)["attempts"]), 1)
        cluster.ok("cancel", running)
        wait_until("the ranks have stopped", lambda: not cluster.rank_pids(), 30)


if __name__ == "__main__":
    unittest.main(verbosity=2)
