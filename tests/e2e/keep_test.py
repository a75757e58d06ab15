"""deploy/quickstart --keep leaves a cluster running, and a Prometheus that scrapes it and has the rules."""
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest
import urllib.parse
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from cluster import BIN, ROOT, wait_until  # noqa: E402

KEEP = ROOT / "deploy/demo/keep.py"


def keep(*words):
    return subprocess.run([str(KEEP), *map(str, words)], capture_output=True, text=True, timeout=120)


def is_alive(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except OSError:
        return False


class Keep(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="muster-keep-"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.state = self.folder / "state"
        self.addCleanup(keep, "stop", self.state)

    def ask(self, path, **words):
        with urllib.request.urlopen(f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(words)}", timeout=10) as reply:
            return json.loads(reply.read())["data"]

    def test_the_cluster_and_its_prometheus_stay_until_they_are_stopped(self):
        started = keep("start", BIN, self.state, "1")
        self.assertEqual(started.returncode, 0, started.stderr)
        self.url = (self.state / "prometheus/url.txt").read_text().strip()

        def all_up():
            up = self.ask("query", query="up")["result"]
            return {one["metric"]["job"] for one in up if one["value"][1] == "1"} == {"muster-coordinator", "muster-data", "muster-worker"}
        wait_until("Prometheus scrapes all three", all_up, 30)
        rules = {rule["name"] for group in self.ask("rules")["groups"] for rule in group["rules"]}
        self.assertLessEqual({"MusterCoordinatorAbsent", "muster:goodput:ratio_rate5m"}, rules)

        listed = keep("run", self.state, BIN / "muster", "workers", "--output", "json")
        self.assertEqual(len(json.loads(listed.stdout)["workers"]), 1, listed.stderr)
        said = keep("where", self.state).stdout
        info = json.loads((self.state / "local.json").read_text())
        for wanted in (f"MUSTER_ADDRESS={info['address']}", f"MUSTER_CERTS={info['certs']}", f"{self.url}/alerts", "--stop"):
            self.assertIn(wanted, said)
        self.assertEqual(keep("refuse", self.state).returncode, 1, "a second cluster on the same folder")

        pids = [*info["pids"].values(), int((self.state / "keep.pid").read_text())]
        self.assertTrue(all(map(is_alive, pids)))
        stopped = keep("stop", self.state)
        self.assertEqual(stopped.returncode, 0, stopped.stderr)
        self.assertFalse(any(map(is_alive, pids)))
        with self.assertRaises(OSError):
            self.ask("query", query="up")
        self.assertEqual(keep("stop", self.state).returncode, 1, "nothing is running")

    def test_a_cluster_that_cannot_start_is_reported_with_its_log(self):
        broken = self.folder / "bin"
        broken.mkdir()
        shutil.copy(BIN / "muster", broken / "muster")  # it looks for the servers in its own folder
        shutil.copy("/bin/false", broken / "muster-data")
        started = keep("start", broken, self.state, "1")
        self.assertEqual(started.returncode, 1)
        self.assertIn("muster-data ended", started.stderr)


if __name__ == "__main__":
    unittest.main(verbosity=2)
