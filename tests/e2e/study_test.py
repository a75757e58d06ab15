"""A study of 2 x 2 x 2 jobs, whose client and coordinator are killed in the middle, has each job once and the report of an
undisturbed one, byte for byte."""
import csv
import json
import os
import pathlib
import signal
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from cluster import topics_job, wait_until  # noqa: E402
from studies import FILES, StudyTest  # noqa: E402


def study():
    base = topics_job(duration={"steps": 12}, resources={"device": "cpu", "threads": 1}, checkpoint={"every_steps": 6, "keep": 1})
    for key in ("name", "seed"):
        base.pop(key)
    return {"study": "pilot", "base": base, "seeds": 2,
            "grid": {"loss.objective": ["jointlh", "lsepair"], "data.positives.per_query": [1, 3]},
            "report": {"metrics": ["ndcg@10", "mrr"]}}


class Study(StudyTest):
    def undisturbed(self):
        cluster = self.cluster(study())
        done = cluster.ok("study", self.file, "--parallel", "2", "--output", "json").json()
        self.assertEqual((done["done"], done["failed"]), (8, 0))
        self.assertEqual(len(self.jobs(cluster, study())), 8)
        self.values_by_query_have_the_means_of_the_metrics(cluster)
        report = self.report(cluster, "report")
        self.assertEqual(report, self.report(cluster, "again"))
        cluster.close()
        return report

    def values_by_query_have_the_means_of_the_metrics(self, cluster):
        rows = list(csv.DictReader(self.report(cluster, "values")["comparisons.csv"].decode().splitlines()))
        self.assertEqual(len(rows), 8, "4 pairs of arms, 2 metrics")
        self.assertEqual({row["basis"] for row in rows}, {"seeds and queries"})
        self.assertEqual({row["queries"] for row in rows}, {"18"})

    def test_a_study_that_is_interrupted_runs_no_job_twice_and_gives_the_same_report(self):
        expected = self.undisturbed()
        cluster = self.cluster(study())
        # The first client is killed when a job runs and others are not submitted yet.
        client = subprocess.Popen(cluster.command("study", "run", self.file, "--parallel", "3"), env=cluster.environment(),
                                  stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
        wait_until("a job runs", lambda: any(job["phase"] == "JOB_PHASE_TRAINING" for job in self.jobs(cluster, study())), 120)
        client.send_signal(signal.SIGKILL)
        client.wait()
        submitted = self.jobs(cluster, study())
        self.assertLess(len(submitted), 8)
        # The second client survives a kill of the coordinator.
        client = subprocess.Popen(cluster.command("study", "run", self.file, "--output", "json"), env=cluster.environment(),
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True)
        wait_until("all jobs are submitted", lambda: len(self.jobs(cluster, study())) == 8, 120)
        os.kill(cluster.info()["pids"]["coordinator"], signal.SIGKILL)
        out, err = client.communicate(timeout=300)
        self.assertEqual(client.returncode, 0, err)
        self.assertEqual(json.loads(out)["done"], 8, err)
        jobs = self.jobs(cluster, study())
        self.assertEqual(len(jobs), 8)
        self.assertEqual(len({job["spec"]["name"] for job in jobs}), 8)
        self.assertLessEqual({job["id"] for job in submitted}, {job["id"] for job in jobs})
        # A third run finds everything done.
        self.assertEqual(cluster.ok("study", self.file, "--output", "json").json()["done"], 8)
        self.assertEqual(len(self.jobs(cluster, study())), 8)
        table = cluster.ok("study", "status", self.file).out
        self.assertIn("objective=lsepair, per_query=3  0          0        0        2     0       100 %", table)
        self.assertIn("8 of 8 jobs done", table)
        report = self.report(cluster, "report")
        for name in FILES:
            self.assertEqual(expected[name], report[name], name)

    def test_a_failed_job_is_submitted_again_only_when_asked(self):
        cluster = self.cluster(study())
        self.file.write_text(json.dumps({**study(), "grid": {}, "seeds": [1]}))
        cluster.ok("study", "run", self.file, "--detach")
        (job,) = self.jobs(cluster, study())
        cluster.ok("cancel", job["id"])
        cluster.wait_for_phase(job["id"], "JOB_PHASE_CANCELLED")
        again = cluster.muster("study", "run", self.file)
        self.assertEqual(again.code, 1, again)
        self.assertIn("failed or cancelled: 1 job.", again.err)
        self.assertEqual(len(self.jobs(cluster, study())), 1)
        refused = cluster.muster("study", "report", self.file)
        self.assertEqual(refused.code, 6, refused)
        self.assertIn("no job of study pilot is done", refused.err)
        cluster.ok("study", "run", self.file, "--retry")
        self.assertEqual(len(self.jobs(cluster, study())), 2)
        cluster.ok("study", "run", self.file, "--retry")
        self.assertEqual(len(self.jobs(cluster, study())), 2)


if __name__ == "__main__":
    unittest.main(verbosity=2)
