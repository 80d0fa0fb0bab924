"""Four pictures of what ANT does: direction at the reference, norm ratio, active share, false negatives."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from cil.report.groups import Problem
from cil.report.operators import BRANCHES, OPERATORS, mean_of, measured
from cil.report.plots.canvas import MUTED, Hover, Panel, Plot, style_of
from cil.report.plots.lines import Look, Series, limits_of, line_panel
from cil.report.plots.series import Point, task_ends
from cil.report.runs import Run
from cil.report.significance import Summary, summarise

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_HEIGHT = 2.4
Rows = Sequence[tuple[str, int, Sequence[Summary]]]
"""Of a panel of points: label, style, and one value for each operator."""


def mechanism_plots(problem: Problem) -> list[Plot]:
    """Direction, norm ratio and false negatives by operator; active share over the epochs. Empty without figures."""
    runs = measured(problem)
    if not runs:
        return []

    def values(name: str, detached: bool = False) -> list[Summary]:
        ending = "_detached" if detached else ""
        return [summarise([_percent(mean_of(run, f"{o}{ending}/{name}")) for run in runs]) for o in OPERATORS]

    direction = [("connected", 1, values("reference_raised")), ("detached", 2, values("reference_raised", True))]
    norms = [("detached over connected", 3, values("detached_norm"))]
    false = [("of the active", 4, values("false_negative_share"))]
    base = summarise([_percent(mean_of(run, "own_class_share")) for run in runs]).mean
    return [
        Plot(
            "mechanism",
            [
                _points_panel(direction, "direction at the reference", "references that a step raises (%)"),
                _points_panel(norms, "norm of the gradient", "detached over connected (%)"),
                _points_panel(false, "false negatives", "own class of the active (%)", base),
            ],
        ),
        Plot("mechanism_active", [_active_panel(problem, runs, branch) for branch in BRANCHES if _has(runs, branch)]),
    ]


def _percent(value: float | None) -> float | None:
    return None if value is None else 100 * value


def _has(runs: Sequence[Run], branch: str) -> bool:
    return any(mean_of(run, f"{OPERATORS[0]}/active_share", [branch]) is not None for run in runs)


def _points_panel(rows: Rows, title: str, x_label: str, line: float | None = None) -> Panel:
    """Operators below each other; `line` is a thin vertical one to compare with."""

    def draw(axes: "Axes", _: bool) -> list[Hover]:
        axes.set_title(title)
        axes.set_xlabel(x_label)
        if line is not None:
            axes.axvline(line, color=MUTED, linewidth=0.8, linestyle=(0, (4, 2)))
            axes.annotate("of all", (line, 1), xycoords=("data", "axes fraction"), fontsize="small", color=MUTED)
        places = list(range(len(OPERATORS)))[::-1]
        hover = []
        for label, style, found in rows:
            look: dict[str, Any] = style_of(style) | {"linestyle": "none"}
            drawn = [(s.mean, y, s.deviation) for s, y in zip(found, places, strict=True) if s.mean is not None]
            xs, ys = [x for x, *_ in drawn], [y for _, y, _ in drawn]
            axes.errorbar(xs, ys, xerr=[d or 0.0 for *_, d in drawn], capsize=2, elinewidth=1, **look)
            points = [[x, y, f"{OPERATORS[len(OPERATORS) - 1 - y]}: {x:.1f} %"] for x, y in zip(xs, ys, strict=True)]
            hover.append({"name": label, "points": points})
        axes.set_yticks(places, OPERATORS)
        axes.set_ylim(-0.6, len(OPERATORS) - 0.4)
        axes.set_xlim(left=min(0.0, axes.get_xlim()[0]))
        return hover

    legend = [(label, style, False) for label, style, _ in rows] if len(rows) > 1 else []
    return Panel(draw, _HEIGHT, f"{title}: {x_label}, by operator", legend)


def _active_panel(problem: Problem, runs: Sequence[Run], branch: str) -> Panel:
    """Active share of each operator over the epochs, mean over runs."""
    series = [Series(o, _over_epochs(runs, f"mechanism/{branch}/{o}/active_share"), i) for i, o in enumerate(OPERATORS)]
    look = Look(
        f"active negatives, {branch}",
        "epochs since the start of the run",
        "active negatives (%)",
        digits=1,
        whole_x=True,
        ends=task_ends(problem.groups),
        limits=limits_of(series),
    )
    return line_panel(series, look)


def _over_epochs(runs: Sequence[Run], tag: str) -> list[Point]:
    by_step: dict[int, list[float]] = {}
    for run in runs:
        for step, value in zip(run.curves.steps, run.curves.values.get(tag, []), strict=False):
            if value is not None:
                by_step.setdefault(step, []).append(100 * value)
    found = []
    for step, values in sorted(by_step.items()):
        summary = summarise(values)
        assert summary.mean is not None
        found.append((float(step), summary.mean, summary.deviation))
    return found
