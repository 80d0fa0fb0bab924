"""Accuracy matrices: a number in each cell, darker for higher, one panel a group."""

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

from cil.report.groups import Problem
from cil.report.plots.canvas import Hover, Panel, Plot
from cil.report.plots.series import mean_matrix

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_CELL, _TITLE = 0.29, 34
_NUMBERS = 12
"""With more tasks, cells are too small for numbers."""


def matrix_plot(problem: Problem) -> Plot:
    """The matrix of each group: row = after task, column = test images of task, per cent, mean over runs."""
    panels = []
    for group in problem.groups:
        n = len(group.runs)
        panels.append(_panel(mean_matrix(group), group.label + (f" (mean of {n} runs)" if n > 1 else "")))
    return Plot("matrices", panels, width=2.9)


def _panel(matrix: Sequence[Sequence[float | None]], title: str) -> Panel:
    size = len(matrix)
    numbers = size <= _NUMBERS

    def draw(axes: "Axes", _: bool) -> list[Hover]:
        import numpy as np

        values = np.full((size, size), np.nan)
        points = []
        for i, row in enumerate(matrix):
            for j, value in enumerate(row):
                if value is None:
                    continue
                values[i, j] = value
                points.append([j + 0.5, i + 0.5, f"after task {i + 1}, on task {j + 1}: {value:.1f}"])
                if numbers:
                    ink = "#ffffff" if value > 55 else "#000000"
                    cell = axes.text(j + 0.5, i + 0.5, f"{value:.0f}", ha="center", va="center", color=ink)
                    cell.set_fontsize("small")
                    cell.set_in_layout(False)  # it is inside, and the layout looks at every text that is not told so
        axes.pcolormesh(values, vmin=0, vmax=100, cmap="Blues", edgecolors="face", linewidth=0.2)
        axes.invert_yaxis()
        axes.set_title(textwrap.fill(title, _TITLE))
        axes.set_xlabel("test images of task")
        axes.set_ylabel("after task")
        every = max(1, size // 10)
        ticks = range(0, size, every)
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_ticks([i + 0.5 for i in ticks], [str(i + 1) for i in ticks])
        axes.grid(visible=False)
        return [{"name": title, "points": points}]

    return Panel(draw, 0.9 + min(size, _NUMBERS) * _CELL * 0.8, f"Accuracy after each task on each task: {title}")
