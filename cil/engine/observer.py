"""Whoever watches a run, and what it reports to them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

Record = dict[str, Any]
State = dict[str, Any]


@dataclass(frozen=True)
class Progress:
    """Where a run is. Tasks and epochs count from 1; `step` of `steps` steps of the epoch are done."""

    task: int
    epoch: int
    epochs: int
    step: int
    steps: int
    cost: float
    """This step's share of the whole run's work, in [0, 1]."""


class Observer(Protocol):
    """Who watches a run: it may write, show, save and stop, but never changes a result.

    `state` gives everything that Trainer.load_state_dict needs to go on from that point.
    """

    def on_step(self, progress: Progress, state: Callable[[], State]) -> None:
        """After each training step. May raise to stop the run."""

    def on_epoch(self, record: Record) -> None:
        """The figures of an epoch, by TensorBoard tag."""

    def on_task(self, record: Record, state: Callable[[], State]) -> None:
        """The figures after a task. May raise to stop the run."""

    def check(self, state: Callable[[], State]) -> None:
        """Between batches of an evaluation. May raise to stop the run."""


class Silent:
    """An observer that neither shows nor keeps anything."""

    def on_step(self, progress: Progress, state: Callable[[], State]) -> None:
        """A step is done."""

    def on_epoch(self, record: Record) -> None:
        """An epoch is done."""

    def on_task(self, record: Record, state: Callable[[], State]) -> None:
        """A task is done."""

    def check(self, state: Callable[[], State]) -> None:
        """A place where a run may stop."""
