"""Which figures a problem has, in which order, and what is said below them."""

from collections.abc import Sequence
from dataclasses import replace

from cil.report.compare import VariantComparison
from cil.report.document import Block, Drawing, Heading
from cil.report.fairness import primary_figure
from cil.report.figures import figure_of
from cil.report.groups import Problem
from cil.report.plots.canvas import Plot
from cil.report.plots.curves import BAND, curve_plots, forgetting_plots, margin_plot
from cil.report.plots.forest import forest_plot
from cil.report.plots.matrix import matrix_plot
from cil.report.plots.mechanism import mechanism_plots
from cil.report.plots.points import accuracy_against_memory, gap_against_margin
from cil.report.title import slug

MAIN_FIGURES = ("incremental_avg_top1", "last_top1", "forgetting_top1")
_MAIN = 3
_MECHANISM = {
    "mechanism": (
        "What each form of ANT does",
        "All forms on the same similarities; means over runs, bars ± one sample standard deviation. Dashed: share of "
        "the anchor's own class among all negatives.",
    ),
    "mechanism_active": (
        "Active share of each form",
        f"One fixed batch a task, looked at as it is learned; dotted verticals: ends of tasks. {BAND}",
    ),
}


def first_drawings(problem: Problem, comparisons: Sequence[VariantComparison], prefix: bool) -> list[Block]:
    """What answers at a glance: differences to the baseline, and the curves of all groups.

    prefix: names of files begin with the problem's, because there are several.
    """
    first, _ = primary_figure(problem)
    keys = list(dict.fromkeys([first, *MAIN_FIGURES]))[:_MAIN]
    blocks: list[Block] = []
    if forest := forest_plot(problem, comparisons, keys):
        assert problem.baseline is not None
        caption = (
            f"Large mark and bar: mean difference to {problem.baseline.spoken} and its 95 % confidence interval; dots: "
            "seeds. Filled and *: significant at 5 % after Holm's correction over the variants."
        )
        blocks.append(_drawing(problem, forest, f"Difference to {problem.baseline.spoken}, top-1", caption, prefix))
    for plot in curve_plots(problem):
        caption = (
            "Gap and violations: contrast branch, training images; dotted verticals: ends of tasks. Accuracy: "
            f"classifier, test images. {BAND}"
        )
        title = "Gap, violations and accuracy" if len(plot.panels) > 1 else "Accuracy"
        blocks.append(_drawing(problem, plot, title, caption, prefix))
    return blocks


def further_drawings(problem: Problem, prefix: bool) -> list[Block]:
    """What explains the answer."""
    found: list[tuple[Plot | None, str, str]] = []
    for plot in forgetting_plots(problem):
        caption = f"Best accuracy on a task's test images before the last task, minus the final one. {BAND}"
        found.append((plot, "Forgetting of each task", caption))
    caption = (
        "Gap: mean similarity of positives minus mean similarity of negatives, cosine. Bars: ± one sample standard "
        "deviation. A loss without margin stands at the margin its statistics are measured with."
    )
    found.append((gap_against_margin(problem), "Gap against margin", caption))
    caption = (
        f"Incremental {figure_of('incremental_avg_top1').label} on test images, of the head that the method predicts "
        "with, over the memory it keeps: the model that predicts, and its exemplars (MB of 10^6 bytes). Bars: ± one "
        "sample standard deviation over seeds."
    )
    found.append((accuracy_against_memory(problem), "Accuracy against memory", caption))
    caption = (
        "Contrast branch, training images; means over seeds with ± one deviation; dotted verticals: ends of tasks. "
        "A loss without margin shows the one its statistics are measured with."
    )
    found.append((margin_plot(problem), "Gap and margin over the epochs", caption))
    for plot in mechanism_plots(problem):
        found.append((plot, *_MECHANISM[plot.name]))
    found.append((matrix_plot(problem), "Accuracy matrices", "Top-1 in per cent, classifier, test images."))
    drawn: list[Block] = [_drawing(problem, plot, title, text, prefix) for plot, title, text in found if plot]
    return [Heading("Further figures", 3, page_only=True), *drawn]


def _drawing(problem: Problem, plot: Plot, title: str, caption: str, prefix: bool) -> Drawing:
    named = replace(plot, name=f"{slug(problem.title)}-{plot.name}") if prefix else plot
    return Drawing(title, named, caption)
