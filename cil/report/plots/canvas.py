"""From panels to a picture. The same runs give the same bytes, whatever the user's matplotlib settings are."""

import io
import math
import re
import textwrap
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, MUTED, GRID, PAPER = "#1b1b1b", "#5f6368", "#dcdee2", "#fefefe"
COLOURS = ("#3d3d3d", "#0072b2", "#d55e00", "#00875f", "#a8428c", "#7d6200")
DASHES: tuple[Any, ...] = (
    "solid",
    (0, (6, 2)),
    (0, (2, 1.6)),
    (0, (7, 2, 2, 2)),
    (0, (3.5, 1.6)),
    (0, (8, 2, 1, 2, 1, 2)),
)
MARKERS = ("o", "s", "^", "D", "X", "P", "v", "p", "<", "h", ">", "*")
STYLES = len(MARKERS)
"""Lines that can be told apart in one chart, also in greyscale."""

THEME = {"ink": INK, "muted": MUTED, "grid": GRID, "paper": PAPER} | {f"c{i}": c for i, c in enumerate(COLOURS)}
"""CSS variable -> the fixed colour that a figure is drawn in, and that it has outside the page."""

PAGE_WIDTH, SINGLE, DOUBLE = 3.95, 3.5, 7.2
"""Inches: a panel of the page (379 pixels), one column and two columns of a paper."""
FORMATS = ("pdf", "svg", "png")
_POINTS_PAGE, _POINTS_PAPER = 9.0, 8.0
_PER_ROW = 3
_DPI = 300
_LETTER, _SAMPLE, _SAMPLE_LETTERS = 0.54, 0.6, 9
"""Of a legend: width of a letter in font sizes, of the sample with its margins in inches and in letters."""

Entry = tuple[str, int, bool]
"""Of a legend: label, style, whether it is a line."""
Hover = dict[str, Any]
"""A series for the page's tooltips: `name`, and `points` [x, y, text] in data coordinates."""


@dataclass(frozen=True)
class Panel:
    """One pair of axes. `draw` draws on them; its second argument says whether the panel is the first of its row."""

    draw: Callable[["Axes", bool], list[Hover]]
    height: float = 2.4
    """Inches, with the labels and without the legend."""
    describe: str = ""
    """What is seen, for those who cannot see it."""
    legend: Sequence[Entry] = ()


@dataclass(frozen=True)
class Plot:
    """Panels that belong together. name: of its files, without suffix."""

    name: str
    panels: Sequence[Panel]
    width: float = PAGE_WIDTH
    """Inches of a panel on the page."""


def style_of(i: int) -> dict[str, Any]:
    """Colour, dash and marker of style `i`: the second dozen of lines starts over."""
    shifted = i + i // len(COLOURS)
    return {
        "color": COLOURS[i % len(COLOURS)],
        "linestyle": DASHES[shifted % len(DASHES)],
        "marker": MARKERS[i % STYLES],
    }


def page_panels(plot: Plot) -> Iterator[tuple[str, list[Hover]]]:
    """(svg, hover) of each panel, each with its legend: a narrow screen shows them one below the other.

    Text stays text, in the reader's font: it can be searched, is read aloud and costs few bytes. Colours are CSS
    variables that fall back to the fixed ones, so the SVG also stands alone. Hover points are shares of the picture.
    """
    for number, panel in enumerate(plot.panels):
        with _settings(_POINTS_PAGE, "none"):
            figure, hover = _compose([panel], plot.width)
            svg = _saved(figure, "svg").decode()
            placed = [_placed(one, figure) for one in hover[0]]
        yield _inline(svg, f"{plot.name}-{number}", panel.describe), placed


def paper_file(plot: Plot, kind: str) -> bytes:
    """The whole plot as a file of `kind` (pdf, svg or png), one or two columns wide.

    Letters are outlines in the SVG and embedded TrueType in the PDF (not Type 3, which publishers refuse): the fonts
    of the reader's machine play no part.
    """
    width = SINGLE if len(plot.panels) == 1 else DOUBLE
    with _settings(_POINTS_PAPER, "path"):
        figure, _ = _compose(plot.panels, width)
        if kind != "pdf":  # on a page of paper there is nothing behind it, on a screen there may be a dark window
            figure.patch.set(alpha=1, facecolor=PAPER)
        return _saved(figure, kind)


