"""Figures of class-incremental learning, as pure functions of accuracies in per cent.

A matrix has one row for each task: row t holds the accuracy on the test images of tasks 1..t after task t.
A curve holds the accuracy over all classes so far after each task. `None` stands for "not measured" (top-5
with fewer than 6 classes, nearest-mean figures without exemplars).
"""

import copy
from collections.abc import Sequence

import numpy as np

from cil.methods.heads import CLASSIFIER

Row = list[float | None]


def mean(values: Sequence[float | None]) -> float | None:
    """Mean of the measured values; None if there are none."""
    known = [v for v in values if v is not None]
    return sum(known) / len(known) if known else None


def forgetting(matrix: Sequence[Row]) -> float | None:
    """Mean over all tasks but the last of (best accuracy before the last task - final accuracy).

    None with one task. Tasks without a measured value before the last task are left out.
    """
    if len(matrix) < 2:
        return None
    drops: list[float | None] = []
    for task, final in enumerate(matrix[-1][:-1]):
        earlier = [row[task] for row in matrix[task:-1]]
        best = max((v for v in earlier if v is not None), default=None)
        drops.append(None if best is None or final is None else best - final)
    return mean(drops)


def headline(matrix: Sequence[Row], curve: Row) -> dict[str, float | None]:
    """The four figures of one kind of accuracy (names without the kind)."""
    return {
        "incremental_avg": mean(curve),
        "last": curve[-1] if curve else None,
        "last_task_mean": mean(matrix[-1]) if matrix else None,
        "forgetting": forgetting(matrix),
    }


def kinds(heads: Sequence[str]) -> list[str]:
    """Kinds of accuracy of evaluation heads: top1 and top5, with the head's name before all but the classifier's."""
    return [f"{'' if head == CLASSIFIER else f'{head}_'}{top}" for head in heads for top in ("top1", "top5")]


def figure_name(figure: str, kind: str) -> str:
    """E.g. ("last", "nme_top1") -> "nme_last_top1"."""
    head, underscore, top = kind.rpartition("_")
    return f"{head}{underscore}{figure}_{top}"


def by_task(counts: np.ndarray, starts: Sequence[int]) -> np.ndarray:
    """Class counts [C, C] summed to tasks [T, T]; `starts`: the first class of each task."""
    summed: np.ndarray = np.add.reduceat(np.add.reduceat(counts, starts, axis=0), starts, axis=1)
    return summed


class AccuracyHistory:
    """Accuracy matrices and curves of a run, by kind."""

    def __init__(self, heads: Sequence[str]) -> None:
        self.matrices: dict[str, list[Row]] = {kind: [] for kind in kinds(heads)}
        self.curves: dict[str, Row] = {kind: [] for kind in kinds(heads)}

    def add(self, rows: dict[str, Row], overall: dict[str, float | None]) -> None:
        """Append what was measured after one more task."""
        for kind in self.matrices:
            self.matrices[kind].append(rows[kind])
            self.curves[kind].append(overall[kind])

    def figures(self) -> dict[str, float | None]:
        """All headline figures so far, by the names of result.json."""
        return {
            figure_name(figure, kind): value
            for kind in self.matrices
            for figure, value in headline(self.matrices[kind], self.curves[kind]).items()
        }

    def state_dict(self) -> dict[str, dict]:
        """Plain values, copied."""
        return copy.deepcopy({"matrices": self.matrices, "curves": self.curves})

    def load_state_dict(self, state: dict[str, dict]) -> None:
        """Continue from `state`."""
        self.matrices, self.curves = state["matrices"], state["curves"]
