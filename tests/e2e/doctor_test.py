"""muster doctor names each problem of a real cluster; each problem is actually created."""
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from cluster import BIN, Cluster, push_topics, topics_job, wait_until  # noqa: E402


def doctor(*words, env=None):
    done = subprocess.run([str(BIN / "muster"), "doctor", "--output", "json", *map(str, words)], capture_output=True, text=True,
                          timeout=120, env=env or os.environ, stdin=subprocess.DEVNULL)
    findings = json.loads(done.stdout)["findings"] if done.stdout else []
    return done, findings


def issue(authority, role, name, out, *words):
    subprocess.run([str(BIN / "muster"), "certs", "issue", str(authority), "--role", role, "--name", name, "--out", str(out), *words],
                   check=True, capture_output=True)
    return out


class Doctor(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster(slots=1)
        cls.addClassCleanup(cls.cluster.close)
        cls.cluster.start()
        cls.folder = pathlib.Path(tempfile.mkdtemp(prefix="muster-doctor-"))
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        cls.authority = cls.cluster.state / "certs/authority"

    def problem(self, findings, text):
        """The only finding that is not `ok` and contains the text."""
        found = [f for f in findings if f["state"] != "ok" and text in f["detail"]]
        self.assertEqual(len(found), 1, json.dumps(findings, indent=1))
        self.assertTrue(found[0]["remedy"], found[0])
        return found[0]

    def test_a_cluster_that_is_well(self):
        done, findings = doctor(env=self.cluster.environment())
        self.assertEqual(done.returncode, 0, json.dumps(findings, indent=1))
        self.assertEqual({f["state"] for f in findings}, {"ok"}, json.dumps(findings, indent=1))
        looked_at = " ".join(f["what"] for f in findings)
        for what in ("your certificate", "coordinator at", "certificate of the coordinator", "clock of the coordinator",
                     "version of the coordinator", "data server at", "certificate of the data server", "workers", "private key"):
            self.assertIn(what, looked_at)

    def with_certs(self, folder):
        return {**self.cluster.environment(), "MUSTER_CERTS": str(folder)}

    def test_an_expired_certificate(self):
        certs = issue(self.authority, "submitter", "late", self.folder / "expired")
        # muster never issues an expired certificate, so openssl does, with the same authority and key.
        request = self.folder / "late.csr"
        for words in (["req", "-new", "-key", certs / "key.pem", "-subj", "/OU=submitter/CN=late", "-out", request],
                      ["x509", "-req", "-in", request, "-CA", self.authority / "ca.pem", "-CAkey", self.authority / "ca-key.pem",
                       "-CAcreateserial", "-CAserial", self.folder / "serial", "-days", "-1", "-out", certs / "cert.pem"]):
            subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True)
        done, findings = doctor(env=self.with_certs(certs))
        self.assertEqual(done.returncode, 1)
        self.assertEqual(self.problem(findings, "expired on")["what"], "your certificate")

    def test_a_certificate_that_expires_soon(self):
        certs = issue(self.authority, "submitter", "soon", self.folder / "soon", "--days", "3")
        done, findings = doctor(env=self.with_certs(certs))
        self.assertEqual(done.returncode, 0, "a warning is not a problem")
        self.problem(findings, "expires in")

    def test_another_authority(self):
        subprocess.run([str(BIN / "muster"), "certs", "init", str(self.folder / "other")], check=True, capture_output=True)
        certs = issue(self.folder / "other", "submitter", "stranger", self.folder / "stranger")
        done, findings = doctor(env=self.with_certs(certs))
        self.assertEqual(done.returncode, 1)
        found = [f for f in findings if "was not issued by the authority" in f["detail"]]
        self.assertTrue(any(f["what"] == "certificate of the coordinator" for f in found), json.dumps(findings, indent=1))

    def test_a_role_that_does_not_fit_and_a_key_that_everybody_may_read(self):
        certs = issue(self.authority, "worker", "w9", self.folder / "worker")
        os.chmod(certs / "key.pem", 0o644)
        done, findings = doctor(env=self.with_certs(certs))
        self.assertEqual(done.returncode, 1)
        self.assertEqual(self.problem(findings, 'has role "worker"')["what"], "your certificate")
        self.assertIn("chmod 600", self.problem(findings, "may be read by everybody")["remedy"])

    def test_a_token_is_named_and_its_file_must_be_private(self):
        token, tokens = self.folder / "token", self.cluster.state / "tokens.yaml"
        subprocess.run([str(BIN / "muster"), "tokens", "issue", "--file", str(tokens), "--user", "ana", "--role", "submitter", "--out",
                        str(token)], check=True, capture_output=True)
        os.chmod(token, 0o644)
        trust = self.folder / "trust"
        trust.mkdir()
        shutil.copy(self.authority / "ca.pem", trust / "ca.pem")
        environment = {**self.with_certs(trust), "MUSTER_TOKEN_FILE": str(token)}
        done, findings = doctor(env=environment)
        self.assertEqual(self.problem(findings, "may be read by everybody")["what"], f"token file {token}")
        os.remove(token)
        done, findings = doctor(env=environment)
        self.assertEqual(done.returncode, 1)
        lost = [f for f in findings if f["what"] == f"token file {token}"]
        self.assertEqual([(f["state"], f["detail"]) for f in lost], [("problem", "No such file or directory")])

    def test_a_cluster_whose_only_worker_drains_and_a_job_that_fits_nowhere(self):
        push_topics(self.cluster)
        job = self.cluster.submit(topics_job("wide", resources={"device": "cpu", "slots": {"min": 64}}))
        self.cluster.ok("drain", "local")
        try:
            done, findings = doctor(env=self.cluster.environment())
            self.assertEqual(done.returncode, 1)
            self.problem(findings, "none of 1 takes new ranks")
            self.assertIn(job, self.problem(findings, "it needs 64 CPU slots, and all workers together have 1")["what"])
        finally:
            self.cluster.ok("drain", "local", "--undo")
            self.cluster.ok("cancel", job)

    def test_a_stopped_data_server(self):
        pid = self.cluster.info()["pids"]["data"]
        os.kill(self.cluster.process.pid, signal.SIGSTOP)  # so that nothing restarts it
        try:
            os.kill(pid, signal.SIGKILL)
            done, findings = doctor(env=self.cluster.environment())
        finally:
            os.kill(self.cluster.process.pid, signal.SIGCONT)
        self.assertEqual(done.returncode, 1)
        self.assertIn("data server at", self.problem(findings, "Connection refused")["what"])
        wait_until("the data server is back", lambda: doctor(env=self.cluster.environment())[0].returncode == 0, 60)

    def test_a_stopped_coordinator_and_an_unknown_name(self):
        for address, text in (("127.0.0.1:1", "Connection refused"), ("no-such-host.invalid:7070", "is not known")):
            done, findings = doctor("--address", address, env=self.cluster.environment())
            self.assertEqual(done.returncode, 1)
            self.assertIn(f"coordinator at {address}", self.problem(findings, text)["what"])

    def test_a_port_that_does_not_speak_tls(self):
        metrics = self.cluster.info()["metrics"]["coordinator"]
        done, findings = doctor("--address", metrics, env=self.cluster.environment())
        self.assertEqual(done.returncode, 1)
        self.problem(findings, "TLS fails")

    def test_a_workers_host(self):
        taken = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(taken.close)
        port = taken.getsockname()[1]
        done, findings = doctor("--worker", "--state", self.folder / "nowhere", "--metrics", f"127.0.0.1:{port}", "--gpu",
                                "--rank-binary", "/bin/false",
                                env={**self.cluster.environment(), "NCCL_SOCKET_IFNAME": "=nosuch0"})
        self.assertEqual(done.returncode, 1)
        owner = self.problem(findings, f"(pid {os.getpid()})")
        self.assertEqual(owner["what"], f"port {port} (metrics)")
        self.problem(findings, "selects no interface that is up")
        self.assertEqual([f["detail"] for f in findings if f["what"].endswith("/nowhere")], ["does not exist"])
        self.assertTrue({"GPUs", "NVIDIA driver"} & {f["what"] for f in findings}, "their absence is said, too")
        self.problem(findings, "does not start")
        _, findings = doctor("--worker", "--state", self.cluster.state / "worker", env=self.cluster.environment())
        looked_at = {f["what"]: f for f in findings}
        self.assertEqual(looked_at["rank program"]["state"], "ok", looked_at["rank program"])
        for what in ("/dev/shm", "cores", "memory", "open files", "NCCL_SOCKET_IFNAME"):
            self.assertIn(what, looked_at)


if __name__ == "__main__":
    unittest.main(verbosity=2)
