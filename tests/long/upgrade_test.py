"""A cluster of the previous version is stopped and started again as this one (docs/operate/upgrade.md, "To the frozen API"):
nothing acknowledged is lost, and a paused and a running job continue from their checkpoints and end well.

The previous version is OLD of this repository, built below build/upgrade (some minutes the first time)."""
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
    """Coordinator, data server and one worker with two slots, all of the previous version; each can be replaced."""

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

    def command(self, *words):
        """Calls have other names in the old version, so its servers need its client."""
        return [str((BIN if self.coordinator is not None and self.coordinator.new else self.old) / "muster"), *map(str, words)]

    def cli(self, binary, *words, timeout=60):
        return Result(subprocess.run([str(binary / "muster"), *map(str, words)], env=self.environment(), capture_output=True, text=True,
                                     timeout=timeout, stdin=subprocess.DEVNULL))


class OldServer(Server):
    """Starts as the old version, or as this one once `new` is set."""
    new = False

    def start(self):
        self.programs, self.has_health = (BIN, True) if self.new else (self.cluster.old, False)
        return super().start()

    def end(self):
        self.stop()
        assert self.process.returncode == 0, f"{self.name} ended with {self.process.returncode}: {self.log.read_text()[-2000:]}"


class Submitters(threading.Thread):
    """Submits jobs that wait forever (they ask for more slots than exist), and records which were acknowledged."""

    def __init__(self, cluster):
        super().__init__()
        self.cluster, self.acknowledged, self.ending = cluster, [], threading.Event()
        self.path = cluster.folder / "waits.yaml"
        self.path.write_text(json.dumps(topics_job("waits", resources={"device": "cpu", "slots": {"min": 50, "max": 50}})))

    def run(self):
        while not self.ending.is_set():
            result = self.cluster.cli(self.cluster.old, "submit", self.path, "--output", "json")
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

    def test_the_whole_cluster_at_once(self):
        cluster = self.start()
        paused, running = (cluster.submit(topics_job(name, duration={"steps": STEPS}, checkpoint={"every_steps": 20, "keep": 2},
                                                     resources={"device": "cpu", "slots": {"min": 1, "max": 1}, "threads": 1}))
                           for name in ("paused", "running"))
        for job_id in (paused, running):
            cluster.wait_for_step(job_id, 30)
        submitters = Submitters(cluster)
        submitters.start()
        self.addCleanup(submitters.ending.set)
        cluster.ok("pause", paused)
        cluster.wait_for_phase(paused, "JOB_PHASE_PAUSED", seconds=60)
        wait_until("several submissions", lambda: len(submitters.acknowledged) > 3, 60)
        acknowledged = submitters.finish()
        before = {job_id: cluster.job(job_id) for job_id in (paused, running)}

        for server in (cluster.workers[0], cluster.coordinator, cluster.data):
            server.end()
        for server in (cluster.data, cluster.coordinator, cluster.workers[0]):
            server.new = True
            server.start()
        for words in (("jobs",), ("workers",), ("queues",), ("data", "list"), ("models", "list")):
            wait_until(f"muster {words}", lambda: cluster.muster(*words).code == 0, 30)
        for job_id in acknowledged:
            self.assertEqual(cluster.job(job_id)["phase"], "JOB_PHASE_QUEUED")
        self.assertEqual(cluster.job(paused)["phase"], "JOB_PHASE_PAUSED")
        cluster.ok("resume", paused)
        for job_id in (paused, running):
            done = cluster.wait_for_phase(job_id, "JOB_PHASE_SUCCEEDED", seconds=900)
            self.assertEqual(done["spec"]["loss"]["objective"], before[job_id]["spec"]["loss"]["objective"])
            attempts = [(int(a["number"]), int(a.get("from_step", 0))) for a in done["attempts"]]
            self.assertEqual(len(attempts), 2)
            self.assertGreaterEqual(attempts[1][1], 20, "from a checkpoint of the old version")
            resolved = done["resolved"]
            self.assertEqual(audit.complaints(audit.read_logs(cluster.audit, job_id), audit.lineage_of_attempts(attempts, STEPS),
                                              int(resolved["train_queries"]), int(resolved["steps_per_epoch"])), [])


if __name__ == "__main__":
    if git("cat-file", "-e", OLD + "^{commit}", check=False).returncode != 0:
        print(f"left out: the history of this clone does not hold {OLD}, the previous version")
        sys.exit(SKIPPED)
    unittest.main(verbosity=2)
