"""Points over runs: means and deviations, from groups of runs."""

from collections.abc import Callable, Sequence

from cil.report.groups import Group, Problem
from cil.report.plots.canvas import STYLES
from cil.report.runs import Run
from cil.report.significance import summarise

Point = tuple[float, float, float | None]
"""x, mean, sample standard deviation (None for one run)."""
MAX_POINTS = 120


def over_runs(group: Group, values: Callable[[Run], Sequence[tuple[float, float | None]]]) -> list[Point]:
    """Mean and deviation at each x over the group's runs; x that some run lacks are left out."""
    by_x: dict[float, list[float]] = {}
    for run in group.runs.values():
        for x, y in values(run):
            if y is not None:
                by_x.setdefault(x, []).append(y)
    points: list[Point] = []
    for x, ys in sorted(by_x.items()):
        summary = summarise(ys)
        if summary.n == len(group.runs) and summary.mean is not None:
            points.append((x, summary.mean, summary.deviation))
    return points


def curve_points(group: Group, tag: str, scale: float = 1.0) -> list[Point]:
    """A tag over the epochs of the run, thinned to what a chart can show; ends of tasks stay."""

    def values(run: Run) -> list[tuple[float, float | None]]:
        every = max(1, len(run.curves.steps) // MAX_POINTS)
        edges = {i for bounds in run.curves.bounds() for i in bounds}
        column = run.curves.values.get(tag, [])
        return [
            (run.curves.steps[i], None if value is None else value * scale)
            for i, value in enumerate(column)
            if i % every == 0 or i in edges
        ]

    return over_runs(group, values)


def task_ends(groups: Sequence[Group]) -> list[float]:
    """Where tasks end on the axis of epochs; empty where the groups do not agree."""
    found = {
        tuple(run.curves.steps[last] + 0.5 for _, last in run.curves.bounds()[:-1])
        for group in groups
        for run in group.runs.values()
    }
    return list(found.pop()) if len(found) == 1 else []


def mean_matrix(group: Group) -> list[list[float | None]]:
    """Accuracy matrix (classifier, top-1) averaged over the group's runs: row t, after task t, has t values."""
    matrices = [run.result["matrices"]["top1"] for run in group.runs.values()]
    return [
        [summarise([matrix[i][j] for matrix in matrices]).mean for j in range(i + 1)] for i in range(len(matrices[0]))
    ]


def drawn_groups(problem: Problem) -> list[Group]:
    """The baseline first, twins last: a place in this list is a style in every figure."""
    first = [*([problem.baseline] if problem.baseline else []), *problem.variants]
    return [*first, *(group for group in problem.groups if group not in first)]


def portions(problem: Problem) -> list[list[tuple[int, Group]]]:
    """Groups with their styles for one chart each, the baseline in all of them; most often there is one chart."""
    numbered = list(enumerate(drawn_groups(problem)))
    start = 1 if problem.baseline else 0
    base, others = numbered[:start], numbered[start:]
    room = STYLES - len(base)
    return [[*base, *others[i : i + room]] for i in range(0, len(others), room)] or [base]
