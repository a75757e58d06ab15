"""The manifests' commands, as written, on this machine: each pod's container starts as its user with a read-only root, its
probes pass in the time that they allow, its metrics are served, and SIGTERM ends it with 0 within its grace period.

Needs root and namespaces (unshare); elsewhere it says so and is skipped.
"""
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.request

INSIDE = "MUSTER_START_TEST_INSIDE"
if not os.environ.get(INSIDE):
    words = ["unshare", "--net", "--mount", "--propagation", "private"]
    if os.geteuid() != 0 or subprocess.run([*words, "true"], capture_output=True).returncode != 0:
        print("start_test: left out: starting the manifests' commands needs root and network and mount namespaces")
        sys.exit(77)
    os.execvpe(words[0], [*words, "/usr/bin/python3", *sys.argv], {**os.environ, INSIDE: "1"})

import manifests  # noqa: E402
import pods  # noqa: E402
from secrets_for_tests import make_secrets, muster  # noqa: E402
sys.path.insert(0, str(manifests.ROOT / "tests/e2e"))
from cluster import BIN, wait_until  # noqa: E402

class Start(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="muster-start-"))
        self.folder.chmod(0o755)
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.pods = []
        self.addCleanup(self.kill)

    def kill(self):
        for pod in self.pods:
            if pod.process and pod.process.poll() is None:
                pod.process.kill()
                pod.process.wait()

    def test_each_container_starts_passes_its_probes_and_ends(self):
        objects = manifests.overlay("single-node")
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        for number, owner in enumerate(o for o in objects if o["kind"] == "StatefulSet"):
            address = f"10.244.0.{11 + number}"
            subprocess.run(["ip", "address", "add", f"{address}/32", "dev", "lo"], check=True)
            self.pods.append(pods.Pod(owner, address, self.folder / owner["metadata"]["name"]))
        secrets = make_secrets(self.folder, "muster")
        hosts = pods.hosts_file(objects, self.pods)
        programs = {name: str((BIN / name).resolve()) for name in
                    ("muster", "muster-coordinator", "muster-data", "muster-worker", "muster-rank")}
        libraries = [str(folder) for folder in {(manifests.ROOT / ".deps/libtorch").resolve()} if folder.is_dir()]
        for pod in self.pods:
            pod.start(secrets, hosts, programs, libraries)
        for kind in ("startupProbe", "readinessProbe", "livenessProbe"):
            for pod in self.pods:
                self.pass_probe(pod, kind)
        for pod in self.pods:
            self.look_inside(pod)
            port = next(p["containerPort"] for p in pod.container["ports"] if p["name"] == "metrics")
            with urllib.request.urlopen(f"http://{pod.address}:{port}/metrics", timeout=10) as answer:
                self.assertIn(b"muster_build_info", answer.read(), pod.name)
        self.use_as_a_client()
        backups = self.back_up(secrets, hosts, programs, libraries)
        for pod in sorted(self.pods, key=lambda p: "worker" not in p.name):
            pod.process.send_signal(signal.SIGTERM)
            started = time.monotonic()
            try:
                code = pod.process.wait(pod.spec["terminationGracePeriodSeconds"])
            except subprocess.TimeoutExpired:
                self.fail(f"runs on after its grace period: {pod.said()}")
            self.assertEqual(0, code, pod.said())
            print(f"{pod.name}: ended with 0 after {time.monotonic() - started:.1f} s")
        self.restore(backups, secrets, hosts, programs, libraries)

    def pass_probe(self, pod, kind):
        started, said = time.monotonic(), []

        def passes():
            if pod.process.poll() is not None:
                raise AssertionError(f"ended: {pod.said()}")
            said[:] = [pod.probe(kind)]
            return said[0] is True
        try:
            wait_until(f"{pod.name}: {kind}", passes, pod.seconds_for(kind) if kind != "readinessProbe" else 60, every=0.2)
        except AssertionError as error:
            self.fail(f"{error}; last: {said}\n" + "\n".join(p.said() for p in self.pods))
        print(f"{pod.name}: {kind} passed after {time.monotonic() - started:.1f} s")

    def look_inside(self, pod):
        """The process runs as the manifest says: its user, no capability, a root that it cannot write to."""
        status = pathlib.Path(f"/proc/{pod.process.pid}/status").read_text()
        fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
        user = str(pod.user)
        self.assertEqual([user] * 4, fields["Uid"].split(), pod.name)
        self.assertEqual([user] * 4, fields["Gid"].split(), pod.name)
        self.assertEqual("0" * 16, fields["CapEff"])
        self.assertEqual("0" * 16, fields["CapBnd"])
        self.assertEqual("1", fields["NoNewPrivs"])
        mounts = pathlib.Path(f"/proc/{pod.process.pid}/mountinfo").read_text().splitlines()
        root = next(line.split() for line in mounts if line.split()[4] == "/")
        self.assertTrue(root[5].startswith("ro"), root)

    def back_up(self, secrets, hosts, programs, libraries):
        """The CronJob's pod ends with 0, and its volume has a backup."""
        owner = next(o for o in manifests.overlay("gpu-pool") if o["kind"] == "CronJob")
        pod = pods.Pod(owner, "127.0.0.1", self.folder / owner["metadata"]["name"])
        self.pods.append(pod)
        pod.start(secrets, hosts, programs, libraries)
        self.assertEqual(0, pod.process.wait(60), pod.said())
        self.pods.remove(pod)
        backup, = (pod.folder / "volume-backups/backups/backups").glob("*.json")
        print(f"{pod.name}: took the backup {backup.stem}")
        return pod.folder / "volume-backups"

    def restore(self, backups, *surroundings):
        """The Job of deploy/kubernetes/restore replaces both servers' state by the backup, and keeps the old state."""
        owner, = manifests.restore()
        state = {name: next(p.folder for p in self.pods if name in p.name) / "volume-state" for name in ("coordinator", "data")}
        spec = owner["spec"]["template"]["spec"]
        for number, container in enumerate(spec["initContainers"] + spec["containers"]):
            spec["containers"] = [container]
            pod = pods.Pod(owner, "127.0.0.1", self.folder / f"restore-{number}", {"backups": backups, **state})
            self.pods.append(pod)
            pod.start(*surroundings)
            self.assertEqual(0, pod.process.wait(60), pod.said())
            self.pods.remove(pod)
        for folder in state.values():
            self.assertTrue((folder / "state.before-restore").is_dir())
        self.assertTrue((state["coordinator"] / "state/coordinator.db").is_file(), list(state["coordinator"].rglob("*")))

    def use_as_a_client(self):
        """With only the authority's certificate and a token, through the Service's name."""
        coordinator = next(pod for pod in self.pods if "coordinator" in pod.name)
        certs = self.folder / "client"
        certs.mkdir()
        shutil.copy(self.folder / "authority/ca.pem", certs / "ca.pem")
        pathlib.Path("/etc/hosts").read_text()
        hosts = self.folder / "hosts"
        hosts.write_text(pods.hosts_file(manifests.overlay("single-node"), self.pods))
        subprocess.run(["mount", "--bind", hosts, "/etc/hosts"], check=True)  # in this test's mount namespace
        port = next(p["containerPort"] for p in coordinator.container["ports"] if p["name"] == "grpc")
        out = muster("workers", "--address", f"muster-coordinator:{port}", "--certs", certs, "--token-file", self.folder / "token")
        self.assertIn("muster-worker-0", out)


if __name__ == "__main__":
    unittest.main()
