"""Access by certificate and token, and replacing certificates in a running cluster."""
import json
import os
import pathlib
import signal
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from cluster import TopicsCase, topics_job, wait_until  # noqa: E402


class Access(TopicsCase):
    authority = "authority"  # days of the cluster's certificates, until one is replaced

    def certificate(self, role, name):
        folder = self.cluster.folder / f"as-{name}"
        self.cluster.ok("certs", "issue", self.cluster.state / "certs" / self.authority, "--role", role, "--name", name, "--out", folder)
        return folder

    def test_a_viewer_reads_and_changes_nothing(self):
        cluster = self.cluster
        viewer = self.certificate("viewer", "vera")
        self.assertEqual(cluster.muster("jobs", "--certs", viewer).code, 0)
        self.assertEqual(cluster.muster("data", "list", "--certs", viewer).code, 0)
        path = cluster.folder / "job.yaml"
        path.write_text(json.dumps(topics_job("forbidden")))
        for words in (["submit", path], ["data", "rm", "topics"], ["drain", "local"]):
            done = cluster.muster(*words, "--certs", viewer)
            self.assertEqual(done.code, 6, done)
            self.assertIn("the certificate shows viewer \"vera\"", done.err)
        lines = [json.loads(line) for line in (cluster.state / "coordinator" / "audit" / "audit.jsonl").read_text().splitlines()]
        refused = [line for line in lines if line["user"] == "vera"]
        self.assertEqual({line["outcome"] for line in refused}, {"PERMISSION_DENIED"})
        self.assertIn("JobService/SubmitJob", {line["method"] for line in refused})

    def test_the_authority_alone_is_not_enough(self):
        cluster = self.cluster
        trust = cluster.folder / "trust"
        trust.mkdir()
        (trust / "ca.pem").write_bytes((cluster.state / "certs" / self.authority / "ca.pem").read_bytes())
        done = cluster.muster("jobs", "--certs", trust)
        self.assertEqual(done.code, 6, done)
        self.assertIn("the caller is not authenticated", done.err)

    def test_a_job_outlives_its_servers_certificates(self):
        cluster = self.cluster
        certs = cluster.state / "certs"
        job_id = cluster.submit(topics_job("rotated", duration={"steps": 160}, batch={"queries": 54},
                                           data={"train": "topics", "positives": {"per_query": 0}},
                                           checkpoint={"every_steps": 20, "keep": 2}))
        cluster.wait_for_step(job_id, 3)
        ranks = cluster.rank_pids()
        # A new authority in three steps, while the ranks train.
        cluster.ok("certs", "init", certs / "next")
        folders = [certs / name for name in ("coordinator", "data", "worker", "user")]
        for folder in folders:
            cluster.ok("certs", "bundle", folder, certs / "authority", certs / "next")
        for folder in folders:
            before = (folder / "cert.pem").read_bytes()
            cluster.ok("certs", "renew", certs / "next", folder, "--keep-bundle")
            self.assertNotEqual((folder / "cert.pem").read_bytes(), before)
        # The ranks reconnect, because the servers that they were connected to are gone.
        pid = cluster.info()["pids"]["data"]
        os.kill(pid, signal.SIGKILL)
        wait_until("a new data server", lambda: cluster.info()["pids"]["data"] != pid, 60)
        self.assertEqual(cluster.rank_pids(), ranks, "the ranks trained on")
        job = cluster.wait_for_phase(job_id, "JOB_PHASE_SUCCEEDED", seconds=240)
        self.assertEqual(len(job["attempts"]), 1, job["attempts"])
        for folder in folders:
            cluster.ok("certs", "bundle", folder, certs / "next")
        old = self.certificate("operator", "yesterday")
        (old / "ca.pem").write_bytes((certs / "next" / "ca.pem").read_bytes())
        wait_until("the old authority is trusted no more", lambda: cluster.muster("jobs", "--certs", old).code == 5, 30)
        self.assertEqual(cluster.muster("jobs").code, 0)
        Access.authority = "next"


if __name__ == "__main__":
    unittest.main()
