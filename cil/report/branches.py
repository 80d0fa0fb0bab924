"""Branches (`from_task`): what runs have in common, told to the reader. Inherited tasks were trained once."""

from collections import defaultdict
from collections.abc import Sequence

from cil.report.groups import Group, Problem
from cil.report.runs import Run


def branch_warnings(problem: Problem) -> list[str]:
    """One line for each group that counts branches off one run several times: they are not independent."""
    warnings = []
    for group in problem.groups:
        for origin, runs in _by_origin(list(group.runs.values())).items():
            if len(runs) > 1:
                warnings.append(
                    f"{problem.title}: {_label(group)}{len(runs)} of its {len(group.runs)} runs share {origin}. They "
                    "are not independent: their deviation, intervals and p values hold for this one start, and say "
                    "nothing of how another one would do."
                )
    return warnings


def branch_notes(problem: Problem) -> list[str]:
    """What runs of several groups share, and whose hours count."""
    notes = []
    runs = [run for run in problem.runs if run.shares]
    for origin, sharing in _by_origin(runs).items():
        if len(sharing) > 1:
            notes.append(
                f"{problem.title}: {len(sharing)} runs share {origin}: trained once, one and the same in all of them, "
                "so no difference between them comes from there."
            )
    if runs:
        notes.append(
            f"{problem.title}: {len(runs)} runs are branches (from_task); their hours are those of their own tasks."
        )
    return notes


def _label(group: Group) -> str:
    return f"{group.label}: " if group.label else ""


def _by_origin(runs: Sequence[Run]) -> dict[str, list[Run]]:
    """Text of inherited tasks -> the runs that have them. Of a branch of a branch, each part by itself."""
    found: dict[str, list[Run]] = defaultdict(list)
    for run in runs:
        for share in run.shares:
            tasks = share["tasks"]
            if tasks:
                shown = f"task {tasks[0]}" if len(tasks) == 1 else f"tasks {tasks[0]} to {tasks[-1]}"
                found[f"{shown} of run {share['run_id']} ({share['run']})"].append(run)
    return dict(found)
