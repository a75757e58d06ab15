"""A job's progress for a person: a bar with tqdm, which is a widget in a notebook, otherwise lines."""
from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any, Optional

from ._values import Progress

if TYPE_CHECKING:
    from .job import Job

_BETWEEN_LINES = 1.0  # seconds


class _Lines:
    """About one line per second, and one per evaluation and change of phase."""

    def __init__(self) -> None:
        self._last = -_BETWEEN_LINES

    def update(self, now: Progress) -> None:
        if time.monotonic() - self._last >= _BETWEEN_LINES and now.phase == "training":
            self._last = time.monotonic()
            self.line(str(now))

    def line(self, text: str) -> None:
        print(text, flush=True)

    def close(self) -> None:
        pass


class _Bar:
    def __init__(self, tqdm: Any) -> None:
        self._bar = tqdm(total=None, unit="step", leave=True, dynamic_ncols=True, file=sys.stderr)
        self._tqdm = tqdm

    def update(self, now: Progress) -> None:
        if now.total_steps and self._bar.total != now.total_steps:
            self._bar.reset(total=now.total_steps)
        training = now.activity in ("", "training")
        self._bar.set_description(now.phase if training else f"{now.activity} {100 * now.done:.0f} %", refresh=False)
        if now.step:
            self._bar.set_postfix(loss=f"{now.loss:.4f}", lr=f"{now.learning_rate:.2g}", refresh=False)
        self._bar.n = now.step  # it may decrease: an attempt continues from a checkpoint
        self._bar.refresh()

    def line(self, text: str) -> None:
        self._tqdm.write(text)

    def close(self) -> None:
        self._bar.close()


def _display() -> Any:
    try:
        from tqdm.auto import tqdm
    except ImportError:
        return _Lines()
    return _Bar(tqdm)


def show(job: Job, timeout: Optional[float] = None) -> None:
    display = _display()
    phase, evaluations = "", 0
    try:
        for message in job.watch(timeout, on_pause=lambda: display.line("the coordinator does not answer; trying again")):
            now = Progress.of(message)
            if now.phase != phase:
                phase = now.phase
                display.line(f"{phase}: {now.reason}" if now.reason else phase)
            for evaluation in now.evaluations[evaluations:]:
                display.line(str(evaluation))
            evaluations = len(now.evaluations)
            display.update(now)
    finally:
        display.close()
    if job.before_after:
        print(job.before_after)
