"""What `python -m cil.evaluate` has measured of the runs, beside each other."""

import json
from collections.abc import Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from cil.report.document import Table
from cil.report.groups import Problem
from cil.report.runs import Run

FILE = "evaluation.json"
_CORRUPTIONS = ("noise", "blur", "contrast")
_NOTE = (
    "By python -m cil.evaluate, after the last task; n: runs evaluated. ECE: expected calibration error (%) of the "
    "classifier; probe: accuracy (%) of a linear classifier fitted to the frozen features; CKA: similarity of old "
    "classes' features to those right after their own task, mean over tasks; noise, blur, contrast: accuracy (%) on "
    "corrupted test images, mean over five strengths. Mean ± sample standard deviation over runs."
)


def evaluation_table(problem: Problem) -> Table | None:
    """One row for each group with runs that were evaluated after their last task; None where there is none."""
    rows = []
    for group in problem.groups:
        found = [record for run in group.runs.values() if (record := evaluation_of(run)) is not None]
        if found:
            cells = [_cell([read(one) for one in found]) for read in _COLUMNS.values()]
            if any(cells):  # an accuracy matrix alone stands in the runs' own tables
                rows.append([group.label, str(len(found)), *cells])
    return Table("Evaluated afterwards", ["group", "n", *_COLUMNS], rows, note=_NOTE) if rows else None


def evaluation_notes(problem: Problem) -> list[str]:
    """A line for each run whose kept networks do not give the accuracies that it wrote."""
    return [
        f"{run.path}: evaluated again, its networks differ from what the run wrote ({differences[0]}; evaluated on "
        f"{_device(evaluation_of(run) or {})}, trained on {_device(run.result)})."
        for group in problem.groups
        for run in group.runs.values()
        if (differences := (evaluation_of(run) or {}).get("differences"))
    ]


def evaluation_of(run: Run) -> dict[str, Any] | None:
    """The evaluation.json of a run; None where there is none of its last task and these very settings."""
    try:
        record = json.loads(Path(run.path, FILE).read_text(encoding="utf-8"))
        current = record["config_id"] == run.result.get("config_id") and record["task"] == len(run.result["tasks"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return record if current else None


def _device(record: dict[str, Any]) -> str:
    return str((record.get("device") or {}).get("name") or "an unknown device")


def _cell(values: Sequence[float | None]) -> str:
    known = [value for value in values if value is not None]
    if not known:
        return ""
    digits = 2 if max(map(abs, known)) <= 1 else 1
    spread = f" ± {stdev(known):.{digits}f}" if len(known) > 1 else ""
    return f"{mean(known):.{digits}f}{spread}"


def _ece(record: dict[str, Any]) -> float | None:
    found = record.get("calibration")
    return 100 * found["ece"] if found else None


def _probe(record: dict[str, Any]) -> float | None:
    found = record.get("probe")
    return found["top1"] if found else None


def _cka(record: dict[str, Any]) -> float | None:
    values = [row["cka"] for row in record.get("drift", []) if row["cka"] is not None]
    return mean(values) if values else None


def _corrupted(kind: str) -> Any:
    def read(record: dict[str, Any]) -> float | None:
        found = record.get("corruptions", {}).get(kind)
        return mean(found["top1"]) if found else None

    return read


_COLUMNS: dict[str, Any] = {"ECE": _ece, "probe": _probe, "CKA": _cka} | {k: _corrupted(k) for k in _CORRUPTIONS}
