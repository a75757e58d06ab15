"""State folders that version 0.1.0 wrote (commit 0b11661) open, replay and continue in this version.

old_state.tar.xz is made by: old_state_test.py --make BIN, with BIN the programs of that version (tests/long/upgrade_test.py builds
them). It holds a running, a paused, a cancelled and a waiting job, a drained worker, a dataset and a vocabulary."""
import json
import pathlib
import signal
import sys
import tarfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from apart import Apart, Server  # noqa: E402
from cluster import push_topics, topics_job, wait_until  # noqa: E402

ARCHIVE = pathlib.Path(__file__).parent / "old_state.tar.xz"
ENDLESS = {"steps": 1000000}


def job(name, slots, **changes):
    return topics_job(name, duration=ENDLESS, checkpoint={"every_steps": 1000000, "keep": 1},
                      resources={"device": "cpu", "slots": {"min": slots, "max": slots}, "threads": 1}, **changes)


def make(programs):
    Server.programs, Server.has_health = pathlib.Path(programs), False
    cluster = Apart(slots=(2,))
    try:
        cluster.start()
        push_topics(cluster)
        ids = {}
        for name in ("cancelled", "paused", "running"):
            ids[name] = cluster.submit(job(name, 2), "--request-id", f"request-{name}")
            cluster.wait_for_step(ids[name], 2)
            if name != "running":
                cluster.ok({"cancelled": "cancel", "paused": "pause"}[name], ids[name])
        ids["waiting"] = cluster.submit(job("waiting", 50), "--request-id", "request-waiting")
        cluster.ok("drain", "w1")
        for server in (cluster.coordinator, cluster.data):
            server.process.send_signal(signal.SIGTERM)
            assert server.process.wait(30) == 0
        states = cluster.folder / "states"
        (states / "ids.json").write_text(json.dumps(ids))
        with tarfile.open(ARCHIVE, "w:xz", preset=9) as archive:
            for path in sorted(states.rglob("*")):
                name = path.relative_to(states)
                if path.is_file() and path.name != "lock" and name.parts[0] in ("coordinator", "data", "ids.json") and "logs" not in name.parts:
                    archive.add(path, str(name))
        print(ARCHIVE, ARCHIVE.stat().st_size, "bytes")
    finally:
        cluster.close()


class Reopened(Apart):
    """A coordinator and a data server on the old folders."""

    def start(self):
        states = self.folder / "states"
        states.mkdir()
        with tarfile.open(ARCHIVE) as archive:
            archive.extractall(states, filter="data") if hasattr(tarfile, "data_filter") else archive.extractall(states)
        self.ids = json.loads((states / "ids.json").read_text())
        super().start()


class OldState(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = Reopened(slots=())
        cls.addClassCleanup(cls.cluster.close)
        cls.cluster.start()

    def test_everything_is_kept_and_continues(self):
        cluster, ids = self.cluster, self.cluster.ids
        phases = {name: cluster.job(job_id)["phase"].removeprefix("JOB_PHASE_") for name, job_id in ids.items()}
        self.assertEqual(phases, {"running": "TRAINING", "paused": "PAUSED", "cancelled": "CANCELLED", "waiting": "QUEUED"})
        self.assertEqual(cluster.submit(job("running", 2), "--request-id", "request-running"), ids["running"], "known by its request id")
        self.assertEqual([d["name"] for d in cluster.ok("data", "list", "--output", "json").json()["datasets"]], ["topics"])
        self.assertEqual([m["name"] for m in cluster.ok("models", "list", "--output", "json").json()["models"]], ["small-vocab"])

        worker = cluster.server("worker", "w1", "--coordinator", cluster.coordinator.address, "--name", "w1", "--device", "cpu",
                                "--slots", "2", listens=False)
        listed = wait_until("the worker is listed", lambda: cluster.ok("workers", "--output", "json").json().get("workers"), 60)
        self.assertEqual(listed[0]["state"], "WORKER_STATE_DRAINING", "the drain still holds")
        wait_until("the attempt whose ranks died with their agent has ended", lambda: cluster.job(ids["running"])["phase"] == "JOB_PHASE_RECOVERING", 60)
        cluster.ok("drain", "w1", "--undo")
        found = cluster.wait_for_step(ids["running"], 2)
        self.assertEqual([int(a["number"]) for a in found["attempts"]], [1, 2])
        cluster.ok("cancel", ids["running"])
        cluster.ok("resume", ids["paused"])
        cluster.wait_for_step(ids["paused"], 2)
        self.assertIsNone(worker.process.poll())
        for name in ("paused", "waiting"):
            cluster.ok("cancel", ids[name])


if __name__ == "__main__":
    if sys.argv[1:2] == ["--make"]:
        make(sys.argv[2])
    else:
        unittest.main(verbosity=2)
