"""Figures with one point a group: gap against margin, and accuracy against memory."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cil.report.figures import own_average, own_head
from cil.report.groups import Problem
from cil.report.plots.canvas import MUTED, Hover, Panel, Plot, style_of
from cil.report.plots.series import drawn_groups
from cil.report.significance import summarise

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_WIDE = 5.6


@dataclass(frozen=True)
class Spot:
    """A group's place: x, mean and deviation of y, and its look."""

    label: str
    x: float
    y: float
    deviation: float | None
    style: int


def gap_against_margin(problem: Problem) -> Plot | None:
    """Gap over margin at the end of the run; None where all margins are equal."""
    spots = []
    for style, group in enumerate(drawn_groups(problem)):
        margin, gap = group.summary("margin").mean, group.summary("gap")
        if margin is not None and gap.mean is not None and not (group.twin and group is not problem.baseline):
            spots.append(Spot(group.label, margin, gap.mean, gap.deviation, style))
    if len({round(spot.x, 6) for spot in spots}) < 2:
        return None
    panel = _panel(spots, "margin in the last epoch", "gap in the last epoch", 3, False)
    return Plot("gap_against_margin", [panel])


def accuracy_against_memory(problem: Problem) -> Plot | None:
    """One named point a group, by the head that its method predicts with; None where all groups keep the same."""
    spots = []
    for style, group in enumerate(drawn_groups(problem)):
        total = group.summary("total_mb").mean
        average = summarise([own_average(run) for run in group.runs.values()])
        if total is not None and average.mean is not None and not (group.twin and group is not problem.baseline):
            heads = {own_head(run) for run in group.runs.values()}
            name = group.label + "".join(f" ({head.upper()})" for head in sorted(heads) if head)
            spots.append(Spot(name, total, average.mean, average.deviation, style))
    if len({round(spot.x, 3) for spot in spots}) < 2:
        return None
    panel = _panel(spots, "model and exemplars after the last task (MB)", "average top-1 (%)", 2, True)
    return Plot("accuracy_against_memory", [panel], width=_WIDE)


def _panel(spots: Sequence[Spot], x_label: str, y_label: str, digits: int, named: bool) -> Panel:
    def draw(axes: "Axes", _: bool) -> list[Hover]:
        axes.set_xlabel(x_label)
        axes.set_ylabel(y_label)
        axes.margins(0.08, 0.1)
        for spot in spots:
            look = style_of(spot.style) | {"linestyle": "none"}
            axes.errorbar([spot.x], [spot.y], [spot.deviation or 0.0], markersize=6, capsize=2, elinewidth=1, **look)
        if named:
            _names(axes, spots)
        return [_hover(spot, digits) for spot in spots]

    height = 2.6 if not named else max(3.0, 0.19 * len(spots))
    legend = [] if named else [(spot.label, spot.style, False) for spot in spots]
    return Panel(draw, height, f"{y_label} over {x_label}: one point for each of {len(spots)} groups", legend)


def _hover(spot: Spot, digits: int) -> Hover:
    spread = "" if spot.deviation is None else f" ± {spot.deviation:.{digits}f}"
    return {"name": spot.label, "points": [[spot.x, spot.y, f"{spot.x:.2f}: {spot.y:.{digits}f}{spread}"]]}


def _names(axes: "Axes", spots: Sequence[Spot]) -> None:
    """The label of each point beside it, moved up or down, with a thin line, where another one stands."""
    figure = axes.get_figure(root=True)
    assert figure is not None
    figure.draw_without_rendering()  # places of points are known once there is a layout
    size = figure.dpi / 72 * 8
    letter, step = 0.62 * size, 1.35 * size
    right = axes.get_window_extent().x1
    placed = [axes.transData.transform((spot.x, spot.y)) for spot in spots]
    boxes = [(x - size / 2, x + size / 2, y) for x, y in placed]
    for spot, (x, y) in sorted(zip(spots, placed, strict=True), key=lambda pair: -pair[0].y):
        width = letter * len(spot.label)
        leftwards = x + size + width > right
        start = x - size - width if leftwards else x + size
        shifts = [sign * k * step for k in range(len(spots) + 1) for sign in (1, -1)]
        shift = next((s for s in shifts if not _taken(boxes, (start, start + width), y + s, step)), 0.0)
        boxes.append((start, start + width, y + shift))
        away = (-size if leftwards else size) * 72 / figure.dpi
        axes.annotate(
            spot.label,
            (spot.x, spot.y),
            xytext=(away, shift * 72 / figure.dpi),
            textcoords="offset points",
            ha="right" if leftwards else "left",
            va="center",
            fontsize="small",
            arrowprops={"arrowstyle": "-", "color": MUTED, "linewidth": 0.5} if shift else None,
        )


def _taken(boxes: Sequence[tuple[float, float, float]], across: tuple[float, float], y: float, step: float) -> bool:
    return any(a < across[1] and across[0] < b and abs(y - h) < step - 1e-6 for a, b, h in boxes)
