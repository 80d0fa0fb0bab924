"""Line charts as SVG text: axes with units, bands, and lines told apart by dash and marker as well as colour."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

COLOURS = ("#000000", "#0072b2", "#d55e00", "#009e73", "#9a4f80", "#7a5c00")
DASHES = ("", "7 3", "2 2.5", "9 3 2 3", "4 2", "12 3 2 3 2 3")
MARKERS = ("circle", "square", "triangle", "diamond", "cross", "plus")
STYLES = len(COLOURS)
"""Lines that can be told apart in one chart, also in greyscale."""

_MARKS_PER_LINE = 10


@dataclass(frozen=True)
class Series:
    """A line. Points are (x, y, deviation or None); `style` is its place among COLOURS, DASHES and MARKERS."""

    label: str
    points: Sequence[tuple[float, float, float | None]]
    style: int = 0
    line: bool = True
    named: bool = False
    """The label stands beside the point, for charts with more points than styles."""


@dataclass(frozen=True)
class Axes:
    """Labels with units, and the size in pixels."""

    x_label: str
    y_label: str
    width: int = 575
    height: int = 310
    whole_x: bool = False
    """Tick labels of x are whole numbers only."""
    marks: Sequence[float] = ()
    """x of thin vertical lines (ends of tasks)."""


@dataclass(frozen=True)
class _Frame:
    left: float
    right: float
    top: float
    bottom: float
    x: tuple[float, float]
    y: tuple[float, float]

    def place(self, x: float, y: float) -> tuple[float, float]:
        across = (x - self.x[0]) / (self.x[1] - self.x[0])
        up = (y - self.y[0]) / (self.y[1] - self.y[0])
        return self.left + across * (self.right - self.left), self.bottom - up * (self.bottom - self.top)


def ticks(low: float, high: float, wanted: int = 6, whole: bool = False) -> list[float]:
    """Round numbers from `low` to `high`, about `wanted` of them."""
    span = high - low
    if span <= 0:
        return [low]
    raw = span / wanted
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * m for m in (1, 2, 2.5, 5, 10) if power * m >= raw * 0.999)
    if whole:
        step = max(1.0, step if step == int(step) else math.ceil(step))
    first = math.ceil(low / step - 1e-9)
    return [i * step for i in range(first, math.floor(high / step + 1e-9) + 1)]


def line_chart(series: Sequence[Series], axes: Axes) -> str:
    """The SVG of a chart; without a point it says so."""
    points = [point for one in series for point in one.points]
    head = (
        f'<svg viewBox="0 0 {axes.width} {axes.height}" width="{axes.width}" height="{axes.height}" role="img" '
        f'aria-label="{escape(axes.y_label)} over {escape(axes.x_label)}" xmlns="http://www.w3.org/2000/svg">'
    )
    if not points:
        return f'{head}<text x="20" y="40">not measured</text></svg>'
    frame = _frame(points, axes)
    parts = [head, *_grid(frame, axes)]
    for one in series:
        parts += _band(frame, one)
    for one in series:
        parts += _line(frame, one, len(series))
    parts += _names(frame, [one for one in series if one.named])
    return "".join([*parts, "</svg>"])


def _frame(points: Sequence[tuple[float, float, float | None]], axes: Axes) -> _Frame:
    xs = [x for x, _, _ in points]
    ys = [value for _, y, d in points for value in (y - (d or 0), y + (d or 0))]
    pad_x, pad_y = 0.03 * (max(xs) - min(xs)) or 0.5, 0.06 * (max(ys) - min(ys)) or 0.5 * abs(max(ys)) or 0.5
    low, high = min(ys) - pad_y, max(ys) + pad_y
    if min(ys) >= 0 > low:
        low = 0.0
    widest = max(len(number(tick)) for tick in ticks(low, high))
    x_range = (min(xs) - pad_x, max(xs) + pad_x)
    return _Frame(34 + 7 * widest, axes.width - 14, 12, axes.height - 46, x_range, (low, high))


def number(value: float) -> str:
    """A tick label: no trailing zeros."""
    return f"{value:.10g}" if abs(value) >= 1e-9 else "0"


def _grid(frame: _Frame, axes: Axes) -> Iterable[str]:
    for tick in ticks(*frame.y, wanted=5):
        _, y = frame.place(frame.x[0], tick)
        yield f'<path class="g" d="M{frame.left:.1f} {y:.1f}H{frame.right:.1f}"/>'
        yield f'<text x="{frame.left - 6:.1f}" y="{y + 4:.1f}" text-anchor="end">{number(tick)}</text>'
    for mark in axes.marks:
        x, _ = frame.place(mark, frame.y[0])
        if frame.left <= x <= frame.right:
            yield f'<path class="m" d="M{x:.1f} {frame.top}V{frame.bottom}"/>'
    for tick in ticks(*frame.x, wanted=8 if axes.width > 400 else 5, whole=axes.whole_x):
        x, _ = frame.place(tick, frame.y[0])
        yield f'<path class="a" d="M{x:.1f} {frame.bottom}v4"/>'
        yield f'<text x="{x:.1f}" y="{frame.bottom + 17}" text-anchor="middle">{number(tick)}</text>'
    yield f'<path class="a" d="M{frame.left:.1f} {frame.top}V{frame.bottom}H{frame.right:.1f}"/>'
    middle = (frame.left + frame.right) / 2
    yield f'<text x="{middle:.1f}" y="{frame.bottom + 37}" text-anchor="middle">{escape(axes.x_label)}</text>'
    height = (frame.top + frame.bottom) / 2
    turned = f'x="14" y="{height:.1f}" transform="rotate(-90 14 {height:.1f})"'
    yield f'<text {turned} text-anchor="middle">{escape(axes.y_label)}</text>'


def _path(points: Iterable[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)


def _band(frame: _Frame, one: Series) -> list[str]:
    spread = [(x, y, d) for x, y, d in one.points if d]
    colour = COLOURS[one.style % STYLES]
    if not one.line or len(spread) < 2:
        bars = [(frame.place(x, y - d), frame.place(x, y + d)) for x, y, d in spread]
        return [f'<path d="M{a:.1f} {b:.1f}V{c:.1f}" stroke="{colour}" fill="none"/>' for (a, b), (_, c) in bars]
    spread = [(x, y, d or 0.0) for x, y, d in one.points]
    upper = [frame.place(x, y + d) for x, y, d in spread]
    lower = [frame.place(x, y - d) for x, y, d in reversed(spread)]
    return [f'<path d="{_path([*upper, *lower])}Z" fill="{colour}" fill-opacity=".11"/>']


def _line(frame: _Frame, one: Series, lines: int) -> list[str]:
    style = one.style % STYLES
    colour, dash = COLOURS[style], DASHES[style]
    placed = [frame.place(x, y) for x, y, _ in one.points]
    parts = []
    if one.line and len(placed) > 1:
        dashed = f' stroke-dasharray="{dash}"' if dash else ""
        parts.append(f'<path d="{_path(placed)}" fill="none" stroke="{colour}" stroke-width="1.6"{dashed}/>')
    every = max(1, round(len(placed) / _MARKS_PER_LINE))
    offset = style * every // max(1, lines) if every > 1 else 0
    return parts + [marker(x, y, style) for x, y in placed[offset::every]]


_NAME_HEIGHT, _LETTER = 14, 6.4
"""Pixels between two names one above the other, and of a letter, a little more than the page's font needs."""


