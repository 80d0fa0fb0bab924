"""The report in all its formats."""

import csv
import io
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from cil.report.build import Report
from cil.report.render_html import page
from cil.report.render_tables import groups_csv, latex, runs_csv
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


def test_the_page_is_balanced_and_needs_nothing_else(report: Report) -> None:
    html = page(report.document)
    checker = Balance()
    checker.feed(html)
    assert checker.open == []
    assert "<script" not in html and "@import" not in html and "url(" not in html
    assert set(re.findall(r'https?://[^"]+', html)) == {"http://www.w3.org/2000/svg"}  # the name space, not a link
    assert not re.search(r"(src|href)=", html)


def test_answers_and_tables_come_before_drawings(report: Report) -> None:
    html = page(report.document)
    assert html.index("+1.25") < html.index("<table") < html.index("<svg")


def test_names_cannot_break_the_page(tmp_path: Path) -> None:
    write_run(tmp_path / "a", name="<script>alert(1)</script>")
    assert "<script" not in page(report_of(tmp_path).document)


def test_terminal_and_markdown_say_the_same_without_pictures(report: Report) -> None:
    for text in (terminal(report.document), markdown(report.document)):
        assert "+1.25 (95 % CI -1.93..4.43, 2/2 seeds improved) — not distinguishable" in text
        assert "svg" not in text and "Curves" not in text
    rows = [line for line in markdown(report.document).splitlines() if line.startswith("| loss=ant")]
    assert rows[0].startswith("| loss=ant | 2 | 1, 2 | 66.25 ± 7.42 | 66.25 ± 7.42 | 0.00 ± 0.00 |")


def test_latex_escapes_what_is_special(report: Report) -> None:
    text = latex(report.document)
    assert r"\begin{tabular}" in text and r"66.25 $\pm$ 7.42" in text and r"95 \% CI" in text
    assert text.count(r"\begin{table}") == 2
    assert not re.search(r"(?<!\\)[%&#_](?=\w)", text.replace("% needs", ""))


def test_csv_is_unrounded_and_complete(report: Report) -> None:
    groups = list(csv.DictReader(io.StringIO(groups_csv(report.problems, report.comparisons))))
    ant = next(row for row in groups if row["group"] == "loss=ant")
    assert ant["loss.name"] == "ant" and ant["n"] == "2" and ant["baseline"] == "False"
    assert float(ant["incremental_avg_top1_sd"]) == pytest.approx(10.5 / 2**0.5)
    assert float(ant["incremental_avg_top1_delta"]) == pytest.approx(1.25)
    runs = list(csv.DictReader(io.StringIO(runs_csv(report.problems))))
    assert [(row["group"], row["seed"], float(row["last_top1"])) for row in runs][:2] == [
        ("loss=ant", "1", 61.0),
        ("loss=ant", "2", 71.5),
    ]


def test_the_worked_forgetting_matrix_on_the_page(tmp_path: Path) -> None:
    write_run(tmp_path / "a", MATRIX)
    text = terminal(report_of(tmp_path).document)
    header, _, row = next(part for part in text.split("\n\n") if part.startswith("Results")).splitlines()[1:4]
    assert row[: header.index("forgetting") + len("forgetting")].endswith("17.50")


def test_one_run_alone_has_no_comparison(tmp_path: Path) -> None:
    write_run(tmp_path / "a", [[77.0]])
    html = page(report_of(tmp_path).document)
    assert "Report of one run" in html and "Baseline" not in html and "Accuracy matrices" in html
