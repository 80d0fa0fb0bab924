"""The figures of a task as PNG: accuracy matrix, confusion matrix, similarity histogram.

Drawn from the task's records alone, so that a resumed run draws the same ones. matplotlib is imported with the
first figure, without its global state. Every figure can be read in grey.
"""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Record = dict[str, Any]
INCHES = (4.6, 3.9)
DPI = 100
COLOURS = "cividis"
MAX_NUMBERS = 12
"""Up to this many rows, the cells of a matrix carry their numbers."""
MAX_NAMES = 40
"""Up to this many classes or tasks are called by name."""
POSITIVE, NEGATIVE = "#c05a00", "#1f4e8c"


@dataclass(frozen=True)
class Picture:
    """A PNG with its TensorBoard tag; step = task."""

    tag: str
    step: int
    png: bytes
    width: int
    height: int


def task_pictures(records: list[Record], index: int) -> Iterator[Picture]:
    """What there is to be drawn after the task whose record is `records[index]`."""
    record = records[index]
    if record.get("kind") != "task":
        return
    task, data = record["task"], record.get("figures") or {}
    matrix = accuracy_rows(records[: index + 1])
    if matrix:
        yield _picture("figures/accuracy_matrix", task, _draw_accuracy, matrix)
    if "confusion" in data:
        yield _picture("figures/confusion_matrix", task, draw_confusion, data["confusion"])
    if "similarity" in data:
        yield _picture("figures/similarities", task, _draw_similarities, data["similarity"])


def accuracy_rows(records: list[Record]) -> list[list[float | None]]:
    """The accuracy matrix (per cent) as far as the task records among `records` tell it."""
    rows = []
    for record in records:
        if record.get("kind") == "task" and "task/top1_task_00" in record:
            rows.append([record.get(f"task/top1_task_{task:02d}") for task in range(record["task"])])
    return rows


def _picture(tag: str, task: int, draw: Any, data: Any) -> Picture:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=INCHES, dpi=DPI, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    draw(figure.add_subplot(), data, task)
    buffer = io.BytesIO()
    canvas.print_png(buffer)
    width, height = canvas.get_width_height()
    return Picture(tag, task, buffer.getvalue(), width, height)


def _draw_accuracy(axes: "Axes", rows: list[list[float | None]], task: int) -> None:
    size = max(len(row) for row in rows)
    table = np.full((len(rows), size), np.nan)
    for i, row in enumerate(rows):
        table[i, : len(row)] = [np.nan if value is None else value for value in row]
    _heat_map(axes, table, "top-1 (%)", zeros=True)
    _ticks(axes, list(range(size)), [str(i + 1) for i in range(size)], "x")
    _ticks(axes, list(range(len(rows))), [str(i + 1) for i in range(len(rows))], "y")
    axes.set(xlabel="test images of task", ylabel="after task", title=f"Accuracy matrix after task {task}")


def literal(text: str) -> str:
    """A name as matplotlib shows it letter by letter: between dollar signs it would read a formula."""
    return text.replace("$", r"\$")


def draw_confusion(axes: "Axes", data: dict[str, Any], task: int) -> None:
    """A confusion matrix, each row in per cent of itself.

    data: `counts` [C, C]; `unit`, class or task; `starts`, where lines are drawn; `names` of the rows, if any.
    """
    counts = np.asarray(data["counts"], dtype=float)
    shares = 100 * counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    _heat_map(axes, shares, "share of the row (%)", zeros=False)
    for start in data["starts"][1:]:
        axes.axhline(start - 0.5, color="white", linewidth=1)
        axes.axvline(start - 0.5, color="white", linewidth=1)
    numbers = [str(i + (data["unit"] == "task")) for i in range(len(counts))]
    names = [literal(name) for name in data.get("names") or numbers]
    for side in "xy":
        _ticks(axes, list(range(len(counts))), names, side)
    if data.get("names"):
        axes.tick_params(axis="x", rotation=90)
    unit = "class (position in task order)" if data["unit"] == "class" and not data.get("names") else data["unit"]
    axes.set(xlabel=f"predicted {unit}", ylabel=f"true {unit}", title=f"Confusion matrix after task {task}")


def _draw_similarities(axes: "Axes", data: dict[str, Any], task: int) -> None:
    series = (("neg", "negative pairs", NEGATIVE, "", "--"), ("pos", "positive pairs", POSITIVE, "///", "-"))
    for key, label, colour, hatch, line in series:
        counts = np.asarray(data[key], dtype=float)
        mean = data[f"{key}_mean"]
        if mean is None:
            continue
        edges = np.linspace(-1, 1, len(counts) + 1)
        shares = 100 * counts / counts.sum()
        axes.stairs(shares, edges, fill=True, alpha=0.25, color=colour, hatch=hatch)
        axes.stairs(shares, edges, color=colour, linestyle=line, label=f"{label} (mean {mean:z.3f})")
        axes.axvline(mean, color=colour, linestyle=line, linewidth=0.8)
    gap = ""
    if data["pos_mean"] is not None and data["neg_mean"] is not None:
        gap = f", gap {data['pos_mean'] - data['neg_mean']:z.3f}"
    width = 2 / len(data["pos"])
    axes.set(xlim=(-1, 1), ylim=(0, None), xlabel="cosine similarity", ylabel=f"share of pairs (%) per {width:g}")
    axes.set_title(f"Similarities after task {task}{gap}")
    axes.legend(loc="upper left", frameon=False)


def _heat_map(axes: "Axes", table: np.ndarray, label: str, zeros: bool) -> None:
    """zeros: write a number into cells of 0 too."""
    image = axes.imshow(table, cmap=COLOURS, vmin=0, vmax=100, interpolation="nearest")
    assert axes.figure is not None
    axes.figure.colorbar(image, ax=axes, label=label)
    if max(table.shape) <= MAX_NUMBERS:
        for (row, column), value in np.ndenumerate(table):
            if np.isfinite(value) and (zeros or round(value)):
                colour = "white" if value < 55 else "black"
                axes.text(column, row, f"{value:.0f}", ha="center", va="center", color=colour, fontsize=8)


def _ticks(axes: "Axes", places: list[int], names: list[str], side: str) -> None:
    """At most MAX_NUMBERS ticks, at round places."""
    every = next(step for step in (1, 2, 5, 10, 20, 50, 100, 200) if len(places) <= step * MAX_NUMBERS)
    (axes.set_xticks if side == "x" else axes.set_yticks)(places[::every], names[::every])
