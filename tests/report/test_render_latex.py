"""Tables for papers."""

import re
from pathlib import Path

import pytest

from cil.report.errors import ReportError
from cil.report.render_latex import best_within_noise, check_columns, escaped, latex
from tests.report.helpers import report_of
from tests.report.synthetic import INFONCE, write_group

BASE = {1: 60.0, 2: 70.0, 3: 80.0}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_group(tmp_path / "base", BASE, **INFONCE)
    write_group(tmp_path / "close", {1: 61.0, 2: 69.0, 3: 80.5}, ant_margin=0.1)
    write_group(tmp_path / "far", {1: 55.0, 2: 63.0, 3: 74.6}, ant_margin=0.3)
    return tmp_path


def tables(folder: Path, *columns: str) -> str:
    report = report_of(folder)
    return latex(report.problems, report.comparisons, columns)


def test_results_and_differences(folder: Path) -> None:
    text = tables(folder)
    assert text.count(r"\begin{table}") == text.count(r"\end{table}") == 2
    labels = re.findall(r"\\label\{(.*)\}", text)
    assert labels == ["tab:digits-3-tasks-of-2-classes-results", "tab:digits-3-tasks-of-2-classes-differences"]
    for rows in re.findall(r"\\begin\{tabular\}\{(.*?)\}(.*?)\\end\{tabular\}", text, re.S):
        widths = {line.count(" & ") + 1 for line in rows[1].splitlines() if line.endswith(r"\\")}
        assert widths == {len(rows[0])}


def test_minus_signs_are_real(folder: Path) -> None:
    text = tables(folder)
    assert r"$\mathbf{-5.80}$ & $[-8.43, -3.17]$" in text
    assert not re.search(r"& -", text)
    assert escaped("margin -0.5 of a-b_2 -> <1 %") == r"margin $-0.5$ of a-b\_2 -$>$ $<$1 \%"


def test_the_best_is_bold_and_what_cannot_be_told_from_it(folder: Path) -> None:
    (problem,) = report_of(folder).problems
    best = best_within_noise(problem, "incremental_avg_top1")
    assert [group.label for group in best] == ["loss=ant ant_margin=0.1", "loss=infonce"]
    text = tables(folder, "average")
    assert r"loss=infonce & 3 & $\mathbf{70.00 \pm 10.00}$ \\" in text
    assert r"loss=ant ant\_margin=0.3 & 3 & $64.20 \pm 9.85$ \\" in text


def test_one_seed_bolds_the_best_alone_and_times_nothing(tmp_path: Path) -> None:
    write_group(tmp_path / "base", {1: 60.0}, **INFONCE)
    write_group(tmp_path / "ant", {1: 60.5})
    (problem,) = report_of(tmp_path).problems
    assert [group.label for group in best_within_noise(problem, "last_top1")] == ["loss=ant"]
    assert best_within_noise(problem, "hours") == best_within_noise(problem, "gap") == []


def test_columns_are_chosen_by_their_heading_or_key(folder: Path) -> None:
    header = next(line for line in tables(folder, "nme-last", "last_top1", "hours").splitlines() if "runs" in line[:8])
    assert header == r" & runs & NME last (\%) & last (\%) & hours \\"


def test_an_unknown_column_is_refused_with_the_valid_ones(folder: Path) -> None:
    problems = report_of(folder).problems
    check_columns(problems, ["average", "violations"])
    with pytest.raises(ReportError, match="--columns: 'speed' is unknown; valid: average, last, forgetting"):
        check_columns(problems, ["speed"])


def test_names_with_special_characters_are_safe(tmp_path: Path) -> None:
    write_group(tmp_path / "a", {1: 60.0}, dataset__name="mini_100%", name="a&b")
    text = tables(tmp_path)
    assert r"mini\_100\%" in text and r"a\&b" in text
    assert not re.search(r"(?<!\\)[%&#_](?=\w)", text.replace("% needs", ""))
