"""How users find things: other terminals find the cluster of `muster local`, commands find a job by its name, status finds what is wrong."""
import json
import os
import pathlib
import signal
import stat
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from cluster import BIN, Result, TopicsCase, topics_job, wait_until  # noqa: E402


class Local(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="muster-e2e-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.state = self.folder / "state"
        self.remembered = self.folder / "config/muster/local.yaml"
        others = {name: value for name, value in os.environ.items() if not name.startswith("MUSTER_")}
        self.environment = {**others, "XDG_CONFIG_HOME": str(self.folder / "config"), "HOME": str(self.folder)}

    def start(self):
        output = open(self.folder / "local.log", "wb")
        self.addCleanup(output.close)
        process = subprocess.Popen([str(BIN / "muster"), "local", "--slots", "1", "--state", str(self.state)], stdout=output,
                                   stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, env=self.environment)
        self.addCleanup(self.stop, process)
        log = self.folder / "local.log"
        wait_until("the cluster is ready", lambda: process.poll() is not None or b"Ctrl-C stops" in log.read_bytes(), 60)
        self.assertIsNone(process.poll(), log.read_text(errors="replace"))
        return process

    def stop(self, process, number=signal.SIGTERM):
        if process.poll() is None:
            process.send_signal(number)
            process.wait(40)

    def muster(self, *words):
        return Result(subprocess.run([str(BIN / "muster"), *words], env=self.environment, capture_output=True, text=True,
                                     timeout=60, stdin=subprocess.DEVNULL))

    def test_other_terminals_find_it_until_it_ends(self):
        process = self.start()
        info = json.loads((self.state / "local.json").read_text())
        self.assertEqual(stat.S_IMODE(self.remembered.stat().st_mode), 0o600)
        status = self.muster("status", "--output", "json")
        self.assertEqual(status.code, 0, status)
        self.assertEqual(status.json()["address"], info["address"])
        self.assertEqual(status.json()["hints"], [])
        self.assertIn(f"coordinator   {info['address']}, version", self.muster("status").out)
        # The remembered token is used and accepted: an unknown one would be refused.
        token = self.state / "user.token"
        secret = token.read_text()
        token.write_text("mst_" + 43 * "a" + "\n")
        self.assertEqual(self.muster("jobs").code, 6)
        token.write_text(secret)
        self.assertEqual(self.muster("jobs").code, 0)
        self.stop(process)
        self.assertFalse(self.remembered.exists())
        done = self.muster("jobs")
        self.assertEqual(done.code, 2, done)
        self.assertIn("no cluster is named", done.err)

    def test_a_cluster_that_was_killed_is_named_with_the_remedy(self):
        process = self.start()
        address = json.loads((self.state / "local.json").read_text())["address"]
        self.stop(process, signal.SIGKILL)
        self.assertTrue(self.remembered.exists())
        done = self.muster("jobs")
        self.assertEqual(done.code, 5, done)
        self.assertIn(f"{address}: Connection refused. The cluster that muster local ran there has ended. Start it again: "
                      f"muster local --state {self.state}; or name another with --address.", done.err)
        self.assertEqual(self.muster("jobs", "--address", "127.0.0.1:1", "--insecure").code, 5)


class Names(TopicsCase):
    def submit_waiting(self, name):
        """A job that fits on no worker, and so waits."""
        return self.cluster.submit(topics_job(name, resources={"device": "cpu", "slots": {"min": 64}}))

    def test_a_job_is_found_by_its_name_and_by_the_beginning_of_its_id(self):
        cluster = self.cluster
        first, twin, other = (self.submit_waiting(name) for name in ("first", "twin", "twin"))
        for given in (first, first[:7], "first"):
            self.assertEqual(cluster.ok("get", given, "--output", "json").json()["id"], first)
        for words in (["get"], ["cancel"], ["logs"], ["job", "rm", "--yes"]):
            several = cluster.muster(*words, "twin")
            self.assertEqual(several.code, 2, several)
            self.assertIn('several jobs are named "twin": ', several.err)
            self.assertIn(twin, several.err)
            self.assertIn(other, several.err)
        none = cluster.muster("cancel", "no-such-job")
        self.assertEqual(none.code, 6, none)
        self.assertIn('there is no job "no-such-job"', none.err)

        wait_until("the coordinator has said why they wait",
                   lambda: len(cluster.ok("status", "--output", "json").json()["hints"]) == 3)
        self.assertIn("submit it with a smaller resources.slots.min", cluster.ok("status").out)
        self.assertEqual(cluster.ok("cancel", "first").out, f"job {first} cancelled by local\n")
        for job in (twin, other):
            cluster.ok("cancel", job)
        status = cluster.ok("status", "--output", "json").json()
        self.assertEqual(status["active"], [])
        self.assertEqual({job["id"] for job in status["ended"]}, {first, twin, other})
        self.assertEqual(cluster.ok("job", "rm", "first", "--yes").out, f"removed job {first}\n")


if __name__ == "__main__":
    unittest.main()
