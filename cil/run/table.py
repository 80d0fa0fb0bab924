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
    heads = _other_heads(result)
    header = ["after task", *(f"t{i + 1}" for i in range(len(matrix))), "all", "top-5", *heads.values()]
    rows = [header]
    for i, row in enumerate(matrix):
        cells = [_cell(value) for value in row] + [""] * (len(matrix) - len(row))
        overall = [_cell(curves[kind][i]) for kind in ("top1", "top5", *(f"{head}_top1" for head in heads))]
        rows.append([str(i + 1), *cells, *overall])
    return layout(rows)


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
    width = max(len(row[0]) for row in rows)
    return layout([[row[0].ljust(width), *row[1:]] for row in rows])


def result_table(result: dict[str, Any]) -> str:
    """Both tables."""
    return f"{accuracy_table(result)}\n\n{headline_table(result)}"
