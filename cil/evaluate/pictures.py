"""The pictures of an evaluation: each is an SVG and a PNG of the same name."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cil.evaluate.evaluation import Evaluation
from cil.records.pictures import MAX_NAMES, draw_confusion, literal
from cil.trained.folder import StoredRun

if TYPE_CHECKING:
    from matplotlib.axes import Axes

DPI = 150


def write_pictures(folder: Path, run: StoredRun, found: Evaluation) -> list[Path]:
    """Draw what was evaluated into `folder`; the files. Raises OSError."""
    from matplotlib.figure import Figure

    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for name, size, draw in _pictures(run, found):
        figure = Figure(figsize=size, layout="constrained")
        draw(figure.add_subplot())
        for suffix in ("svg", "png"):
            files.append(folder / f"{name}.{suffix}")
            figure.savefig(files[-1], dpi=DPI)
    return files


Picture = tuple[str, tuple[float, float], Callable[["Axes"], None]]


def _pictures(run: StoredRun, found: Evaluation) -> Iterator[Picture]:
    record, task = found.record, found.record["task"]
    classes = [one.name for one in run.classes[: len(record["classes"])]]
    starts = [one.first for one in run.tasks[:task]]
    for head, counts in found.confusion.items():
        names = classes if len(classes) <= MAX_NAMES else None
        side = 5.0 if names is None else max(5.0, 0.22 * len(names) + 2)
        data = {"unit": "class", "starts": starts, "counts": counts, "names": names}
        yield f"confusion_classes_{head}", (side, 0.85 * side), partial(draw_confusion, data=data, task=task)
        tasks = {"unit": "task", "starts": [], "counts": record["confusion_of_tasks"][head]}
        yield f"confusion_tasks_{head}", (5, 4.2), partial(draw_confusion, data=tasks, task=task)
    yield "per_class", (max(5.0, 0.16 * len(classes) + 1), 3.4), lambda axes: _per_class(axes, record["classes"])
    if "calibration" in record:
        yield "calibration", (4.2, 4.2), lambda axes: _reliability(axes, record["calibration"])
    if record.get("drift"):
        yield "drift", (4.6, 3.4), lambda axes: _drift(axes, record["drift"])
    if "embedding" in found.arrays:
        yield "embedding", (6, 5), lambda axes: _map(axes, found.arrays, starts, record["embedding"]["kind"])
    if "corruptions" in record:
        yield "corruptions", (5, 3.6), lambda axes: _corruptions(axes, record)


def _per_class(axes: "Axes", rows: list[dict[str, Any]]) -> None:
    values = [np.nan if row["top1"] is None else row["top1"] for row in rows]
    tasks = np.array([row["task"] for row in rows])
    shades = np.where(tasks % 2 == 1, "#1f4e8c", "#7fa3cc")
    axes.bar(range(len(rows)), values, color=list(shades))
    if len(rows) <= MAX_NAMES:
        axes.set_xticks(range(len(rows)), [literal(row["name"]) for row in rows], rotation=90)
    axes.set(ylim=(0, 100), xlim=(-0.6, len(rows) - 0.4), ylabel="top-1 (%)", xlabel="class, in task order")
    axes.set_title("Accuracy of each class (shades: tasks)")


def _reliability(axes: "Axes", found: dict[str, Any]) -> None:
    bins = found["bins"]
    axes.plot([0, 1], [0, 1], color="0.6", linestyle="--", linewidth=1, label="calibrated")
    axes.plot([b["confidence"] for b in bins], [b["accuracy"] for b in bins], "o-", color="#1f4e8c", label="network")
    axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="confidence", ylabel="accuracy", aspect="equal")
    axes.set_title(f"Calibration (ECE {100 * found['ece']:.1f} %)")
    axes.legend(frameon=False, loc="upper left")


def _drift(axes: "Axes", rows: list[dict[str, Any]]) -> None:
    tasks = [row["task"] for row in rows]
    for key, label, mark in (("cka", "linear CKA", "o-"), ("cosine", "mean cosine", "s--")):
        values = [np.nan if row[key] is None else row[key] for row in rows]
        if not np.isnan(values).all():
            axes.plot(tasks, values, mark, label=label)
    axes.set(ylim=(0, 1.02), xlabel="task of the classes", ylabel="similarity to the features of then", xticks=tasks)
    axes.set_title("Features of old classes: now and after their own task")
    axes.legend(frameon=False)


def _map(axes: "Axes", arrays: dict[str, np.ndarray], starts: list[int], kind: str) -> None:
    from matplotlib import colormaps

    points, classes = arrays["embedding"], arrays["embedding_classes"]
    tasks = np.searchsorted(starts, classes, side="right")
    colours = colormaps["viridis"](np.linspace(0, 0.95, len(starts)))
    for task, colour in enumerate(colours, start=1):
        x, y = points[tasks == task].T
        axes.scatter(x, y, s=6, color=colour, linewidths=0, label=str(task))
    axes.set(xticks=[], yticks=[], title=f"Test images by their features ({kind})")
    axes.legend(title="task", loc="center left", bbox_to_anchor=(1, 0.5), frameon=False, markerscale=3)


def _corruptions(axes: "Axes", record: dict[str, Any]) -> None:
    clean = record["accuracy"]["top1"]
    for (kind, found), mark in zip(record["corruptions"].items(), ("o-", "s--", "^:"), strict=False):
        axes.plot(range(len(found["strengths"]) + 1), [clean, *found["top1"]], mark, label=kind)
    axes.set(ylim=(0, 100), xlabel="strength (0: clean)", ylabel="top-1 (%)", title="Corrupted test images")
    axes.legend(frameon=False)