def _names(frame: _Frame, named: Sequence[Series]) -> Iterable[str]:
    """The label of each series beside its first point, moved up or down, with a line, where another one stands."""
    markers = [frame.place(*one.points[0][:2]) for one in named]
    boxes = [(x - 6, x + 6, y) for x, y in markers]
    for one in sorted(named, key=lambda one: -one.points[0][1]):
        x, y = frame.place(*one.points[0][:2])
        width = _LETTER * len(one.label)
        left = x - 9 - width if x + 9 + width > frame.right else x + 9
        free = (y + shift for step in range(len(named)) for shift in (step * _NAME_HEIGHT, -step * _NAME_HEIGHT))
        inside = (height for height in free if frame.top + 6 <= height <= frame.bottom - 4)
        height = next((h for h in inside if not _taken(boxes, left, left + width, h)), y)
        boxes.append((left, left + width, height))
        end = left if left > x else left + width
        if height != y:
            yield f'<path class="g" d="M{x:.1f} {y:.1f}L{end:.1f} {height:.1f}"/>'
        anchor = "start" if left > x else "end"
        yield f'<text x="{end:.1f}" y="{height + 4:.1f}" text-anchor="{anchor}">{escape(one.label)}</text>'


def _taken(boxes: Iterable[tuple[float, float, float]], left: float, right: float, height: float) -> bool:
    return any(a < right and left < b and abs(height - h) < _NAME_HEIGHT for a, b, h in boxes)


def marker(x: float, y: float, style: int) -> str:
    """A small shape in the colour of the style."""
    colour, kind, r = COLOURS[style % STYLES], MARKERS[style % STYLES], 3.6
    fill = f'fill="{colour}" stroke="#fff" stroke-width=".7"'
    stroke = f'stroke="{colour}" stroke-width="1.8" fill="none"'
    if kind == "circle":
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{r}" {fill}/>'
    if kind == "square":
        return f'<rect x="{x - r:.1f}" y="{y - r:.1f}" width="{2 * r}" height="{2 * r}" {fill}/>'
    if kind == "triangle":
        return f'<path d="M{x:.1f} {y - r - 1:.1f}l{r + 1} {2 * r + 1}h-{2 * r + 2}Z" {fill}/>'
    if kind == "diamond":
        return (
            f'<path d="M{x:.1f} {y - r - 1.5:.1f}l{r + 1} {r + 1.5}l-{r + 1} {r + 1.5}l-{r + 1} -{r + 1.5}Z" {fill}/>'
        )
    if kind == "cross":
        return f'<path d="M{x - r:.1f} {y - r:.1f}l{2 * r} {2 * r}m0 -{2 * r}l-{2 * r} {2 * r}" {stroke}/>'
    return f'<path d="M{x - r - 1:.1f} {y:.1f}h{2 * r + 2}m-{r + 1} -{r + 1}v{2 * r + 2}" {stroke}/>'


def legend(entries: Sequence[tuple[str, int, bool]]) -> str:
    """HTML of a legend that wraps: (label, style, with a line)."""
    parts = []
    for label, style, line in entries:
        dash = DASHES[style % STYLES]
        stroke = f'<path d="M1 7H43" stroke="{COLOURS[style % STYLES]}" stroke-width="1.6" stroke-dasharray="{dash}"/>'
        sample = f"{stroke if line else ''}{marker(22, 7, style)}"
        parts.append(f'<span><svg width="44" height="14" aria-hidden="true">{sample}</svg> {escape(label)}</span>')
    return "".join(parts)
