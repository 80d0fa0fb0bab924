"""The progress bar: task, epoch, main figures, and the time left of the whole run."""

import sys
import time
from typing import Any

from tqdm import tqdm

from cil.engine.observer import Progress

Record = dict[str, Any]
LINE_SECONDS = 60.0
"""Without a terminal, at most one line of progress in this time."""


def clock(seconds: float) -> str:
    """E.g. 5025 -> "1:23:45"."""
    return tqdm.format_interval(seconds)


class TimeLeft:
    """Forecast from the work done so far, in units of cost: a step of task 10 costs more than one of task 1."""

    SMOOTHING = 0.05

    def __init__(self) -> None:
        self.done = 0.0
        self._first = True
        self._rate: float | None = None
        self._last = time.monotonic()

    def step(self, cost: float) -> None:
        """`cost` is the step's share of the whole run's work."""
        now = time.monotonic()
        rate = (now - self._last) / cost
        # The first step is slow (warm-up), so the second one starts the average anew.
        if self._rate is None or self._first:
            self._first = self._rate is None
            self._rate = rate
        else:
            self._rate += self.SMOOTHING * (rate - self._rate)
        self.done += cost
        self._last = now

    def pause(self) -> None:
        """Do not count the time since the last step (evaluation, herding) as that of the next step."""
        self._last = time.monotonic()

    @property
    def seconds(self) -> float | None:
        """Seconds left, or None before the first step."""
        return None if self._rate is None else max(0.0, 1 - self.done) * self._rate


class Display:
    """A bar on a terminal, a line now and then elsewhere, nothing if not wanted."""

    def __init__(self, tasks: int, wanted: bool) -> None:
        self.tasks = tasks
        self.left = TimeLeft()
        self._figures = ""
        self._wanted = wanted
        self._last_line = time.monotonic()
        self._bar: tqdm | None = None
        if wanted and sys.stderr.isatty():
            layout = "{desc} |{bar:20}| {percentage:5.1f}% {postfix}"
            self._bar = tqdm(total=1.0, bar_format=layout, mininterval=0.2, dynamic_ncols=True, leave=False)

    def continue_at(self, done: float) -> None:
        """The run goes on where the share `done` of its work is done."""
        self.left.done = done
        if self._bar is not None:
            self._advance()

    def step(self, progress: Progress) -> None:
        """Show a step."""
        self.left.step(progress.cost)
        if self._bar is not None:
            self._bar.set_description_str(self._where(progress), refresh=False)
            self._bar.set_postfix_str(self._tail(), refresh=False)
            self._advance()
        elif self._wanted and time.monotonic() - self._last_line > LINE_SECONDS:
            self._last_line = time.monotonic()
            print(f"{self._where(progress)} {100 * self.left.done:.1f}% {self._tail()}", flush=True)

    def _advance(self) -> None:
        """Bring the bar to the share done. The shares of a run's steps sum to a little more than 1."""
        assert self._bar is not None
        self._bar.update(min(self.left.done, 1.0) - self._bar.n)

    def epoch(self, record: Record) -> None:
        """Take over the figures of an epoch."""
        shown = {"loss": "loss/total", "train": "train/top1", "gap": "contrast/gap", "margin": "contrast/margin"}
        values = {label: record.get(tag) for label, tag in shown.items()}
        self._figures = " ".join(f"{label} {value:.3g}" for label, value in values.items() if value is not None)
        self.left.pause()

    def line(self, text: str) -> None:
        """Print a line above the bar."""
        if self._bar is not None:
            self._bar.write(text)
        else:
            print(text, flush=True)

    def close(self) -> None:
        """Remove the bar."""
        if self._bar is not None:
            self._bar.close()

    def _where(self, p: Progress) -> str:
        return f"task {p.task}/{self.tasks} epoch {p.epoch}/{p.epochs} step {p.step}/{p.steps}"

    def _tail(self) -> str:
        seconds = self.left.seconds
        left = "" if seconds is None else f"left {clock(seconds)}"
        return f"{left} {self._figures}".strip()
