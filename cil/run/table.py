"""Tables for people: plain text in a pipe or a file, drawn to fit the window on a terminal; and a run's result."""

import io
import shutil
import sys
from collections.abc import Collection, Sequence
from typing import Any

STYLES = {"ok": "green", "done": "green", "skipped": "dim", "failed": "bold red", "interrupted": "yellow"}
"""Content of a cell -> how a terminal shows it."""

_GAP = 2
"""Columns of the window between two columns of a table that is drawn."""


def window() -> int | None:
    """Width of the terminal that stdout is, or None where it is none."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def table(rows: Sequence[Sequence[str]], texts: Collection[int] = ()) -> str:
    """Rows of cells, a header first. texts: columns that stand to the left; the others, numbers, stand to the right.

    On a terminal the last column is folded where the window is too narrow.
    """
    width = window()
    return _plain(rows, texts) if width is None else _drawn(rows, texts, width)


def _plain(rows: Sequence[Sequence[str]], texts: Collection[int]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = (c.ljust(w) if i in texts else c.rjust(w) for i, (c, w) in enumerate(zip(row, widths, strict=True)))
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def _drawn(rows: Sequence[Sequence[str]], texts: Collection[int], width: int) -> str:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    drawn = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    last = len(rows[0]) - 1
    for i, name in enumerate(rows[0]):
        drawn.add_column(Text(name), justify="left" if i in texts else "right", no_wrap=i != last, overflow="fold")
    for row in rows[1:]:
        drawn.add_row(*(Text(cell, STYLES.get(cell, "")) for cell in row))
    file = io.StringIO()
    Console(file=file, width=width, force_terminal=True).print(drawn)
    return file.getvalue().rstrip("\n")


def _cell(value: float | None) -> str:
    """z: never "-0.0"."""
    return "-" if value is None else f"{value:z.1f}"


def accuracy_table(result: dict[str, Any]) -> str:
    """One row a task: accuracy on each task's test images (classifier), then over all classes so far."""
    matrix = result["matrices"]["top1"]
    curves = result["curves"]
    heads = _other_heads(result)
    header = ["after task", *(f"t{i + 1}" for i in range(len(matrix))), "all", "top-5", *heads.values()]
    rows = [header]
    for i, row in enumerate(matrix):
        cells = [_cell(value) for value in row] + [""] * (len(matrix) - len(row))
        overall = [_cell(curves[kind][i]) for kind in ("top1", "top5", *(f"{head}_top1" for head in heads))]
        rows.append([str(i + 1), *cells, *overall])
    return table(_fitting(rows, len(matrix), window()))


def _fitting(rows: list[list[str]], tasks: int, width: int | None) -> list[list[str]]:
    """The rows with so many of their columns 1 to `tasks` as a window of this width takes: the first and the last."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    if width is None or sum(widths) + _GAP * (len(widths) - 1) <= width:
        return rows
    room = width - (sum(widths) - sum(widths[1 : tasks + 1])) - _GAP * (len(widths) - tasks) - 1
    shown = max(2, room // (max(widths[1 : tasks + 1]) + _GAP))
    left, right = shown - shown // 2, shown // 2
    if left + right >= tasks:
        return rows
    return [[*row[: left + 1], "…" if i == 0 else "", *row[tasks + 1 - right :]] for i, row in enumerate(rows)]


def _other_heads(result: dict[str, Any]) -> dict[str, str]:
    """Evaluation heads beside the classifier, and what their columns are called."""
    heads = [kind.removesuffix("_top1") for kind in result["curves"] if kind.endswith("_top1")]
    return {head: "NME" if head == "nme" else head for head in heads}


def headline_table(result: dict[str, Any]) -> str:
    """Average, last and forgetting; classifier beside nearest mean of exemplars (NME)."""
    names = {
        "incremental average": "incremental_avg_top1",
        "last": "last_top1",
        "mean over tasks, last": "last_task_mean_top1",
        "forgetting": "forgetting_top1",
    }
    heads = _other_heads(result)
    rows = [["top-1 in per cent", "classifier", *heads.values()]]
    for label, name in names.items():
        rows.append([label, _cell(result[name]), *(_cell(result[f"{head}_{name}"]) for head in heads)])
    return table(rows, texts=(0,))


def result_table(result: dict[str, Any]) -> str:
    """Both tables."""
    return f"{accuracy_table(result)}\n\n{headline_table(result)}"
