"""Reading mechanism/* (cil/engine/mechanism.py) from runs: the figures of the eight forms of ANT."""

from collections.abc import Callable, Sequence

from cil.report.groups import Problem
from cil.report.runs import Run
from cil.report.significance import Summary, summarise

OPERATORS = ("first_global", "first_anchor", "all_global", "all_anchor")
BRANCHES = ("contrast", "distill")


def measured(problem: Problem) -> list[Run]:
    """The runs that were looked at."""
    tag = f"mechanism/{BRANCHES[0]}/{OPERATORS[0]}/active_share"
    return [run for run in problem.runs if any(v is not None for v in run.curves.values.get(tag, []))]


def mean_of(run: Run, name: str, branches: Sequence[str] = BRANCHES) -> float | None:
    """Mean of mechanism/BRANCH/name over every epoch and branch in which it was measured."""
    found = [run.curves.values.get(f"mechanism/{branch}/{name}", []) for branch in branches]
    return summarise([value for column in found for value in column]).mean


def over_runs(runs: Sequence[Run], read: Callable[[Run], float | None]) -> Summary:
    """Mean and deviation over runs."""
    return summarise([read(run) for run in runs])
