"""A confusion matrix with its names, as numbers and as a picture."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cil.engine.metrics import by_task
from cil.trained.folder import ClassInfo

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Confusion:
    """counts: int64 [N, N], images of the class or task (row) that were taken for (column).

    names: of rows and columns; starts: the first row of each task.
    """

    counts: np.ndarray
    names: list[str]
    unit: str
    """class or task."""
    starts: list[int]
    task: int
    """After which task."""

    @classmethod
    def of_classes(cls, counts: np.ndarray, classes: Sequence[ClassInfo], task: int) -> "Confusion":
        """From counts [C, C] in task order."""
        known = classes[: len(counts)]
        starts = [one.position for i, one in enumerate(known) if i == 0 or known[i - 1].task != one.task]
        return cls(counts.astype(np.int64), [one.name for one in known], "class", starts, task)

    def by_task(self) -> "Confusion":
        """Summed to tasks."""
        summed = by_task(self.counts, self.starts)
        numbers = range(1, len(self.starts) + 1)
        return Confusion(summed, [str(number) for number in numbers], "task", list(range(len(summed))), self.task)

    @property
    def shares(self) -> np.ndarray:
        """Each row in per cent of itself, float64 [N, N]; the diagonal is the accuracy."""
        shares: np.ndarray = 100 * self.counts / np.maximum(self.counts.sum(axis=1, keepdims=True), 1)
        return shares

    @property
    def frame(self) -> "pd.DataFrame":
        """The counts with names."""
        import pandas as pd

        index, columns = pd.Index(self.names, name=f"true {self.unit}"), pd.Index(self.names, name="predicted")
        return pd.DataFrame(self.counts, index, columns)

    def plot(self, axes: Any = None) -> "Figure":
        """Draw it, into matplotlib `axes` or a figure of its own; returns the figure."""
        from matplotlib.figure import Figure

        from cil.records.pictures import MAX_NAMES, draw_confusion

        if axes is None:
            named = len(self.names) <= MAX_NAMES
            side = max(5.0, 0.22 * len(self.names) + 2) if named else 5.0
            axes = Figure(figsize=(side, 0.85 * side), layout="constrained").add_subplot()
        names = self.names if len(self.names) <= MAX_NAMES else None
        starts = self.starts if self.unit == "class" else []
        draw_confusion(axes, {"counts": self.counts, "unit": self.unit, "starts": starts, "names": names}, self.task)
        figure: Figure = axes.figure
        return figure
