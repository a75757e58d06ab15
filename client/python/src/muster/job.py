"""A job on the cluster."""
from __future__ import annotations

import csv
import io
import os
import pathlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Callable, Optional, Union

from . import _blobs, _rpc, _show, _values
from ._values import BeforeAfter, Evaluation, LogLine, Progress
from .errors import DeadlineError, JobCancelledError, JobFailedError, RefusedError, error_of
from .v1 import job_metrics_pb2, job_pb2

if TYPE_CHECKING:
    from .trackers import Tracker


class Job:
    """A handle of one job. Properties show its last known state: `refresh`, `wait` and `progress` renew it.

    Not thread-safe; use a handle per thread (`client.job(id)`).
    """

    def __init__(self, servers: _rpc.Servers, message: job_pb2.Job, notes: Optional[list[str]] = None,
                 preview: Optional[job_pb2.TrainingPreview] = None) -> None:
        self._servers = servers
        self.message = message  # the whole job, as muster.v1.Job
        self.notes = notes or []  # what the cluster accepted but was perhaps not intended
        self.preview = preview  # of a dry run

    def __repr__(self) -> str:
        step = f", step {self.message.progress.step}/{self.message.progress.total_steps}" if self.message.progress.step else ""
        return f"<Job {self.id or '(dry run)'} {self.name!r}: {self.phase}{step}>"

    @property
    def id(self) -> str:
        return self.message.id

    @property
    def name(self) -> str:
        return self.message.spec.name

    @property
    def spec(self) -> job_pb2.JobSpec:
        """The specification, with every default filled in."""
        return self.message.spec

    @property
    def phase(self) -> str:
        """queued, reserving, starting, training, recovering, succeeded, failed, cancelled or paused."""
        return _values.phase_word(self.message.phase)

    @property
    def reason(self) -> str:
        """Why it is in this phase, human-readable."""
        return self.message.reason

    @property
    def reason_code(self) -> str:
        """`reason` for programs: a reason code of docs/reference/errors.md, such as WAITING_FOR_SLOTS."""
        return _values.reason_word(self.message.reason_code)

    @property
    def ended(self) -> bool:
        return self.message.phase in _values.ENDED

    @property
    def evaluations(self) -> list[Evaluation]:
        """All evaluations so far, in order."""
        return [Evaluation.of(one) for one in self.message.evaluations]

    @property
    def before_after(self) -> BeforeAfter:
        """Metric → (untrained, trained); empty without a report. Prints as a table."""
        return BeforeAfter(self.evaluations)

    def refresh(self) -> Job:
        """Asks the coordinator for the job's present state."""
        self.message = self._call(self._servers.jobs.GetJob, job_pb2.GetJobRequest(id=self.id)).job
        return self

    # --- following ---

    def watch(self, timeout: Optional[float] = None, patience: float = _rpc.FOLLOW_SECONDS,
              on_pause: Callable[[], None] = lambda: None) -> Iterator[job_pb2.Job]:
        """Every state of the job from now to its end, as muster.v1.Job.

        Continues at the last revision when the coordinator restarts: raises UnreachableError if it does not answer for
        `patience` seconds, and DeadlineError after `timeout` seconds.
        """
        seen = 0

        def start(seconds: Optional[float]) -> Any:
            return self._servers.jobs.WatchJob(job_pb2.WatchJobRequest(id=self.id, after_revision=seen), timeout=seconds)
        try:
            for update in _rpc.follow(start, self._servers.coordinator, timeout, patience, on_pause):
                self.message, seen = update.job, update.job.revision
                yield update.job
                if self.ended:
                    return
        except DeadlineError:
            raise DeadlineError(f"job {self.id} is still {self.phase} after {timeout:g} s. It is not affected.",
                                "DEADLINE_EXCEEDED") from None

    def progress(self, timeout: Optional[float] = None, patience: float = _rpc.FOLLOW_SECONDS) -> Iterator[Progress]:
        """What `watch` yields, as values:

            for now in job.progress():
                print(now.step, now.total_steps, now.loss)
        """
        for message in self.watch(timeout, patience):
            yield Progress.of(message)

    def wait(self, timeout: Optional[float] = None, check: bool = True) -> Job:
        """Waits for the job's end. Raises JobFailedError or JobCancelledError if it did not succeed, unless `check` is False."""
        for _ in self.watch(timeout):
            pass
        return self._checked() if check else self

    def show(self, timeout: Optional[float] = None, check: bool = True) -> Job:
        """Follows the job with a live bar (tqdm, if it is installed), otherwise with lines. Prints `before_after` at the end,
        and ends as `wait` does."""
        _show.show(self, timeout)
        return self._checked() if check else self

    def _checked(self) -> Job:
        if self.phase == "cancelled":
            raise JobCancelledError(self)
        if self.phase == "failed":
            raise JobFailedError(self)
        return self

    # --- changing ---

    def cancel(self, request_id: Optional[str] = None) -> Job:
        return self._change("CancelJob", job_pb2.CancelJobRequest, request_id)

    def pause(self, request_id: Optional[str] = None) -> Job:
        """Saves a checkpoint and stops."""
        return self._change("PauseJob", job_pb2.PauseJobRequest, request_id)

    def resume(self, request_id: Optional[str] = None) -> Job:
        return self._change("ResumeJob", job_pb2.ResumeJobRequest, request_id)

    def delete(self, request_id: Optional[str] = None) -> None:
        """Removes a job that has ended: its record, its logs, and everything that only it stored."""
        self._call(self._servers.jobs.DeleteJob, job_pb2.DeleteJobRequest(id=self.id, request_id=request_id or _rpc.new_request_id()))

    def _change(self, method: str, request: Any, request_id: Optional[str]) -> Job:
        self.message = self._call(getattr(self._servers.jobs, method), request(id=self.id, request_id=request_id or _rpc.new_request_id())).job
        return self

    def _call(self, method: Any, request: Any) -> Any:
        return _rpc.call(method, request, self._servers.coordinator)

    # --- metrics and logs ---

    def stream_metrics(self, follow: bool = True, after_step: int = 0, timeout: Optional[float] = None) -> Iterator[dict[str, Any]]:
        """Metrics by step, in the order in which they were reported; with `follow` until the job has ended, also across a
        restart of the coordinator. If steps are shorter than the time between two reports, some are left out; `step_log` has
        every step. An attempt that continues from a checkpoint repeats steps: the later attempt counts."""
        seen = after_step

        def start(seconds: Optional[float]) -> Any:
            return self._servers.jobs.StreamJobMetrics(
                job_metrics_pb2.StreamJobMetricsRequest(id=self.id, follow=follow, after_step=seen), timeout=seconds)
        for part in _rpc.follow(start, self._servers.coordinator, timeout, is_done=lambda: not follow or self.refresh().ended):
            for point in part.points:
                seen = point.step
                yield _values.step_metrics(point)

    def metrics(self, after_step: int = 0) -> Any:
        """Metrics by step, up to now, as a pandas.DataFrame, or as a list of dicts without pandas: step, attempt, time, epoch,
        loss, learning_rate, gradient_norm, … A repeated step has those of the last attempt. Some steps are left out if they
        are short, and in the older part of a long history; `step_log` has every step."""
        newest: dict[int, dict[str, Any]] = {}
        for row in self.stream_metrics(follow=False, after_step=after_step):
            if row["step"] not in newest or row["attempt"] >= newest[row["step"]]["attempt"]:
                newest[row["step"]] = row
        return _values.table([newest[step] for step in sorted(newest)])

    def step_log_csv(self) -> str:
        """The log of every step (docs/reference/data-schemas.md#the-step-log); of a running job, up to its newest checkpoint."""
        self.refresh()
        if self.spec.duration.WhichOneof("length") == "steps" and self.spec.duration.steps == 0:
            raise RefusedError(f"job {self.id} takes no step (duration.steps: 0), and so has no step log.", "FAILED_PRECONDITION")
        digest = self.message.step_log_manifest or (self.message.checkpoints[-1].manifest if self.message.checkpoints else "")
        if not digest:
            raise RefusedError(f"job {self.id} has no checkpoint, and so no step log. It is {self.phase}; its first checkpoint is that "
                               f"of step {self.spec.checkpoint.every_steps}.", "FAILED_PRECONDITION")
        blobs = _blobs.Blobs(self._servers)
        for file in blobs.get_manifest(digest).files:
            if file.path == "steps.csv":
                return blobs.get_bytes(file.digest).decode("utf-8")
        raise error_of("DATA_LOSS", f"job {self.id}: what it stored has no steps.csv")

    def step_log(self) -> Any:
        """`step_log_csv` as a pandas.DataFrame, or as a list of dicts of texts without pandas."""
        text = self.step_log_csv()
        try:
            import pandas
        except ImportError:
            return list(csv.DictReader(io.StringIO(text)))
        return pandas.read_csv(io.StringIO(text))

    def logs(self, follow: bool = False, rank: Optional[int] = None, attempt: Optional[int] = None) -> Iterator[LogLine]:
        """Lines of the ranks' logs: of all ranks and attempts, unless one is named."""
        request = job_pb2.StreamJobLogsRequest(id=self.id, follow=follow)
        if rank is not None:
            request.rank = rank
        if attempt is not None:
            request.attempt = attempt
        stream = self._servers.jobs.StreamJobLogs(request)
        for part in _rpc.translated(stream):
            for text in part.text.splitlines():
                yield LogLine(part.attempt, part.rank, text)

    # --- results ---

    def export(self, folder: Union[str, os.PathLike[str]], progress: Optional[_blobs.Progress] = None) -> pathlib.Path:
        """Writes the trained model as a folder that SentenceTransformer(folder) loads, and returns its path.

        `folder` must be new or empty. It appears when all files have arrived and their digests are right; a broken
        transfer continues where it stopped. `progress(bytes_done, bytes_total)` is called as bytes arrive.
        """
        self.refresh()
        if not self.message.export_manifest:
            raise RefusedError(f"job {self.id} has no model: it is {self.phase} ({self.reason}).", "FAILED_PRECONDITION")
        target = pathlib.Path(folder)
        with _blobs.new_folder(target) as aside:
            blobs = _blobs.Blobs(self._servers)
            blobs.get_folder(blobs.get_manifest(self.message.export_manifest), aside, progress)
        return target

    def mirror(self, tensorboard: Union[str, os.PathLike[str], None] = None, mlflow: Any = None, wandb: Any = None,
               trackers: Optional[list[Tracker]] = None, timeout: Optional[float] = None) -> Job:
        """Follows the job and writes its metrics and evaluations to trackers; returns when it has ended.

        tensorboard: a folder for event files; needs no further package.
        mlflow: True, or the name of an experiment; a run of the job's name, with the specification as parameters.
        wandb: True, the name of a project, or a run that wandb.init returned.
        trackers: others, as muster.trackers.Tracker.
        """
        from . import trackers as module
        chosen = list(trackers or [])
        if tensorboard is not None:
            chosen.append(module.TensorBoard(tensorboard))
        if mlflow is not None and mlflow is not False:
            chosen.append(module.MLflow(None if mlflow is True else mlflow, self.name))
        if wandb is not None and wandb is not False:
            chosen.append(module.WandB(None if wandb is True else wandb, self.name))
        module.mirror(self, chosen, timeout)
        return self
