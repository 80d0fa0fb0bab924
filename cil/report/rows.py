"""Runs as plain rows, for data frames and CSV files: one row a run, or one row a measured value."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from cil.report.curves import read_curves
from cil.report.figures import DYNAMICS, SIZES, UNPRUNED, figure_value
from cil.report.groups import Problem, make_problems
from cil.report.runs import Found, Run

_FURTHER = (*(figure.key for figure in (*DYNAMICS, *SIZES, *UNPRUNED)), "margin", "hours", "seconds_per_epoch")


def rows(found: Found, problems: Sequence[Problem] | None = None) -> list[dict[str, Any]]:
    """One row for each run that counts: what it is, every setting by its dotted key, every figure.

    Columns: `run` (its folder), `problem` and `group` (as the report calls them), `order` (hash of the order of
    classes); the settings of config.yaml with their own types; the figures of result.json in per cent (`val.` before
    those on validation images), `gap`, `violation_rate` (0 to 1), `margin`, sizes in MB, `hours`. All rows have the
    same columns in the same order; None: not set, or not measured. Runs that repeat another one are left out, so that
    a mean over rows is a mean over seeds.

    problems: those made of `found` already, if there are any.
    """
    grouped = make_problems(found.runs)[0] if problems is None else problems
    listed = [
        _row(run, problem, group.label)
        for problem in grouped
        for group in problem.groups
        for run in group.runs.values()
    ]
    columns = list(dict.fromkeys(name for row in listed for name in row))
    return [{name: row.get(name) for name in columns} for row in listed]


def _row(run: Run, problem: Problem, label: str) -> dict[str, Any]:
    own: dict[str, Any] = {"run": str(run.path), "problem": problem.title, "group": label, "order": run.order}
    return own | settings_and_figures(run)


def settings_and_figures(run: Run) -> dict[str, Any]:
    """The columns of `rows` that a run has by itself."""
    settings = run.settings | {"seed": run.seed}  # of a branch, '5 after 1'
    return settings | dict(run.accuracies) | {key: figure_value(run, key) for key in _FURTHER}


def curve_rows(runs: Sequence[Run]) -> Iterator[dict[str, Any]]:
    """One row for each value of metrics.jsonl, not thinned: run, task, epoch, step, tag, value.

    task and epoch (of the task) count from 1, step counts epochs from the start of the run. Epochs in which a tag was
    not measured have no row. The accuracy over all classes after each task has the tags `task/top1`, `task/nme_top1`
    and so on, at the task's last epoch. Files are read again, one at a time: a run of full length has many values.
    """
    for run in runs:
        path = run.path / "metrics.jsonl"
        curves = read_curves(path, thin=False) if path.is_file() else run.curves
        ends = {}
        for first, last in curves.bounds():
            ends[curves.tasks[first]] = (last - first + 1, curves.steps[last])
            for i in range(first, last + 1):
                where = _where(run.path, curves.tasks[i], i - first + 1, curves.steps[i])
                for tag, values in curves.values.items():
                    if values[i] is not None:
                        yield where | {"tag": tag, "value": values[i]}
        for kind, curve in run.result["curves"].items():
            for task, value in enumerate(curve, 1):
                if value is not None:
                    yield _where(run.path, task, *ends.get(task, (None, None))) | {
                        "tag": f"task/{kind}",
                        "value": value,
                    }


def _where(path: Path, task: int, epoch: int | None, step: int | None) -> dict[str, Any]:
    return {"run": str(path), "task": task, "epoch": epoch, "step": step}
