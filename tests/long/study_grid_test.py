#!/usr/bin/env python3
"""A study of 6 objectives, 3 numbers of positives and 5 seeds, during which the coordinator, the data server and the worker are
killed in turn, has each of its 90 jobs once, and the report of an undisturbed study, byte for byte.

usage: tests/long/study_grid_test.py     MUSTER_BIN names the programs' folder; some minutes on two cores
"""
import json
import os
import pathlib
import signal
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
from cluster import topics_job, wait_until  # noqa: E402
from studies import FILES, StudyTest  # noqa: E402

OBJECTIVES = ["jointlh", "jointlh_sum", "rand1lh", "summarglh", "lsepair", "mean1lh"]
JOBS = len(OBJECTIVES) * 3 * 5
SERVERS = ["coordinator", "data", "worker"]


def study():
    base = topics_job(duration={"steps": 12}, resources={"device": "cpu", "threads": 1}, checkpoint={"every_steps": 4, "keep": 1})
    for key in ("name", "seed"):
        base.pop(key)
    return {"study": "grid", "base": base, "seeds": 5,
            "grid": {"loss.objective": OBJECTIVES, "data.positives.per_query": [1, 2, 3]},
            "report": {"metrics": ["ndcg@10", "mrr"]}}


class StudyGrid(StudyTest):
    def run_whole(self, cluster, disturb=None):
        client = subprocess.Popen(cluster.command("study", "run", self.file, "--parallel", "2", "--output", "json"),
                                  env=cluster.environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                  stdin=subprocess.DEVNULL, text=True)
        if disturb is not None:
            disturb(client)
        out, err = client.communicate(timeout=3600)
        self.assertEqual(client.returncode, 0, err)
        self.assertEqual((json.loads(out)["done"], json.loads(out)["failed"]), (JOBS, 0), err)
        jobs = self.jobs(cluster, study())
        self.assertEqual((len(jobs), len({job["spec"]["name"] for job in jobs})), (JOBS, JOBS), "no job ran twice")
        return jobs, self.report(cluster, "report")

    def ended(self, cluster):
        return sum(job["phase"] == "JOB_PHASE_SUCCEEDED" for job in self.jobs(cluster, study()))

    def kill_servers(self, cluster, client):
        for number, server in enumerate(2 * SERVERS, 1):
            wait_until(f"{10 * number} jobs have ended", lambda: self.ended(cluster) >= 10 * number or client.poll() is not None, 1800)
            wait_until("a job trains", lambda: any(job["phase"] == "JOB_PHASE_TRAINING" for job in self.jobs(cluster, study())), 120)
            pid = cluster.info()["pids"][server]
            os.kill(pid, signal.SIGKILL)
            print(f"after {10 * number} jobs: killed {server}", flush=True)
            wait_until(f"a new {server}", lambda: cluster.info()["pids"][server] != pid, 120)
            wait_until("the coordinator answers", lambda: cluster.muster("jobs", "--limit", "1").code == 0, 120)

    def test_a_grid_whose_servers_are_killed_runs_no_job_twice_and_gives_the_same_report(self):
        undisturbed = self.cluster(study())
        _, expected = self.run_whole(undisturbed)
        undisturbed.close()
        cluster = self.cluster(study())
        jobs, report = self.run_whole(cluster, lambda client: self.kill_servers(cluster, client))
        again = sum(len(cluster.job(job["id"])["attempts"]) > 1 for job in jobs)
        print(f"{again} of {JOBS} jobs had more than one attempt")
        self.assertGreater(again, 0, "a kill that interrupts no attempt shows nothing")
        for name in FILES:
            self.assertEqual(expected[name], report[name], name)


if __name__ == "__main__":
    unittest.main(verbosity=2)
