"""A panel of lines: means with bands, told apart by dash and marker as well as colour."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cil.report.plots.canvas import MUTED, Hover, Panel, style_of
from cil.report.plots.series import Point

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MARKS_PER_LINE = 10


@dataclass(frozen=True)
class Series:
    """The points of one group. style: its place among the looks of canvas.py."""

    label: str
    points: Sequence[Point]
    style: int = 0


@dataclass(frozen=True)
class Look:
    """What a panel of lines says of itself. limits of y are given where several charts share them."""

    title: str
    x_label: str
    y_label: str
    x_name: str = "epoch"
    digits: int = 2
    whole_x: bool = False
    """Ticks of x are whole numbers only."""
    ends: Sequence[float] = ()
    """x of thin vertical lines (ends of tasks)."""
    limits: tuple[float, float] | None = None
    height: float = 2.4


def limits_of(series: Sequence[Series]) -> tuple[float, float] | None:
    """Lowest and highest y with some room; from 0 where nothing is negative. None without points."""
    ys = [value for one in series for _, y, d in one.points for value in (y - (d or 0), y + (d or 0))]
    if not ys:
        return None
    room = 0.06 * (max(ys) - min(ys)) or 0.5 * abs(max(ys)) or 0.5
    low = min(ys) - room
    return (0.0 if min(ys) >= 0 > low else low), max(ys) + room


def line_panel(series: Sequence[Series], look: Look) -> Panel:
    """The panel; without a point it says so."""

    def draw(axes: "Axes", _: bool) -> list[Hover]:
        axes.set_title(look.title)
        axes.set_xlabel(look.x_label)
        axes.set_ylabel(look.y_label)
        drawn = [one for one in series if one.points]
        if not drawn:
            axes.text(0.5, 0.5, "not measured", ha="center", transform=axes.transAxes)
        for end in look.ends:
            axes.axvline(end, color=MUTED, linewidth=0.6, linestyle=(0, (1, 3)))
        for one in drawn:
            _band(axes, one)
        for one in drawn:
            _line(axes, one, len(drawn))
        if look.limits or limits_of(drawn):
            axes.set_ylim(look.limits or limits_of(drawn))
        axes.locator_params(axis="x", integer=look.whole_x, nbins=6)
        return [_hover(one, look) for one in drawn]

    legend = [(one.label, one.style, True) for one in series if one.points]
    return Panel(draw, look.height, f"{look.title}: {look.y_label} over {look.x_label}, {len(legend)} lines", legend)


def _band(axes: "Axes", one: Series) -> None:
    if not any(d for *_, d in one.points):
        return
    xs = [x for x, *_ in one.points]
    low, high = ([y + sign * (d or 0.0) for _, y, d in one.points] for sign in (-1, 1))
    axes.fill_between(xs, low, high, color=style_of(one.style)["color"], alpha=0.12, linewidth=0)


def _line(axes: "Axes", one: Series, lines: int) -> None:
    """Few markers a line, and not at the same x in all of them."""
    every = max(1, round(len(one.points) / _MARKS_PER_LINE))
    offset = one.style * every // max(1, lines) % every
    look: dict[str, Any] = style_of(one.style)
    axes.plot([x for x, *_ in one.points], [y for _, y, _ in one.points], markevery=(offset, every), **look)


def _hover(one: Series, look: Look) -> Hover:
    def text(y: float, d: float | None) -> str:
        return f"{y:.{look.digits}f}" + ("" if d is None else f" ± {d:.{look.digits}f}")

    points = [[x, y, f"{look.x_name} {x:g}: {text(y, d)}"] for x, y, d in one.points]
    return {"name": one.label, "points": points}
