"""The report in all its formats."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from cil.report import render_html
from cil.report.build import Report, Request, build
from cil.report.plots.canvas import THEME
from cil.report.render_html import page
from cil.report.render_text import markdown, terminal
from tests.report.helpers import report_of
from tests.report.synthetic import INFONCE, MATRIX, write_group, write_run


@pytest.fixture
def report(tmp_path: Path) -> Report:
    write_group(tmp_path / "base", {1: 60.0, 2: 70.0}, **INFONCE)
    write_group(tmp_path / "ant", {1: 61.0, 2: 71.5})
    return report_of(tmp_path)


class Balance(HTMLParser):
    """Remembers tags that were opened and not closed, or closed and not opened."""

    VOID = ("meta",)
    """And what SVG closes in the tag itself comes as handle_startendtag."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_is_balanced_and_needs_nothing_else(report: Report, tmp_path: Path) -> None:
    html = page(report.document, tmp_path)
    checker = Balance()
    checker.feed(html)
    assert checker.open == []
    assert "@import" not in html and " src=" not in html and "fetch(" not in html and "XMLHttp" not in html
    assert html.count("<script") == 1
    assert set(re.findall(r'https?://[^"]+', html)) == {"http://www.w3.org/2000/svg"}  # the name space, not a link
    assert all(target.startswith("#") for target in re.findall(r"url\(([^)]*)", html))


def test_links_lead_to_the_folders_of_runs(report: Report, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    html = page(report.document, tmp_path / "elsewhere")
    targets = re.findall(r'<a href="([^"]*)"', html)
    assert "../ant/s1/" in targets and "../" in targets
    assert all((tmp_path / "elsewhere" / target).is_dir() for target in targets)


def test_the_answer_comes_first_then_figures_then_tables(report: Report) -> None:
    html = page(report.document)
    places = [html.index(text) for text in ('class="conclusion"', "<svg", "<table", "Further figures")]
    assert places == sorted(places)
    assert "Difference to loss=infonce" in html[: places[2]] and "Gap, violations and accuracy" in html[: places[2]]


def test_the_head_tells_when_and_how(tmp_path: Path) -> None:
    write_run(tmp_path / "a")
    made = "2026-01-01 10:00 UTC: python -m cil.report 'a <b>'"
    report = build(Request([tmp_path], made=made))
    assert "<code>python -m cil.report &#x27;a &lt;b&gt;&#x27;</code>" in page(report.document)
    assert "2026" not in terminal(report.document)


def test_what_is_significant_is_marked_in_every_table(tmp_path: Path) -> None:
    write_group(tmp_path / "base", {1: 60.0, 2: 70.0, 3: 80.0}, **INFONCE)
    write_group(tmp_path / "clear", {1: 62.0, 2: 72.1, 3: 81.9}, ant_margin=0.1)
    write_group(tmp_path / "unclear", {1: 61.0, 2: 69.0, 3: 80.5}, ant_margin=0.3)
    html = page(report_of(tmp_path).document)
    marked = re.findall(r'<td class="[nl] sig">([^<]*)', html)
    assert marked[:2] == ["72.00 ± 9.95 *", "72.00 ± 9.95 *"], "average and last of the results"
    assert "+2.00 *" in marked and any(text.startswith("+2.00 * [") for text in marked)
    assert not [text for text in marked if text.startswith(("70.17", "+0.17"))]
    assert "*: p (Holm) below 0.05" in html


def test_tables_can_be_sorted_where_rows_stand_for_themselves(report: Report, tmp_path: Path) -> None:
    assert page(report.document).count('<table class="sortable">') == 2, "results and runs; one variant needs no order"


def test_figures_tell_their_values(report: Report) -> None:
    html = page(report.document)
    assert html.count('class="plot" data-hover="[{') == len(re.findall(r"<svg ", html))
    assert "seed 2: +1.50" in html and "after task 3: 66.25" in html


def test_dark_mode_has_every_colour_of_the_light_one() -> None:
    style = (Path(render_html.__file__).parent / "page" / "style.css").read_text()
    dark = style[style.index("prefers-color-scheme:dark") :].split("}}")[0]
    assert all(f"--{name}:" in dark for name in THEME)
    assert "screen and (prefers-color-scheme:dark)" in style, "paper is white"


def test_print_keeps_headings_with_what_they_head() -> None:
    style = (Path(render_html.__file__).parent / "page" / "style.css").read_text()
    printed = style[style.index("@media print") :]
    assert "h1,h2,h3,figure>b{break-after:avoid}" in printed and "break-inside:avoid" in printed
    assert ".drawings,.panels{display:block}" in printed, "a flex box is not broken where it should be"


def test_minus_signs_of_the_page_are_real(tmp_path: Path) -> None:
    write_group(tmp_path / "base", {1: 60.0, 2: 70.0}, **INFONCE)
    write_group(tmp_path / "ant", {1: 59.0, 2: 68.5})
    html = page(report_of(tmp_path).document)
    shown = re.sub(r"<svg.*?</svg>", "", html, flags=re.S)
    assert ">−1.25<" in shown and "average −1.25 (95 % CI" in shown and "average top-1 −1.25 points" in shown
    assert "mean −1.25, " in shown and "-1.25" not in shown


def test_names_cannot_break_the_page(tmp_path: Path) -> None:
    write_run(tmp_path / "a", name="<script>alert(1)</script>")
    html = page(report_of(tmp_path).document)
    assert html.count("<script") == 1 and "&lt;script&gt;" in html


def test_terminal_and_markdown_say_the_same_without_pictures(report: Report) -> None:
    for text in (terminal(report.document), markdown(report.document)):
        assert "+1.25 (95 % CI -1.93..4.43, 2/2 seeds improved) — not distinguishable" in text
        assert "svg" not in text and "Curves" not in text
    rows = [line for line in markdown(report.document).splitlines() if line.startswith("| loss=ant")]
    assert rows[0].startswith("| loss=ant | 2 | 1, 2 | 66.25 ± 7.42 | 66.25 ± 7.42 | 0.00 ± 0.00 |")


def test_the_worked_forgetting_matrix_on_the_page(tmp_path: Path) -> None:
    write_run(tmp_path / "a", MATRIX)
    text = terminal(report_of(tmp_path).document)
    header, _, row = next(part for part in text.split("\n\n") if part.startswith("Results")).splitlines()[1:4]
    assert row[: header.index("forgetting") + len("forgetting")].endswith("17.50")


def test_one_run_alone_has_no_comparison(tmp_path: Path) -> None:
    write_run(tmp_path / "a", [[77.0]])
    html = page(report_of(tmp_path).document)
    assert "<title>1 run on digits, 1 task of 2 classes</title>" in html
    assert "Baseline" not in html and "Accuracy matrices" in html and "Difference to" not in html
    assert "nothing to compare it with" in html
