"""The package agrees with the rest of the checkout, and shows jobs."""
import contextlib
import io
import pathlib
import re
import sys
import types
import unittest
from unittest import mock

import muster
from muster import BeforeAfter, Evaluation, _show
from muster._values import Progress, ordered
from muster.v1 import job_pb2

ROOT = pathlib.Path(__file__).resolve().parents[3]


def evaluation(label, **metrics):
    return Evaluation(label, 0, "d", "test", {name.replace("_", "@"): value for name, value in metrics.items()}, 1000, 2, 0.1)


class Package(unittest.TestCase):
    def test_the_version_is_that_of_muster(self):
        cmake = (ROOT / "CMakeLists.txt").read_text(encoding="utf-8")
        self.assertEqual(muster.__version__, re.search(r"project\(muster VERSION (\S+)", cmake)[1])

    def test_every_public_name_is_documented(self):
        for name in muster.__all__:
            if name != "__version__":
                self.assertTrue((getattr(muster, name).__doc__ or "").strip(), name)
        for kind in (muster.Client, muster.Job):
            for name, method in vars(kind).items():
                if not name.startswith("_") and callable(method) and name not in ("close", "cancel", "resume", "delete_dataset", "delete_model"):
                    self.assertTrue(method.__doc__, f"{kind.__name__}.{name}")

    def test_every_rpc_of_the_public_api_is_callable(self):
        from muster import _rpc
        from muster.v1 import blob_pb2, cluster_pb2, data_pb2, model_pb2
        import grpc
        with grpc.insecure_channel("127.0.0.1:1") as channel:
            for module, service in ((job_pb2, "JobService"), (cluster_pb2, "ClusterService"), (data_pb2, "DataService"),
                                    (model_pb2, "ModelService"), (blob_pb2, "BlobService")):
                names = re.findall(r"rpc (\w+)\(", (ROOT / f"proto/{module.DESCRIPTOR.name}").read_text(encoding="utf-8"))
                self.assertTrue(names)
                for name in names:
                    self.assertTrue(callable(getattr(_rpc.Service(channel, module, service), name)))
                with self.assertRaises(AttributeError):
                    _rpc.Service(channel, module, service).Nothing


class Shown(unittest.TestCase):
    def test_metrics_are_ordered_as_on_the_command_line(self):
        self.assertEqual(ordered(["recall@100", "mrr", "ndcg@100", "map@10", "zeta", "ndcg@10"]),
                         ["ndcg@10", "ndcg@100", "mrr", "map@10", "recall@100", "zeta"])

    def test_before_and_after_is_a_table(self):
        table = BeforeAfter([evaluation("untrained", ndcg_10=0.25, mrr=0.5), evaluation("step-5", ndcg_10=0.3), evaluation("trained", ndcg_10=0.75, map=1)])
        self.assertEqual(dict(table), {"ndcg@10": (0.25, 0.75)})
        self.assertEqual(str(table), "d/test   untrained  trained   change\nndcg@10     0.2500   0.7500  +0.5000")
        self.assertEqual(str(BeforeAfter([])), "not evaluated before and after training")

    def job(self):
        def at(phase, step, **more):
            return job_pb2.Job(phase=phase, progress=job_pb2.Progress(step=step, total_steps=4, loss=0.5, activity="training" if step else ""), **more)
        score = {"metrics": {"ndcg@10": 0.5}}
        states = [at(job_pb2.JOB_PHASE_QUEUED, 0, reason="2 slots are needed"), at(job_pb2.JOB_PHASE_TRAINING, 1), at(job_pb2.JOB_PHASE_TRAINING, 3),
                  at(job_pb2.JOB_PHASE_SUCCEEDED, 4, evaluations=[job_pb2.Evaluation(label="untrained", **score), job_pb2.Evaluation(label="trained", **score)])]
        return types.SimpleNamespace(watch=lambda timeout, on_pause: iter(states),
                                     before_after=BeforeAfter([Evaluation.of(one) for one in states[-1].evaluations])), states

    def test_lines_without_tqdm(self):
        job, states = self.job()
        with mock.patch.dict(sys.modules, {"tqdm": None, "tqdm.auto": None}), contextlib.redirect_stdout(io.StringIO()) as out:
            _show.show(job)
        lines = out.getvalue().splitlines()
        self.assertEqual(lines[:2], ["queued: 2 slots are needed", "training"])
        self.assertTrue(lines[2].startswith("step 1/4  epoch 0.00  loss 0.5000"))
        self.assertIn("untrained:  ndcg@10 0.5000  (/, 0 queries, 0 documents)", lines)
        self.assertTrue(lines[-1].startswith("ndcg@10"))
        self.assertEqual(Progress.of(states[0]).total_steps, 4)

    def test_a_bar_with_tqdm(self):
        job, _ = self.job()
        bar = mock.Mock(total=None)
        module = types.ModuleType("tqdm.auto")
        module.tqdm = mock.Mock(return_value=bar)
        with mock.patch.dict(sys.modules, {"tqdm": types.ModuleType("tqdm"), "tqdm.auto": module}), contextlib.redirect_stdout(io.StringIO()):
            _show.show(job)
        self.assertEqual(bar.n, 4)
        bar.reset.assert_called_with(total=4)
        bar.close.assert_called_once()


if __name__ == "__main__":
    unittest.main()