@contextmanager
def _settings(points: float, font_type: str) -> Iterator[None]:
    """matplotlib's own defaults and these: a matplotlibrc of the user changes no figure."""
    import matplotlib

    backend = {key for key in matplotlib.rcParamsDefault if key.startswith(("backend", "interactive"))}
    defaults = {key: value for key, value in matplotlib.rcParamsDefault.items() if key not in backend}
    ours: dict[Any, Any] = {
        "font.size": points,
        "text.parse_math": False,  # a name with two dollar signs is no formula
        "font.sans-serif": ["DejaVu Sans"],  # it comes with matplotlib; the list stands in every text of the SVG
        "axes.titlesize": points,
        "axes.labelsize": points,
        "xtick.labelsize": points - 1,
        "ytick.labelsize": points - 1,
        "legend.fontsize": points - 0.5,
        "svg.fonttype": font_type,
        "svg.hashsalt": "cil",  # ids of the file, otherwise random
        "pdf.fonttype": 42,
        "text.color": INK,
        "axes.labelcolor": INK,
        "axes.edgecolor": MUTED,
        "axes.titlelocation": "left",
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "axes.axisbelow": True,
        "axes.linewidth": 0.7,
        "xtick.color": MUTED,
        "ytick.color": MUTED,
        "xtick.labelcolor": INK,
        "ytick.labelcolor": INK,
        "grid.color": GRID,
        "grid.linewidth": 0.6,
        "lines.linewidth": 1.3,
        "lines.markersize": 4,
    }
    with matplotlib.rc_context({**defaults, **ours}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # the reader's font may have it
        warnings.filterwarnings("ignore", "constrained_layout not applied")  # labels longer than the picture is high
        yield


def _compose(panels: Sequence[Panel], width: float) -> tuple["Figure", list[list[Hover]]]:
    """The figure with one legend for all panels, and what each of them has to tell the mouse."""
    from matplotlib import rcParams
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    legend = sorted({entry for panel in panels for entry in panel.legend}, key=lambda entry: entry[1])
    columns = min(len(panels), _PER_ROW)
    rows = math.ceil(len(panels) / columns)
    letters = int((width - _SAMPLE) * 72 / (rcParams["legend.fontsize"] * _LETTER))
    names = ["\n".join(textwrap.wrap(label, letters)) for label, *_ in legend]
    legend_columns = _legend_columns(names, letters)
    lines = sum(sorted((name.count("\n") + 1.2 for name in names), reverse=True)[::legend_columns])
    legend_height = lines * rcParams["legend.fontsize"] * 1.25 / 72
    height = rows * max(panel.height for panel in panels) + legend_height
    figure = Figure(figsize=(width, height), layout=ConstrainedLayoutEngine(w_pad=0.04, h_pad=0.04))
    figure.patch.set_alpha(0)
    grid = figure.subplots(rows, columns, squeeze=False).flatten()
    hover = []
    for i, (axes, panel) in enumerate(zip(grid, panels, strict=False)):
        axes.patch.set_alpha(0)
        hover.append([one | {"axes": axes} for one in panel.draw(axes, i % columns == 0)])
    for axes in grid[len(panels) :]:
        axes.set_axis_off()
    if legend:
        handles = [_handle(name, style, line) for name, (_, style, line) in zip(names, legend, strict=True)]
        figure.legend(handles=handles, loc="outside lower left", ncols=legend_columns, frameon=False, handlelength=3)
    return figure, hover


def _legend_columns(names: Sequence[str], letters: int) -> int:
    """letters: as many as fit beside one sample."""
    widest = max((len(line) for name in names for line in name.split("\n")), default=1)
    return max(1, min(len(names), (letters + _SAMPLE_LETTERS) // (widest + _SAMPLE_LETTERS)))


def _handle(label: str, style: int, line: bool) -> Any:
    from matplotlib.lines import Line2D

    look = style_of(style)
    return Line2D([], [], label=label, **(look if line else look | {"linestyle": "none"}))


def _saved(figure: "Figure", kind: str) -> bytes:
    """Without dates, names of programs and the like."""
    fields = {"svg": ("Date", "Creator", "Format", "Type"), "pdf": ("CreationDate", "Creator", "Producer")}
    fields["png"] = ("Software",)
    buffer = io.BytesIO()
    figure.savefig(buffer, format=kind, dpi=_DPI if kind == "png" else 72, metadata=dict.fromkeys(fields[kind]))
    return buffer.getvalue()


def _placed(one: Hover, figure: "Figure") -> dict[str, Any]:
    """Points as shares of the picture's width and height, from its upper left corner."""
    points = []
    for x, y, text in one["points"]:
        pixel = one["axes"].transData.transform((x, y))
        across, up = figure.transFigure.inverted().transform(pixel)
        points.append([round(float(across), 4), round(1 - float(up), 4), text])
    return {"name": one["name"], "points": points}


_SHORTER = (
    (r"(\d\.\d\d)\d+", r"\1"),  # a hundredth of a point is fine enough
    (r'<g id="[^"]*">', "<g>"),  # nothing refers to groups
    (r' transform="rotate\(-0 [^"]*"', ""),
    (r' xmlns:xlink="[^"]*"', ""),
    ("xlink:href", "href"),
)
"""What a page does not need, half of an SVG's bytes."""


def _inline(svg: str, prefix: str, describe: str) -> str:
    """An SVG for the middle of a page: no XML head, ids of its own, colours that the page can change."""

    def changed(found: re.Match[str]) -> str:
        tag = found[0]
        for pattern, shorter in _SHORTER:
            tag = re.sub(pattern, shorter, tag)
        tag = re.sub(r'(\bid="|href="#|url\(#)', rf"\1{prefix}-", tag)
        for name, colour in THEME.items():
            tag = tag.replace(colour, f"var(--{name},{colour})")
        return tag

    svg = re.sub(r"<[^>]*>", changed, svg[svg.index("<svg") :])  # in tags alone: texts are what runs are called
    svg = svg.replace("<svg", f'<svg role="img" aria-label="{escape(describe)}"', 1)
    return re.sub(r">\s+<", "><", svg).rstrip()
