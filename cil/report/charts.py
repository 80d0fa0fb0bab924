"""The drawings of a problem: which curves, of which groups, in which chart."""

from collections.abc import Callable, Sequence

from cil.report.document import Drawing
from cil.report.figures import forgetting_by_task
from cil.report.groups import Group, Problem
from cil.report.heatmap import heat_map
from cil.report.runs import Run
from cil.report.significance import summarise
from cil.report.svg import STYLES, Axes, Series, legend, line_chart

Point = tuple[float, float, float | None]
MAX_POINTS = 120
BAND = "Line: mean over seeds; band: ± one sample standard deviation."


def charts(problem: Problem) -> list[Drawing]:
    """Every chart with lines of several groups; more groups than line styles make several charts."""
    drawings = []
    for number, groups in enumerate(_portions(problem)):
        part = f" ({number + 1})" if len(problem.groups) > STYLES else ""
        drawings += [
            _accuracy(groups, part),
            _violations(groups, part),
            _forgetting(groups, part),
            _gap_against_margin(groups, part),
        ]
    drawings.append(_accuracy_against_memory(problem))
    return [drawing for drawing in drawings if drawing is not None]


def _portions(problem: Problem) -> list[list[Group]]:
    """Groups for one chart each, the baseline first in all of them."""
    base = [problem.baseline] if problem.baseline else []
    others = problem.variants
    room = STYLES - len(base)
    return [[*base, *others[i : i + room]] for i in range(0, len(others), room)] or [base]


def _chart(
    title: str, axes: Axes, groups: Sequence[Group], lines: Sequence[list[Point]], caption: str
) -> Drawing | None:
    if not any(lines):
        return None
    series = [Series(g.label, points, i) for i, (g, points) in enumerate(zip(groups, lines, strict=True)) if points]
    entries = [(one.label, one.style, True) for one in series]
    return Drawing(title, line_chart(series, axes), legend(entries), caption)


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
        edges = {i for bounds in run.curves.bounds() for i in bounds} if run.curves.steps else set()
        column = run.curves.values.get(tag, [])
        return [
            (run.curves.steps[i], None if value is None else value * scale)
            for i, value in enumerate(column)
            if i % every == 0 or i in edges
        ]

    return over_runs(group, values)


def _task_ends(groups: Sequence[Group]) -> list[float]:
    run = next(iter(groups[0].runs.values()))
    return [run.curves.steps[last] + 0.5 for _, last in run.curves.bounds()[:-1]] if run.curves.steps else []


def _accuracy(groups: Sequence[Group], part: str) -> Drawing | None:
    lines = [over_runs(g, lambda run: list(enumerate(run.result["curves"]["top1"], 1))) for g in groups]
    axes = Axes("tasks learned", "top-1 over all classes so far (%)", whole_x=True)
    return _chart(f"Accuracy after each task{part}", axes, groups, lines, f"Classifier, test images. {BAND}")


def _violations(groups: Sequence[Group], part: str) -> Drawing | None:
    lines = [curve_points(group, "contrast/violation_rate", 100) for group in groups]
    axes = Axes("epochs since the start of the run", "negatives inside the margin (%)", marks=_task_ends(groups))
    caption = f"Violation rate of the contrast branch; dotted verticals: ends of tasks. {BAND}"
    return _chart(f"Violation rate{part}", axes, groups, lines, caption)


def _forgetting(groups: Sequence[Group], part: str) -> Drawing | None:
    lines = [
        over_runs(g, lambda run: list(enumerate(forgetting_by_task(run.result["matrices"]["top1"]), 1))) for g in groups
    ]
    axes = Axes("task", "forgetting (points of %)", whole_x=True)
    caption = f"Best accuracy on a task's test images before the last task, minus the final one. {BAND}"
    return _chart(f"Forgetting of each task{part}", axes, groups, lines, caption)


def _gap_against_margin(groups: Sequence[Group], part: str) -> Drawing | None:
    """Gap over margin at the end of the run, one point a group."""
    series = []
    for i, group in enumerate(groups):
        margin, gap = group.summary("margin").mean, group.summary("gap")
        if margin is not None and gap.mean is not None:
            series.append(Series(group.label, [(margin, gap.mean, gap.deviation)], i, line=False))
    if len({round(one.points[0][0], 6) for one in series}) < 2:
        return None
    axes = Axes("margin in the last epoch (cosine similarity)", "gap in the last epoch (cosine similarity)")
    caption = (
        "Gap: mean similarity of positives minus mean similarity of negatives. Bars: ± one sample standard "
        "deviation. A loss without margin stands at the margin its statistics are measured with."
    )
    entries = [(one.label, one.style, False) for one in series]
    return Drawing(f"Gap against margin{part}", line_chart(series, axes), legend(entries), caption)


def _accuracy_against_memory(problem: Problem) -> Drawing | None:
    """One named point a group, all in one chart; None where no two groups differ in what they keep."""
    series = []
    for i, group in enumerate(problem.groups):
        total, average = group.summary("total_mb").mean, group.summary("incremental_avg_top1")
        if total is not None and average.mean is not None:
            point = (total, average.mean, average.deviation)
            series.append(Series(group.label, [point], i, line=False, named=True))
    if len({round(one.points[0][0], 3) for one in series}) < 2:
        return None
    axes = Axes("model and exemplars after the last task (MB of 10^6 bytes)", "average top-1 (%)", width=760)
    caption = (
        "Incremental average, classifier, test images, over the memory that a method keeps: the model that predicts, "
        "and its exemplars. Bars: ± one sample standard deviation over seeds."
    )
    return Drawing("Accuracy against memory", line_chart(series, axes), caption=caption)


def margin_panels(problem: Problem) -> list[Drawing]:
    """For each group: gap and margin over the epochs of the run."""
    panels = []
    for group in problem.groups:
        lines = [("gap", curve_points(group, "contrast/gap")), ("margin", curve_points(group, "contrast/margin"))]
        series = [Series(name, points, i) for i, (name, points) in enumerate(lines) if points]
        if series:
            axes = Axes("epochs", "cosine similarity", width=372, height=225, marks=_task_ends([group]))
            entries = [(one.label, one.style, True) for one in series]
            panels.append(Drawing(group.label, line_chart(series, axes), legend(entries), small=True))
    return panels


def mean_matrix(group: Group) -> list[list[float | None]]:
    """Accuracy matrix (classifier, top-1) averaged over the group's runs."""
    matrices = [run.result["matrices"]["top1"] for run in group.runs.values()]
    return [
        [summarise([matrix[i][j] for matrix in matrices]).mean for j in range(i + 1)] for i in range(len(matrices[0]))
    ]


def matrices(problem: Problem) -> list[Drawing]:
    """The accuracy matrix of each group."""
    drawings = []
    for group in problem.groups:
        n = len(group.runs)
        caption = "" if n == 1 else f"Mean over {n} runs."
        drawings.append(Drawing(group.label, heat_map(mean_matrix(group)), caption=caption, small=True))
    return drawings
