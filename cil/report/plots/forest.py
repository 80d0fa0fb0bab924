"""The forest plot: for each variant the mean difference to the baseline, its interval, and every seed's difference."""

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from cil.report.compare import Comparison, VariantComparison, common_units, p_text, significant
from cil.report.figures import estimable, figure_value, interval_text
from cil.report.groups import Group, Problem
from cil.report.plots.canvas import INK, MUTED, PAPER, Hover, Panel, Plot, style_of
from cil.report.plots.series import drawn_groups

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_LETTERS = 44
_ROW, _FRAME = 0.28, 0.95
"""Inches of a row without its name's further lines, and of title, axis and labels."""


def forest_plot(problem: Problem, comparisons: Sequence[VariantComparison], keys: Sequence[str]) -> Plot | None:
    """A panel for each figure of `keys` that was compared. comparisons: in the order of the rows."""
    base = problem.baseline
    if base is None or not comparisons:
        return None
    styles = {id(group): i for i, group in enumerate(drawn_groups(problem))}
    rows = [(c, styles[id(c.variant)]) for c in comparisons]
    panels = [_panel(base, rows, key) for key in keys if any(c.by_figure[key].test for c in comparisons)]
    return Plot("forest", panels) if panels else None


def _panel(base: Group, rows: Sequence[tuple[VariantComparison, int]], key: str) -> Panel:
    figure = rows[0][0].by_figure[key].figure
    names = [textwrap.wrap(comparison.variant.label, _LETTERS) for comparison, _ in rows]
    lines = max(map(len, names))

    def draw(axes: "Axes", first: bool) -> list[Hover]:
        axes.set_title(figure.label)
        axes.axvline(0, color=INK, linewidth=0.9)
        hover = []
        for i, (comparison, style) in enumerate(rows):
            one = comparison.by_figure[key]
            hover.append(_row(axes, -i, comparison, one, style, base))
            if first:
                _name(axes, -i, "\n".join(names[i]))
        axes.set_ylim(-len(rows) + 0.55, 0.85 if lines == 1 else 1)
        axes.set_yticks([])
        axes.grid(visible=False, axis="y")
        axes.spines["left"].set_visible(False)
        _around_zero(axes)
        worse, better = ("better", "worse") if figure.better < 0 else ("worse", "better")
        axes.set_xlabel(f"← {worse} · points · {better} →" if figure.unit == "%" else "difference")
        return hover

    describe = "; ".join(f"{c.variant.label} {_summary(c.by_figure[key])}" for c, _ in rows)
    height = _FRAME + len(rows) * (_ROW + 0.17 * lines)
    return Panel(draw, height, f"Difference in {figure.label} to {base.label}: {describe}")


def _name(axes: "Axes", y: float, text: str) -> None:
    """Above the interval, so that it takes no width; the line at zero is kept out of its letters."""
    behind = {"facecolor": PAPER, "edgecolor": "none", "alpha": 0.8, "pad": 0.5}
    axes.text(0.01, y + 0.2, text, transform=axes.get_yaxis_transform(), va="bottom", linespacing=1.1, bbox=behind)


def _row(axes: "Axes", y: float, comparison: VariantComparison, one: Comparison, style: int, base: Group) -> Hover:
    """Interval and mean (filled and with a star where significant), and below them a dot for each seed."""
    name = comparison.variant.label
    points: list[list[Any]] = []
    if one.test is None:
        axes.text(0.5, y, "no common seed", transform=axes.get_yaxis_transform(), ha="center", va="center", color=MUTED)
        return {"name": name, "points": points}
    scale = one.figure.scale
    look = style_of(style)
    low, high = one.test.low, one.test.high
    if low is not None and high is not None and estimable(one.figure, low, high):
        axes.plot([low * scale, high * scale], [y, y], color=look["color"], linewidth=1.8)
    for seed, change in _by_seed(comparison, base, one.figure.key):
        axes.plot(change * scale, y - 0.17, "o", markersize=4, color=look["color"], alpha=0.65, markeredgewidth=0)
        points.append([change * scale, y - 0.17, f"seed {seed}: {one.figure.show(change, signed=True)}"])
    axes.plot(
        one.test.mean * scale,
        y,
        look["marker"],
        markersize=7,
        markeredgecolor=look["color"],
        markerfacecolor=look["color"] if significant(one) else PAPER,
        markeredgewidth=1.4,
    )
    points.append([one.test.mean * scale, y, _summary(one)])
    if significant(one) and one.test.high is not None:
        axes.annotate("*", (one.test.high * scale, y), xytext=(4, -1), textcoords="offset points", va="center")
    return {"name": name, "points": points}


def _by_seed(comparison: VariantComparison, base: Group, key: str) -> list[tuple[str, float]]:
    units = common_units(comparison.variant, base)
    several = len({order for _, order in units}) > 1
    found = []
    for unit in units:
        a, b = (figure_value(group.runs[unit], key) for group in (comparison.variant, base))
        if a is not None and b is not None:
            found.append((f"{unit[0]} (order {unit[1]})" if several else str(unit[0]), a - b))
    return found


def _summary(one: Comparison) -> str:
    test, figure = one.test, one.figure
    if test is None:
        return "no pair"
    text = f"mean {figure.show(test.mean, signed=True)}"
    if interval := interval_text(figure, test.low, test.high, " to "):
        text += f", 95 % CI {interval}, p {p_text(one.p_holm)}"
    return f"{text}, n = {test.n}"


def _around_zero(axes: "Axes") -> None:
    """Zero is always in sight, and a difference of nothing has a scale."""
    low, high = axes.get_xlim()
    low, high = min(low, 0), max(high, 0)
    room = 0.04 * (high - low)
    axes.set_xlim((low - room, high + room) if high - low > 1e-9 else (-1, 1))
