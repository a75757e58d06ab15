"""`pip install ./client/python` in a fresh environment, offline and without a compiler, from the wheels of deploy/bootstrap --long: the
installed package passes its unit tests with the newest grpcio and protobuf, its types are complete, and the real TensorBoard, MLflow and
W&B take what it writes.

The wheels' versions are in this folder: python_client_build.txt (what the build needs), python_client_run.txt (what users get) and
python_client_tools.txt (what the tests compare with).

usage: python_client_test.py [/FOLDER/OF/WHEELS]"""
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest
import zipfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
CLIENT = ROOT / "client/python"
WHEELS = pathlib.Path(sys.argv.pop(1) if len(sys.argv) > 1 and sys.argv[1].startswith("/") else ROOT / ".deps/python-client")

TRACKERS = '''
import os, pathlib, sys, unittest
sys.path[:0] = [os.environ["CLIENT"] + "/tests", os.environ["CLIENT"] + "/testing"]
import scratch, trackers_test
from muster import trackers

def records(data):
    """Of W&B's file: a header of 7 bytes, then LevelDB's log format (blocks of 32 KiB; checksum, length, kind, bytes)."""
    at, waiting = 7, b""
    while at + 7 <= len(data):
        if 32768 - at % 32768 < 7:  # the rest of a block is empty
            at += 32768 - at % 32768
            continue
        length, kind = int.from_bytes(data[at + 4:at + 6], "little"), data[at + 6]
        waiting += data[at + 7:at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # whole, or the last part
            yield waiting
            waiting = b""

class Real(unittest.TestCase):
    folder = pathlib.Path(os.environ["FOLDER"])

    def test_tensorboard_reads_the_event_file(self):
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
        trackers.mirror(trackers_test.FakeJob(), [trackers.TensorBoard(self.folder / "tb")])
        read = EventAccumulator(str(self.folder / "tb"), size_guidance={"scalars": 0})
        read.Reload()
        self.assertEqual(set(read.Tags()["scalars"]), {"train/loss", "train/learning_rate", "d/test/ndcg@10", "d/test/mrr"})
        self.assertEqual([(one.step, round(one.value * one.step, 5)) for one in read.Scalars("train/loss")], [(step, 1.0) for step in range(1, 301)])
        self.assertEqual([(one.step, one.value) for one in read.Scalars("d/test/ndcg@10")], [(0, 0.25), (300, 0.75)])

    def test_mlflow_keeps_parameters_and_metrics(self):
        import mlflow
        mlflow.set_tracking_uri(os.environ["MLFLOW_TRACKING_URI"])
        trackers.mirror(trackers_test.FakeJob(), [trackers.MLflow("experiment", "n")])
        client = mlflow.MlflowClient()
        run, = client.search_runs([client.get_experiment_by_name("experiment").experiment_id])
        self.assertEqual((run.info.status, run.data.tags["muster.job"], run.data.params["loss.temperature"]), ("FINISHED", "abc", "0.5"))
        self.assertEqual([(one.step, one.value) for one in client.get_metric_history(run.info.run_id, "d/test/ndcg_at_10")], [(0, 0.25), (300, 0.75)])
        self.assertEqual(len(client.get_metric_history(run.info.run_id, "train/loss")), 300)

    def test_wandb_offline_keeps_every_step_and_late_evaluations(self):
        import wandb
        trackers.mirror(trackers_test.FakeJob(), [trackers.WandB("project", "n")])
        self.assertIsNone(wandb.run, "it was finished")
        from wandb.proto import wandb_internal_pb2
        path, = (self.folder / "wandb").glob("offline-run-*/*.wandb")
        history = []
        for data in records(path.read_bytes()):
            record = wandb_internal_pb2.Record.FromString(data)
            if record.WhichOneof("record_type") == "history":
                history.append({item.key or "/".join(item.nested_key): item.value_json for item in record.history.item})
        self.assertEqual(sum("train/loss" in row for row in history), 300)
        self.assertEqual([row["step"] for row in history if "d/test/mrr" in row], ["0", "300"])

# W&B's hook at exit needs a number, and unittest ends with a truth value.
sys.exit(0 if unittest.main(exit=False).result.wasSuccessful() else 1)
'''


