"""A cluster of the version before is replaced program by program while a job runs: nothing acknowledged is lost, the job ends
well, and the clients of both versions work with the servers of both.

The version before is OLD of this repository, built below build/upgrade (some minutes the first time)."""
import json
import os
import pathlib
import subprocess
import sys
import threading
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/e2e"))
import audit  # noqa: E402
from apart import Apart, Server  # noqa: E402
from cluster import BIN, Result, push_topics, topics_job, wait_until  # noqa: E402

OLD = "0b11661"
SKIPPED, STEPS = 77, 1500
PROGRAMS = ("muster", "muster-coordinator", "muster-data", "muster-worker", "muster-rank")


def git(*words, check=True):
    return subprocess.run(["git", "-C", str(ROOT), *words], check=check, capture_output=True, text=True)


def build_old():
    """The folder with the old programs; built at the first call, and kept for later ones."""
    source = ROOT / "build/upgrade"
    build = source / "build/dev"  # as deep as the usual folder, so that ccache recognizes what both share
    if not (source / "CMakeLists.txt").is_file():
        git("worktree", "prune")
        git("worktree", "add", "--detach", "--force", str(source), OLD)
    if not (source / ".deps").exists():
        (source / ".deps").symlink_to((ROOT / ".deps").resolve())
    subprocess.run(["cmake", "--preset", "dev", "-DMUSTER_TESTS=OFF"], cwd=source, check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["ninja", "-C", str(build), "-j", str(os.cpu_count()), *PROGRAMS], check=True, stdout=subprocess.DEVNULL)
    return build / "bin"


class Cluster(Apart):
    """Coordinator, data server and one worker with two slots, all of the version before; each can be replaced."""

    def __init__(self, old):
        super().__init__(slots=(2,))
        self.old = old

    def server(self, program, name, *words, **more):
        more["certs"] = more.get("certs") or self.certs(program, name)
        server = OldServer(self, program, name, ["--state", self.folder / "states" / name, "--certs", more["certs"], *words],
                           listens=more.get("listens", True))
        self.servers.append(server)
        return server.start()

    def certs(self, role, name, *more):
        """Issued by the old version, in which users have only the role `user`."""
        folder = self.folder / "certs" / name
        subprocess.run([str(self.old / "muster"), "certs", "issue", str(self.folder / "authority"), "--role",
                        "user" if role in ("viewer", "submitter", "operator") else role, "--name", name, "--out", str(folder), *more],
                       check=True, stdout=subprocess.DEVNULL, timeout=30)
        return folder

    def cli(self, binary, *words, timeout=60):
        return Result(subprocess.run([str(binary / "muster"), *map(str, words)], env=self.environment(), capture_output=True, text=True,
                                     timeout=timeout, stdin=subprocess.DEVNULL))


class OldServer(Server):
    """Starts as the old version, and after replace() as this one."""
    new = False

    def start(self):
        self.programs, self.has_health = (BIN, True) if self.new else (self.cluster.old, False)
        unticketed = "--allow-ranks-without-ticket"  # like the ranks of the old version
        self.words = [word for word in self.words if word != unticketed]
        if self.new and self.program == "data":
            self.words.append(unticketed)
        return super().start()

    def replace(self, new=True):
        self.stop()
        assert self.process.returncode == 0, f"{self.name} ended with {self.process.returncode}: {self.log.read_text()[-2000:]}"
        self.new = new
        return self.start()


class Submitters(threading.Thread):
    """Submits jobs that wait forever (they ask for more slots than exist) with both clients in turn, and records
    which were acknowledged."""

    def __init__(self, cluster):
        super().__init__()
        self.cluster, self.acknowledged, self.ending = cluster, [], threading.Event()
        self.path = cluster.folder / "waits.yaml"
        self.path.write_text(json.dumps(topics_job("waits", resources={"device": "cpu", "slots": {"min": 50, "max": 50}})))

    def run(self):
        count = 0
        while not self.ending.is_set():
            count += 1
            result = self.cluster.cli((self.cluster.old, BIN)[count % 2], "submit", self.path, "--output", "json")
            if result.code == 0:
                self.acknowledged.append(result.json()["id"])

    def finish(self):
        self.ending.set()
        self.join()
        return self.acknowledged


class Upgrade(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.old = build_old()

    def start(self):
        cluster = Cluster(self.old)
        self.addCleanup(cluster.close)
        cluster.output = open(cluster.folder / "cluster.log", "ab")
        cluster.start()
        push_topics(cluster)
        return cluster

    def assert_clients_work(self, cluster, job_id):
        for binary in (cluster.old, BIN):
            for words in (("get", job_id), ("jobs",), ("workers",), ("queues",), ("data", "list"), ("models", "list")):
                result = wait_until(f"{binary}/muster {words}", lambda: self.answer(cluster, binary, words), 30)
                self.assertEqual(result.code, 0, (binary, words, result))

    @staticmethod
    def answer(cluster, binary, words):
        result = cluster.cli(binary, *words)
        return result if result.code == 0 else None

    def run_upgrade(self, order, back=()):
        cluster = self.start()
        running = cluster.submit(topics_job("upgraded", duration={"steps": STEPS}, checkpoint={"every_steps": 20, "keep": 2}))
        cluster.wait_for_step(running, 30)
        self.assert_clients_work(cluster, running)
        submitters = Submitters(cluster)
        submitters.start()
        self.addCleanup(submitters.ending.set)
        programs = {"data": cluster.data, "coordinator": cluster.coordinator, "worker": cluster.workers[0]}
        for new, names in ((True, order), (False, back)):
            for name in names:
                before = int(cluster.job(running)["progress"]["step"])
                programs[name].replace(new)
                self.assert_clients_work(cluster, running)
                cluster.wait_for_step(running, before + 20, seconds=120)
        acknowledged = submitters.finish()
        done = cluster.wait_for_phase(running, "JOB_PHASE_SUCCEEDED", seconds=900)
        print(order, back, "attempts", [(a.get("from_step", 0), a.get("end_reason", "")) for a in done["attempts"]],
              len(acknowledged), "submissions")
        workers = [*order, *back].count("worker")
        self.assertEqual(len(done["attempts"]), 1 + workers, "only a worker's replacement costs an attempt")
        self.assertGreater(len(acknowledged), 3)
        for job_id in acknowledged:
            self.assertEqual(cluster.job(job_id)["phase"], "JOB_PHASE_QUEUED")
        attempts = [(int(a["number"]), int(a.get("from_step", 0))) for a in done["attempts"]]
        resolved = done["resolved"]
        self.assertEqual(audit.complaints(audit.read_logs(cluster.audit, running), audit.lineage_of_attempts(attempts, STEPS),
                                          int(resolved["train_queries"]), int(resolved["steps_per_epoch"])), [])

    def test_data_server_then_coordinator_then_worker(self):
        self.run_upgrade(("data", "coordinator", "worker"))

    def test_coordinator_then_data_server_then_worker(self):
        self.run_upgrade(("coordinator", "data", "worker"))

    def test_there_and_back(self):
        self.run_upgrade(("data", "coordinator", "worker"), ("worker", "coordinator", "data"))


if __name__ == "__main__":
    if git("cat-file", "-e", OLD + "^{commit}", check=False).returncode != 0:
        print(f"left out: the history of this clone does not hold {OLD}, the version before")
        sys.exit(SKIPPED)
    unittest.main(verbosity=2)
