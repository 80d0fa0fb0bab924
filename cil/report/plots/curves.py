"""Figures of what happens while a run learns: gap, violations and accuracy of all groups, and each group by itself."""

import textwrap
from collections.abc import Callable, Sequence
from dataclasses import replace

from cil.report.figures import forgetting_by_task
from cil.report.groups import Group, Problem
from cil.report.plots.canvas import Panel, Plot
from cil.report.plots.lines import Look, Series, limits_of, line_panel
from cil.report.plots.series import Point, curve_points, over_runs, portions, task_ends

EPOCHS = "epochs since the start of the run"
_TITLE = 34
"""Letters in the title of a small panel."""
BAND = "Lines: means over seeds; bands: ± one sample standard deviation."


def curve_plots(problem: Problem) -> list[Plot]:
    """Gap, violation rate and accuracy of all groups. More groups than looks make several, on equal axes."""
    kinds: tuple[tuple[Look, Callable[[Group], list[Point]], bool], ...] = (
        (
            Look("gap", EPOCHS, "cosine similarity", digits=3, whole_x=True),
            lambda g: curve_points(g, "contrast/gap"),
            False,
        ),
        (
            Look("violations", EPOCHS, "active negatives (%)", digits=1, whole_x=True),
            lambda g: curve_points(g, "contrast/violation_rate", 100),
            True,
        ),
        (
            Look("accuracy", "tasks learned", "top-1, all classes so far (%)", "after task", whole_x=True),
            lambda g: over_runs(g, lambda run: list(enumerate(run.result["curves"]["top1"], 1))),
            False,
        ),
    )
    return _plots(problem, "curves", kinds)


def forgetting_plots(problem: Problem) -> list[Plot]:
    """How much of each task is lost at the end; none with one task."""
    look = Look("forgetting", "task", "best minus final top-1 (points)", "task", whole_x=True)

    def points(group: Group) -> list[Point]:
        return over_runs(group, lambda run: list(enumerate(forgetting_by_task(run.result["matrices"]["top1"]), 1)))

    return _plots(problem, "forgetting", ((look, points, False),))


def _plots(
    problem: Problem, name: str, kinds: Sequence[tuple[Look, Callable[[Group], list[Point]], bool]]
) -> list[Plot]:
    """kinds: look, points of a group, and whether twins are lines of their own there."""
    parts = portions(problem)
    ends = task_ends(problem.groups)
    trainings = [problem.baseline, *problem.variants]
    panels: list[list[Panel]] = [[] for _ in parts]
    for look, points, with_twins in kinds:
        lines = [
            [Series(g.label, points(g), style) for style, g in part if with_twins or g in trainings] for part in parts
        ]
        limits = limits_of([one for line in lines for one in line])
        if limits is None:
            continue
        marks = ends if look.x_label == EPOCHS else ()
        for row, series in zip(panels, lines, strict=True):
            row.append(line_panel(series, replace(look, limits=limits, ends=marks)))
    names = [name if len(parts) == 1 else f"{name}-{i + 1}" for i in range(len(parts))]
    return [Plot(name, row) for name, row in zip(names, panels, strict=True) if row]


def margin_plot(problem: Problem) -> Plot | None:
    """For each group: gap and margin over the epochs of the run, on equal axes."""
    found = []
    for group in problem.groups:
        series = [
            Series(name, curve_points(group, f"contrast/{name}"), style) for style, name in enumerate(("gap", "margin"))
        ]
        if any(one.points for one in series):
            found.append((group, series))
    if not found:
        return None
    limits = limits_of([one for _, series in found for one in series])
    look = Look("", "epochs", "cosine similarity", height=2.2, digits=3)
    panels = [
        line_panel(
            series,
            replace(look, title=textwrap.fill(group.label, _TITLE), ends=task_ends([group]), limits=limits),
        )
        for group, series in found
    ]
    return Plot("margins", panels, width=2.9)
