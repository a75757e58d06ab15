"""Writes a job's metrics to trackers: TensorBoard, MLflow, Weights & Biases, or your own.

Names are the same everywhere: train/loss, train/learning_rate, … by step, and DATASET/SPLIT/ndcg@10 at the steps of
evaluations (`ndcg_at_10` in MLflow, which allows no @).
"""
from __future__ import annotations

import os
import pathlib
import re
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Optional, Protocol, Union

from ._events import EventFile
from ._values import Evaluation

if TYPE_CHECKING:
    from .job import Job

_LEFT_OUT = ("step", "attempt", "time")


class Tracker(Protocol):
    """The interface of a tracker. Values are finite numbers; `seconds` is the time, in seconds since 1970."""

    def start(self, job: Job) -> None:
        """Before the first metric."""

    def log(self, step: int, metrics: Mapping[str, float], seconds: float) -> None:
        """Steps repeat when an attempt continues from a checkpoint."""

    def finish(self, succeeded: bool) -> None:
        """After the last metric, or an error."""


class TensorBoard:
    """Event files that `tensorboard --logdir FOLDER` shows. Writes them itself: no package is needed."""

    def __init__(self, folder: Union[str, os.PathLike[str]]) -> None:
        self._folder = pathlib.Path(folder)
        self._file: Optional[EventFile] = None

    def start(self, job: Job) -> None:
        self._file = EventFile(self._folder)

    def log(self, step: int, metrics: Mapping[str, float], seconds: float) -> None:
        assert self._file is not None
        self._file.add(step, metrics, seconds)

    def finish(self, succeeded: bool) -> None:
        if self._file is not None:
            self._file.close()


class MLflow:
    """A run of MLflow (package mlflow or mlflow-skinny), at MLFLOW_TRACKING_URI or where mlflow.set_tracking_uri says."""

    def __init__(self, experiment: Optional[str] = None, run_name: Optional[str] = None) -> None:
        import mlflow
        self._mlflow: Any = mlflow
        if experiment:
            mlflow.set_experiment(experiment)
        self._name, self._run = run_name, None  # type: Optional[str], Any

    def start(self, job: Job) -> None:
        self._run = self._mlflow.start_run(run_name=self._name, nested=self._mlflow.active_run() is not None)
        self._mlflow.log_params(parameters(job))
        self._mlflow.set_tag("muster.job", job.id)

    def log(self, step: int, metrics: Mapping[str, float], seconds: float) -> None:
        named = {re.sub(r"[^\w\-./ ]", "_at_", name): value for name, value in metrics.items()}
        self._mlflow.log_metrics(named, step=step)

    def finish(self, succeeded: bool) -> None:
        if self._run is not None:
            self._mlflow.end_run("FINISHED" if succeeded else "FAILED")


class WandB:
    """A run of Weights & Biases (package wandb). `target`: a project's name, or a run that is already open, which stays open."""

    def __init__(self, target: Any = None, run_name: Optional[str] = None) -> None:
        self._name, self._own = run_name, target is None or isinstance(target, str)
        self._project: Optional[str] = target if self._own else None
        self._run: Any = None if self._own else target

    def start(self, job: Job) -> None:
        if self._own:
            import wandb
            self._run = wandb.init(project=self._project or "muster", name=self._name, config={**parameters(job), "muster.job": job.id})
        # Steps of evaluations may come after those of later metrics, which run.log(step=…) would drop.
        self._run.define_metric("step")
        self._run.define_metric("*", step_metric="step")

    def log(self, step: int, metrics: Mapping[str, float], seconds: float) -> None:
        self._run.log({**metrics, "step": step})

    def finish(self, succeeded: bool) -> None:
        if self._own and self._run is not None:
            self._run.finish(exit_code=0 if succeeded else 1)


def parameters(job: Job) -> dict[str, Any]:
    """The specification with dots between the keys: {"loss.temperature": 0.05, …}."""
    from google.protobuf import json_format
    flat: dict[str, Any] = {}

    def add(prefix: str, value: Any) -> None:
        if isinstance(value, dict):
            for key, inner in value.items():
                add(f"{prefix}.{key}" if prefix else key, inner)
        else:
            flat[prefix] = value
    add("", json_format.MessageToDict(job.spec, preserving_proto_field_name=True))
    return flat


def _finite(values: Mapping[str, Any]) -> dict[str, float]:
    return {name: float(value) for name, value in values.items() if value is not None and abs(float(value)) < float("inf")}


def of_step(row: Mapping[str, Any]) -> dict[str, float]:
    """The metrics of a row of Job.stream_metrics; those that were not measured (zero) are left out, except the loss."""
    return _finite({f"train/{name}": value for name, value in row.items() if name not in _LEFT_OUT and (value or name == "loss")})


def of_evaluation(evaluation: Evaluation) -> dict[str, float]:
    return _finite({f"{evaluation.dataset}/{evaluation.split}/{name}": value for name, value in evaluation.metrics.items()})


def mirror(job: Job, trackers: list[Any], timeout: Optional[float] = None) -> None:
    """Follows the job to its end; every tracker gets the metrics of each step, and the evaluations as they come."""
    started: list[Tracker] = []
    succeeded = False
    try:
        for tracker in trackers:
            started.append(tracker)
            tracker.start(job)
        logged = 0

        def log(step: int, metrics: Mapping[str, float], seconds: float) -> None:
            if metrics:
                for one in started:
                    one.log(step, metrics, seconds)

        def log_evaluations() -> None:
            nonlocal logged
            evaluations = job.refresh().evaluations
            for evaluation in evaluations[logged:]:
                log(evaluation.step, of_evaluation(evaluation), time.time())
            logged = len(evaluations)

        asked = time.monotonic()
        for row in job.stream_metrics(follow=True, timeout=timeout):
            if time.monotonic() - asked > 5:
                log_evaluations()
                asked = time.monotonic()
            log(row["step"], of_step(row), row["time"].timestamp() if row["time"] else time.time())
        log_evaluations()
        succeeded = job.phase == "succeeded"
    finally:
        for tracker in started:
            tracker.finish(succeeded)
