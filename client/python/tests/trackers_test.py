"""Metrics in trackers: TensorBoard's files by their definition, MLflow and W&B through packages of the same interface.
tests/long/python_client_test.py has the real packages."""
import pathlib
import sys
import tempfile
import types
import unittest
from unittest import mock

import event_reader
from muster import _events, _values, trackers
from muster._values import Evaluation
from muster.v1 import job_metrics_pb2, job_pb2

ROWS = [{"step": step, "attempt": 1, "time": None, "loss": 1 / step, "learning_rate": 1e-3, "padding_share": 0.0, "gradient_norm": float("nan")}
        for step in range(1, 301)]


def evaluation(label, step, value):
    return Evaluation(label, step, "d", "test", {"ndcg@10": value, "mrr": value / 2}, 3, 4, 0.1)


class FakeJob:
    id, name, phase = "abc", "n", "succeeded"
    spec = job_pb2.JobSpec(name="n", loss=job_pb2.LossSpec(temperature=0.5, matryoshka_dimensions=[8, 4]))

    def __init__(self):
        self.evaluations = []

    def refresh(self):
        return self

    def stream_metrics(self, follow, timeout):
        self.evaluations.append(evaluation("untrained", 0, 0.25))
        yield from ROWS
        self.evaluations.append(evaluation("trained", 300, 0.75))


class TensorBoard(unittest.TestCase):
    def test_checksums_are_those_of_the_definition(self):
        self.assertEqual(event_reader.crc32c(b"123456789"), 0xE3069283)  # the check value of CRC-32C
        for data in (b"", b"123456789", bytes(range(256))):
            self.assertEqual(event_reader.unmasked(_events.masked_crc(data)), event_reader.crc32c(data))

    def test_every_step_and_evaluation_is_in_the_file(self):
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name) / "runs/n"
            trackers.mirror(FakeJob(), [trackers.TensorBoard(folder)])
            path, = folder.iterdir()
            first = next(event_reader.events(path))
            self.assertEqual((first.file_version, first.step), ("brain.Event:2", 0))
            self.assertGreater(first.wall_time, 1.7e9)
            found = event_reader.scalars(folder)
        self.assertEqual(set(found), {"train/loss", "train/learning_rate", "d/test/ndcg@10", "d/test/mrr"}, "zeros and NaN are left out")
        self.assertEqual([step for step, _ in found["train/loss"]], list(range(1, 301)))
        self.assertAlmostEqual(found["train/loss"][6][1], 1 / 7, places=6)
        self.assertEqual(found["d/test/ndcg@10"], [(0, 0.25), (300, 0.75)])


class Steps(unittest.TestCase):
    def test_lists_of_a_step_are_metrics_of_their_own(self):
        point = job_metrics_pb2.StepMetrics(step=3, loss=0.5, positive_weights=[0.75, 0.25], noise_weight=0.125)
        self.assertEqual(trackers.of_step(_values.step_metrics(point)), {
            "train/loss": 0.5, "train/noise_weight": 0.125, "train/positive_weight_1": 0.75, "train/positive_weight_2": 0.25})


class Packages(unittest.TestCase):
    def test_mlflow_gets_parameters_metrics_and_an_end(self):
        module = mock.Mock(**{"active_run.return_value": None})
        with mock.patch.dict(sys.modules, mlflow=module):
            trackers.mirror(FakeJob(), [trackers.MLflow("experiment", "n")])
        module.set_experiment.assert_called_once_with("experiment")
        module.log_params.assert_called_once_with({"name": "n", "loss.temperature": 0.5, "loss.matryoshka_dimensions": [8, 4]})
        self.assertEqual(module.log_metrics.call_args_list[0], mock.call({"train/loss": 1.0, "train/learning_rate": 1e-3}, step=1))
        self.assertEqual(module.log_metrics.call_args_list[-1], mock.call({"d/test/ndcg_at_10": 0.75, "d/test/mrr": 0.375}, step=300))
        module.end_run.assert_called_once_with("FINISHED")

    def test_an_open_run_of_wandb_stays_open_and_has_the_step_as_its_axis(self):
        run = mock.Mock()
        trackers.mirror(FakeJob(), [trackers.WandB(run)])
        self.assertIn(mock.call("*", step_metric="step"), run.define_metric.call_args_list)
        self.assertEqual(run.log.call_args_list[-1], mock.call({"d/test/ndcg@10": 0.75, "d/test/mrr": 0.375, "step": 300}))
        run.finish.assert_not_called()
        module = types.ModuleType("wandb")
        module.init = mock.Mock(return_value=run)
        with mock.patch.dict(sys.modules, wandb=module):
            trackers.mirror(FakeJob(), [trackers.WandB("project", "n")])
        self.assertEqual(module.init.call_args.kwargs["project"], "project")
        run.finish.assert_called_once_with(exit_code=0)

    def test_a_tracker_that_fails_ends_the_others_as_failed(self):
        class Broken:
            def start(self, job):
                raise OSError("full")
            def finish(self, succeeded):
                pass
        other = mock.Mock()
        with self.assertRaises(OSError):
            trackers.mirror(FakeJob(), [other, Broken()])
        other.finish.assert_called_once_with(False)


if __name__ == "__main__":
    unittest.main()