class Installed(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory(prefix="muster-venv-")
        cls.addClassCleanup(folder.cleanup)
        cls.folder = pathlib.Path(folder.name)
        # Only the interpreter is on the PATH: neither a compiler nor protoc.
        cls.environment = {"PATH": str(cls.folder / "v/bin"), "HOME": str(cls.folder), "MUSTER_INSTALLED": "1", "PYTHONDONTWRITEBYTECODE": "1",
                           "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(WHEELS), "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_CONFIG_FILE": os.devnull,
                           "CC": "/nonexistent/cc", "CXX": "/nonexistent/c++", "LANG": "C.UTF-8"}
        subprocess.run(["/usr/bin/python3", "-m", "venv", str(cls.folder / "v")], check=True)
        cls.copy = cls.folder / "checkout"  # an installation builds in its folder
        for name in ("client/python", "proto"):
            shutil.copytree(ROOT / name, cls.copy / name, ignore=shutil.ignore_patterns("build", "*.egg-info"))
        cls.python("-m", "pip", "install", "--quiet", str(cls.copy / "client/python"))

    @classmethod
    def python(cls, *words, **more):
        done = subprocess.run([str(cls.folder / "v/bin/python"), *words], cwd=cls.folder, capture_output=True, text=True, timeout=900,
                              env={**cls.environment, **more})
        assert done.returncode == 0, f"{words}: {done.stdout[-6000:]}{done.stderr[-6000:]}"
        return done

    def test_1_installs_from_a_wheel_and_from_a_source_distribution_alike(self):
        self.assertIsNone(shutil.which("protoc", path=self.environment["PATH"]))
        wheels = self.folder / "built"
        self.python("-m", "pip", "wheel", "--quiet", "--no-deps", "-w", str(wheels), str(self.copy / "client/python"))
        wheel, = wheels.iterdir()
        self.assertTrue(wheel.name.endswith("-py3-none-any.whl"), wheel)
        self.python("-m", "pip", "install", "--quiet", "--target", str(self.folder / "tools"), "setuptools")
        subprocess.run([str(self.folder / "v/bin/python"), "setup.py", "--quiet", "sdist", "-d", str(wheels)], check=True,
                       cwd=self.copy / "client/python", env={**self.environment, "PYTHONPATH": str(self.folder / "tools")})
        source, = wheels.glob("*.tar.gz")
        self.python("-m", "pip", "wheel", "--quiet", "--no-deps", "-w", str(wheels / "again"), str(source))
        again, = (wheels / "again").iterdir()
        contents = [{name: file.read(name) for name in file.namelist() if name.startswith("muster/")}
                    for file in (zipfile.ZipFile(wheel), zipfile.ZipFile(again))]
        self.assertEqual(contents[0], contents[1])
        for name in ("muster/py.typed", "muster/v1/job_pb2.py", "muster/v1/job_pb2.pyi", "muster/wire/status_pb2.py", "muster/client.py"):
            self.assertIn(name, contents[0])

    def test_2_unit_tests_pass_with_the_newest_releases(self):
        done = self.python(str(CLIENT / "tests/run.py"))
        self.assertIn("OK", done.stderr)
        versions = self.python("-c", "import grpc, google.protobuf as p, muster; print(grpc.__version__, p.__version__, muster.__file__)").stdout
        print(versions)
        self.assertIn(str(self.folder), versions, "the installed package was tested")

    def test_3_the_real_trackers_take_what_it_writes_and_types_are_complete(self):
        self.python("-m", "pip", "install", "--quiet", "--no-deps", "-r", str(ROOT / "tests/long/python_client_tools.txt"))
        script = self.folder / "real_trackers.py"
        script.write_text(TRACKERS)
        done = self.python(str(script), "-v", CLIENT=str(CLIENT), FOLDER=str(self.folder), WANDB_MODE="offline", WANDB_DIR=str(self.folder),
                           WANDB_SILENT="true", MLFLOW_TRACKING_URI=(self.folder / "mlruns").as_uri(), MLFLOW_ALLOW_FILE_STORE="true")
        print(done.stderr[-400:])
        self.python("-m", "mypy", "--strict", "--config-file", str(CLIENT / "pyproject.toml"), "-p", "muster")
        table = self.python("-c", "import muster._values as v; print(type(v.table([{'a': 1}])).__name__)").stdout
        self.assertEqual(table.strip(), "DataFrame")


if __name__ == "__main__":
    if not WHEELS.is_dir():
        sys.exit(f"{WHEELS} is missing: deploy/bootstrap --long makes it")
    unittest.main(verbosity=2)
