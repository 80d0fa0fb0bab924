"""Pictures that stand alone, and always the same ones."""

import io
import re
import subprocess
import sys
from xml.etree import ElementTree

import matplotlib
import pytest
from PIL import Image

from cil.report.plots.canvas import (
    DOUBLE,
    FORMATS,
    SINGLE,
    STYLES,
    THEME,
    Panel,
    Plot,
    page_panels,
    paper_file,
    style_of,
)
from cil.report.plots.lines import Look, Series, line_panel

POINTS = [(1.0, 50.0, 5.0), (2.0, 60.0, 4.0), (3.0, 40.0, 1.0)]
LONG = "method=tagfex loss=ant margin_schedule=linear ant_margin=0.1 " * 2


def panel(*labels: str) -> Panel:
    series = [Series(label, POINTS, style) for style, label in enumerate(labels)]
    return line_panel(series, Look("accuracy", "tasks & more", "top-1 (%)"))


PLOT = Plot("one", [panel("<a>", "b")])
TWO = Plot("two", [panel("a", "b"), panel("a", "c")])


def colours(svg: str) -> set[str]:
    """Every paint of the picture."""
    return set(re.findall(r"(?:fill|stroke|color): ?([^;\"]+)", svg))


class TestPaper:
    @pytest.mark.parametrize(("plot", "width"), [(PLOT, SINGLE), (TWO, DOUBLE)], ids=["single", "double"])
    def test_files_have_the_width_of_one_or_two_columns(self, plot: Plot, width: float) -> None:
        image = Image.open(io.BytesIO(paper_file(plot, "png")))
        assert image.width == round(300 * width) and image.getpixel((2, 2))[3] == 255  # type: ignore[index]
        root = ElementTree.fromstring(paper_file(plot, "svg"))
        assert root.attrib["width"] == f"{72 * width:g}pt"
        box = re.search(rb"/MediaBox \[ 0 0 ([\d.]+)", paper_file(plot, "pdf"))
        assert box and float(box[1]) == pytest.approx(72 * width)

    def test_an_svg_file_needs_no_style_and_no_font_from_elsewhere(self) -> None:
        svg = paper_file(PLOT, "svg").decode()
        assert "var(" not in svg and "currentColor" not in svg and " class=" not in svg
        assert not [node for node in ElementTree.fromstring(svg).iter() if node.tag.endswith("}text")]
        assert all(target.startswith("#") for target in re.findall(r'href="([^"]*)"', svg))

    def test_a_pdf_embeds_its_letters_as_publishers_want_them(self) -> None:
        pdf = paper_file(PLOT, "pdf")
        assert b"/Type3" not in pdf and b"/FontFile2" in pdf

    @pytest.mark.parametrize("kind", FORMATS)
    def test_the_same_bytes_again_whatever_the_user_has_set(self, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
        first = paper_file(PLOT, kind)
        monkeypatch.setitem(matplotlib.rcParams, "axes.facecolor", "red")
        monkeypatch.setitem(matplotlib.rcParams, "font.size", 30)
        assert paper_file(PLOT, kind) == first
        assert matplotlib.rcParams["font.size"] == 30, "the user's settings are theirs again"


class TestPage:
    def test_a_chart_cut_out_of_the_page_has_its_colours(self) -> None:
        """It was a black triangle: its styles stood in the page."""
        ((svg, _),) = page_panels(PLOT)
        root = ElementTree.fromstring(svg)
        assert " class=" not in svg
        assert not [colour for colour in re.findall(r"var\(([^)]*)\)", svg) if not re.search(r",#[0-9a-f]{6}$", colour)]
        assert colours(svg) & {f"var(--c{i},{THEME[f'c{i}']})" for i in (0, 1)}
        styled = [node.attrib["style"] for node in root.iter() if node.tag.endswith("}text")]
        assert styled and all("fill: var(--ink" in style for style in styled)

    def test_text_is_text(self) -> None:
        ((svg, _),) = page_panels(PLOT)
        shown = {node.text for node in ElementTree.fromstring(svg).iter() if node.tag.endswith("}text")}
        assert {"tasks & more", "top-1 (%)", "<a>", "b"} <= shown

    def test_every_colour_of_line_and_text_changes_with_the_theme(self) -> None:
        """A fixed dark one could not be read in dark mode."""
        plot = Plot("all", [panel(*map(str, range(STYLES)))])
        ((svg, _),) = page_panels(plot)
        assert not [c for c in colours(svg) if c.startswith("#")]

    def test_panels_share_no_id_and_every_reference_finds_its_own(self) -> None:
        parts = [ElementTree.fromstring(svg) for svg, _ in page_panels(TWO)]
        seen: set[str] = set()
        for root in parts:
            ids = {node.attrib["id"] for node in root.iter() if "id" in node.attrib}
            text = ElementTree.tostring(root, encoding="unicode")
            assert set(re.findall(r'(?:href="|url\()#([^")]+)', text)) <= ids
            assert not ids & seen
            seen |= ids

    def test_hover_points_lie_on_the_line(self) -> None:
        ((svg, hover),) = page_panels(PLOT)
        first = hover[0]
        assert (first["name"], first["points"][1][2]) == ("<a>", "epoch 2: 60.00 ± 4.00")
        width = float(re.search(r'viewBox="0 0 ([\d.]+)', svg)[1])  # type: ignore[index]
        (drawn,) = re.findall(r'<path d="([^"]*)"[^>]*style="fill: none; stroke: var\(--c0,[^"]*"', svg)[:1]
        xs = [float(x) / width for x in re.findall(r"[ML] ([\d.]+)", drawn)]
        assert [point[0] for point in first["points"]] == pytest.approx(xs, abs=2e-4)

    def test_names_are_shown_as_they_are(self, recwarn: pytest.WarningsRecorder) -> None:
        names = ("lr=0.12345 of $x$ and #0072b2", "名 <b> & c")
        ((svg, _),) = page_panels(Plot("names", [panel(*names)]))
        shown = {node.text for node in ElementTree.fromstring(svg).iter() if node.tag.endswith("}text")}
        assert set(names) <= shown
        assert not recwarn.list, "a letter that the font lacks is no reason to print something"

    def test_a_long_name_stays_inside_the_picture(self) -> None:
        ((svg, _),) = page_panels(Plot("long", [panel(LONG, "b")]))
        lines = [node.text or "" for node in ElementTree.fromstring(svg).iter() if node.tag.endswith("}text")]
        assert LONG.strip() not in lines
        assert sum(line.count("margin_schedule=linear") for line in lines) == 2


def test_looks_differ_without_colour() -> None:
    looks = [(str(style_of(i)["linestyle"]), style_of(i)["marker"]) for i in range(STYLES)]
    assert len(set(looks)) == STYLES


def test_nothing_of_pyplot_is_left_behind() -> None:
    code = (
        "import sys; from cil.report.plots.canvas import *; from tests.report.plots.test_canvas import PLOT;"
        "paper_file(PLOT, 'png'); print('matplotlib.pyplot' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
