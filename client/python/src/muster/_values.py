"""The reports of a job, as Python values."""
from __future__ import annotations

import datetime
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Optional

from . import _job_file
from .v1 import data_pb2, job_pb2, job_metrics_pb2, reason_pb2

ENDED = (job_pb2.JOB_PHASE_SUCCEEDED, job_pb2.JOB_PHASE_FAILED, job_pb2.JOB_PHASE_CANCELLED)


def phase_word(phase: int) -> str:
    """queued, reserving, starting, training, recovering, succeeded, failed, cancelled or paused."""
    value = job_pb2.JobPhase.DESCRIPTOR.values_by_number.get(phase)
    return _job_file.word_of(value) if value else str(phase)


def reason_word(code: int) -> str:
    """A reason code of docs/reference/errors.md, such as WAITING_FOR_SLOTS. Empty: none."""
    value = reason_pb2.ReasonCode.DESCRIPTOR.values_by_number.get(code)
    return value.name[len("REASON_CODE_"):] if value and code else ""


def time_of(timestamp: Any) -> Optional[datetime.datetime]:
    """UTC. None: not set."""
    if not timestamp.seconds and not timestamp.nanos:
        return None
    return datetime.datetime.fromtimestamp(timestamp.seconds + timestamp.nanos / 1e9, datetime.timezone.utc)


def _metric_rank(name: str) -> tuple[int, int, str]:
    match = re.fullmatch(r"(ndcg|mrr|map|recall|precision)(?:@(\d+))?", name)
    kinds = ("ndcg", "mrr", "map", "recall", "precision")
    return (kinds.index(match[1]) if match else len(kinds), int(match[2] or 0) if match else 0, name)


def ordered(metrics: Iterable[str]) -> list[str]:
    """Names of metrics as the command line orders them: nDCG first."""
    return sorted(metrics, key=_metric_rank)


@dataclass(frozen=True)
class Evaluation:
    """`label`: untrained, step-120 or trained; for a job that only evaluates, the model's name."""
    label: str
    step: int
    dataset: str
    split: str
    metrics: dict[str, float]
    queries: int
    documents: int
    seconds: float

    @staticmethod
    def of(message: job_pb2.Evaluation) -> Evaluation:
        return Evaluation(message.label, message.step, message.dataset, message.split,
                          {name: message.metrics[name] for name in ordered(message.metrics)}, message.queries, message.documents,
                          message.seconds)

    def __str__(self) -> str:
        metrics = "".join(f"  {name} {value:.4f}" for name, value in self.metrics.items())
        return f"{self.label}:{metrics}  ({self.dataset}/{self.split}, {self.queries:,} queries, {self.documents:,} documents)"


class BeforeAfter(dict[str, "tuple[float, float]"]):
    """Metric → (untrained, trained). `print` shows a table."""

    def __init__(self, evaluations: Iterable[Evaluation]) -> None:
        last = {evaluation.label: evaluation for evaluation in evaluations}
        super().__init__()
        self.title = ""
        if "untrained" in last and "trained" in last:
            before, after = last["untrained"], last["trained"]
            self.title = f"{after.dataset}/{after.split}"
            self.update({name: (before.metrics[name], value) for name, value in after.metrics.items() if name in before.metrics})

    def __str__(self) -> str:
        if not self:
            return "not evaluated before and after training"
        width = max(map(len, [self.title, *self]))
        lines = [f"{self.title:<{width}}  untrained  trained   change"]
        lines += [f"{name:<{width}}  {old:9.4f}  {new:7.4f}  {new - old:+.4f}" for name, (old, new) in self.items()]
        return "\n".join(lines)


@dataclass(frozen=True)
class Progress:
    """The state of a job at one moment. Zero: not known yet."""
    phase: str
    reason: str
    attempt: int
    step: int
    total_steps: int
    epoch: float
    loss: float
    learning_rate: float
    queries_per_second: float
    tokens_per_second: float
    eta_seconds: float
    activity: str  # training, evaluating (untrained), …
    done: float    # share of the activity, 0 to 1
    evaluations: list[Evaluation] = field(repr=False)
    stage: int = 0   # from 1; 0: the job has no stages
    stages: int = 0  # of the job

    @staticmethod
    def of(job: job_pb2.Job) -> Progress:
        now = job.progress
        total = now.total_steps or job.resolved.total_steps
        return Progress(phase_word(job.phase), job.reason, job.attempts[-1].number if job.attempts else 0, now.step, total, now.epoch,
                        now.loss, now.learning_rate, now.queries_per_second, now.tokens_per_second, now.eta_seconds, now.activity,
                        now.done, [Evaluation.of(one) for one in job.evaluations], now.stage, now.stages)

    def __str__(self) -> str:
        if self.phase != "training" or not self.step:
            return f"{self.phase}: {self.activity or self.reason}"
        stage = f"  stage {self.stage}/{self.stages}" if self.stages else ""
        text = f"step {self.step}/{self.total_steps}{stage}  epoch {self.epoch:.2f}  loss {self.loss:.4f}"
        if self.activity not in ("", "training"):
            return f"{text}  {self.activity}  {100 * self.done:.0f} %"
        return f"{text}  learning rate {self.learning_rate:.3g}  {self.queries_per_second:.0f} queries/s  ETA {self.eta_seconds:.0f} s"


def step_metrics(point: job_metrics_pb2.StepMetrics) -> dict[str, Any]:
    """One step's metrics by name; `time` is a datetime in UTC. Lists have one entry per element, named as in the step log:
    positive_weight_1, …"""
    row: dict[str, Any] = {name.name: getattr(point, name.name) for name in point.DESCRIPTOR.fields}
    row["time"] = time_of(point.time)
    for place, weight in enumerate(row.pop("positive_weights"), start=1):
        row[f"positive_weight_{place}"] = weight
    return row


@dataclass(frozen=True)
class LogLine:
    attempt: int
    rank: int
    text: str

    def __str__(self) -> str:
        return f"{self.attempt}/{self.rank}  {self.text}"


@dataclass(frozen=True)
class DatasetInfo:
    """`splits`: name → queries. `report`: the report of its import, if known; its fields are those of
    muster.v1.ImportReport."""
    name: str
    digest: str
    queries: int
    passages: int
    splits: dict[str, int]
    owner: str
    notes: list[str] = field(default_factory=list, repr=False)
    report: Optional[data_pb2.ImportReport] = field(default=None, repr=False)

    @staticmethod
    def of(message: data_pb2.Dataset, report: Optional[data_pb2.ImportReport] = None) -> DatasetInfo:
        return DatasetInfo(message.name, message.digest, message.queries, message.passages,
                           {split.name: split.queries for split in message.splits}, message.owner, list(report.notes) if report else [],
                           report)


def table(rows: list[dict[str, Any]]) -> Any:
    """A pandas.DataFrame if pandas is installed, otherwise the rows."""
    try:
        import pandas
    except ImportError:
        return rows
    return pandas.DataFrame(rows)
