"""A job that is killed three times exports the bytes of an undisturbed one, and every query had its effect once per epoch."""
import csv
import hashlib
import os
import pathlib
import signal
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import audit  # noqa: E402
from cluster import TopicsCase, topics_job, wait_until  # noqa: E402

STEPS, EVERY = 150, 10
# Columns of the step log in which equal runs may differ, besides the seconds.
OWN_COLUMNS = ("attempt", "time", "queries_per_second")


def job():
    # Two steps per epoch, the second smaller; evaluations choose the best weights, so that checkpoints hold these too.
    return topics_job("resumed", model={"preset": "tiny", "tokenizer": "small-vocab", "dropout": 0.1,
                                        "max_length": {"query": 16, "passage": 16}},
                      data={"train": "topics", "positives": {"per_query": 0}}, batch={"queries": 40, "micro_batch_tokens": 256},
                      duration={"steps": STEPS}, evaluate={"dataset": "topics", "split": "train", "every_steps": 50},
                      checkpoint={"every_steps": EVERY, "keep": 2})


def digests(folder):
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(folder.rglob("*")) if path.is_file()}


class Resume(TopicsCase):
    def step_of(self, job_id, attempt):
        """The last step that both ranks of the attempt have completed, from their logs."""
        logs = audit.read_logs(self.cluster.audit, job_id).get(attempt, {})
        return min((max(steps, default=0) for _, steps in logs.values()), default=0) if len(logs) == 2 else 0

    def kill_in_the_middle(self, job_id, attempt, find):
        """Kills the process that find() returns between two checkpoints of the attempt. Returns its pid and the step."""
        def own_checkpoint():
            found = self.cluster.job(job_id)
            self.assertNotEqual(found["phase"], "JOB_PHASE_FAILED", found.get("reason"))
            return any(int(c["attempt"]) == attempt for c in found.get("checkpoints", []))
        wait_until(f"a checkpoint of attempt {attempt}", own_checkpoint, 120)
        pid = find()

        def middle():
            step = self.step_of(job_id, attempt)
            return step if 3 <= step % EVERY <= 6 else None
        step = wait_until(f"attempt {attempt} between two checkpoints", middle, 120, every=0.001)
        os.kill(pid, signal.SIGKILL)
        self.assertLess(step, STEPS)
        return pid, step

    def export(self, job_id, name):
        target = self.cluster.folder / name
        self.cluster.ok("export", job_id, target)
        return target

    def step_log(self, job_id):
        text = self.cluster.ok("get", job_id, "--metrics", "csv").out
        rows = list(csv.DictReader(text.splitlines()))
        self.assertEqual([int(row["step"]) for row in rows], list(range(1, STEPS + 1)), "every step once, ascending")
        return text, rows

    def assert_every_query_once_an_epoch(self, job_id, step_log):
        found = self.cluster.job(job_id)
        lineage = audit.lineage_of_step_log(step_log)
        attempts = [(int(a["number"]), int(a["from_step"])) for a in found["attempts"]]
        self.assertEqual(lineage, audit.lineage_of_attempts(attempts, STEPS))
        resolved = found["resolved"]
        self.assertEqual(audit.complaints(audit.read_logs(self.cluster.audit, job_id), lineage,
                                          int(resolved["train_queries"]), int(resolved["steps_per_epoch"])), [])

    def test_a_job_killed_three_times_exports_the_bytes_of_an_undisturbed_one(self):
        cluster = self.cluster
        undisturbed = cluster.submit(job())
        done = cluster.wait_for_phase(undisturbed, "JOB_PHASE_SUCCEEDED", seconds=240)
        self.assertEqual(len(done["attempts"]), 1, done["attempts"])
        self.assertEqual(int(done["resolved"]["steps_per_epoch"]), 2)

        killed = cluster.submit(job())
        _, first = self.kill_in_the_middle(killed, 1, lambda: cluster.rank_pids()[-1])
        worker, second = self.kill_in_the_middle(killed, 2, lambda: cluster.info()["pids"]["worker"])
        coordinator, third = self.kill_in_the_middle(killed, 3, lambda: cluster.info()["pids"]["coordinator"])
        wait_until("a new coordinator", lambda: cluster.info()["pids"]["coordinator"] != coordinator
                   and cluster.muster("get", killed, "--output", "json").code == 0, 60)
        self.assertNotEqual(cluster.info()["pids"]["worker"], worker)
        done = cluster.wait_for_phase(killed, "JOB_PHASE_SUCCEEDED", seconds=240)

        print("killed at steps", (first, second, third), "attempts", [(a["from_step"], a.get("end_reason", "")) for a in done["attempts"]])
        self.assertEqual(len(done["attempts"]), 3, "two kills cost an attempt, the coordinator's does not")
        logs = audit.read_logs(cluster.audit, killed)
        for before, after in zip(done["attempts"], done["attempts"][1:]):
            resumed_at, lost = int(after["from_step"]), max(logs[int(before["number"])][0][1])
            self.assertGreater(resumed_at, int(before["from_step"]), "from a checkpoint of the previous attempt")
            self.assertEqual(resumed_at % EVERY, 0)
            self.assertLess(resumed_at, lost, "steps beyond the checkpoint were lost and done again")

        whole, resumed = digests(self.export(undisturbed, "whole")), digests(self.export(killed, "resumed"))
        self.assertIn("model.safetensors", whole)
        self.assertEqual(list(whole), list(resumed))
        self.assertEqual([name for name in whole if whole[name] != resumed[name]], [], "files with other bytes")

        (text, rows), (whole_text, whole_rows) = self.step_log(killed), self.step_log(undisturbed)
        self.assertEqual({row["attempt"] for row in rows}, {"1", "2", "3"})
        print("seconds a step", sum(float(row["seconds"]) for row in whole_rows) / STEPS)
        said = [column for column in rows[0] if column not in OWN_COLUMNS and not column.endswith("seconds")]
        self.assertIn("gradient_norm", said)
        for row, other in zip(rows, whole_rows):
            self.assertEqual({c: row[c] for c in said}, {c: other[c] for c in said})
        self.assert_every_query_once_an_epoch(undisturbed, whole_text)
        self.assert_every_query_once_an_epoch(killed, text)


if __name__ == "__main__":
    unittest.main(verbosity=2)
