"""The plain result table of the terminal, from result.json."""

from typing import Any


def _cell(value: float | None) -> str:
    """z: never "-0.0"."""
    return "-" if value is None else f"{value:z.1f}"


def _line(cells: list[str], widths: list[int]) -> str:
    return "  ".join(cell.rjust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()


def layout(rows: list[list[str]]) -> str:
    """Right-aligned columns."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join(_line(row, widths) for row in rows)


def accuracy_table(result: dict[str, Any]) -> str:
    """One row a task: accuracy on each task's test images (classifier), then over all classes so far."""
    matrix = result["matrices"]["top1"]
    curves = result["curves"]
    header = ["after task", *(f"t{i + 1}" for i in range(len(matrix))), "all", "top-5", "NME"]
    rows = [header]
    for i, row in enumerate(matrix):
        cells = [_cell(value) for value in row] + [""] * (len(matrix) - len(row))
        overall = [_cell(curves[kind][i]) for kind in ("top1", "top5", "nme_top1")]
        rows.append([str(i + 1), *cells, *overall])
    return layout(rows)


def headline_table(result: dict[str, Any]) -> str:
    """Average, last and forgetting; classifier beside nearest mean of exemplars (NME)."""
    names = {
        "incremental average": "incremental_avg_top1",
        "last": "last_top1",
        "mean over tasks, last": "last_task_mean_top1",
        "forgetting": "forgetting_top1",
    }
    rows = [["top-1 in per cent", "classifier", "NME"]]
    rows += [[label, _cell(result[name]), _cell(result[f"nme_{name}"])] for label, name in names.items()]
    width = max(len(row[0]) for row in rows)
    return layout([[row[0].ljust(width), *row[1:]] for row in rows])


def result_table(result: dict[str, Any]) -> str:
    """Both tables."""
    return f"{accuracy_table(result)}\n\n{headline_table(result)}"
