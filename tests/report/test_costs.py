"""What methods cost, beside their accuracy."""

import json
import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from cil.report.charts import charts
from cil.report.figures import SIZES, figure_value
from cil.report.render_html import page
from cil.report.render_tables import runs_csv
from cil.report.runs import read_run
from cil.report.svg import Axes, Series, line_chart
from tests.report.helpers import paragraphs, problem_of, report_of, table
from tests.report.synthetic import flat_matrix, write_run

TITLES = ["parameters (M)", "model (MB)", "exemplars (MB)", "total (MB)"]


def sized(folder: Path, value: float = 50.0, sizes: tuple[int, int, int] | None = None, **keys: Any) -> Path:
    """A finished run; sizes: parameters, bytes of the model and of the exemplars after the last task."""
    run = write_run(folder, flat_matrix(value), **keys)
    if sizes is not None:
        result = json.loads((run / "result.json").read_text())
        fields = dict(zip(("parameters", "model_bytes", "exemplar_bytes"), sizes, strict=True))
        result["tasks"][-1] |= fields | {"exemplars": sizes[2] // 192}
        (run / "result.json").write_text(json.dumps(result))
    return run


def test_figures_of_a_run(tmp_path: Path) -> None:
    run = read_run(sized(tmp_path / "a", sizes=(1_500_000, 6_050_000, 6_144_000)))
    assert [figure_value(run, figure.key) for figure in SIZES] == [1_500_000, 6.05, 6.144, 12.194]  # type: ignore[arg-type]


def test_the_table_has_them_and_a_dash_for_older_runs(tmp_path: Path) -> None:
    for seed in (1, 2):
        sized(tmp_path / f"new{seed}", 50.0 + seed, (1_500_000, 6_050_000, 6_144_000), seed=seed)
    sized(tmp_path / "old", loss__name="infonce")
    rows = {row["group"].partition(" ")[0]: row for row in table(report_of(tmp_path), "Results")}
    assert [rows["loss=ant"][title] for title in TITLES] == ["1.50", "6.05", "6.14", "12.19"]
    assert [rows["loss=infonce"][title] for title in TITLES] == ["-"] * 4
    assert list(rows["loss=ant"])[-5:] == [*TITLES, "hours"]
    assert "model_mb" in runs_csv(report_of(tmp_path).problems)


def test_older_runs_alone_have_no_such_columns(tmp_path: Path) -> None:
    sized(tmp_path / "old")
    sized(tmp_path / "older", seed=2)
    (row,) = table(report_of(tmp_path), "Results")
    assert not set(TITLES) & set(row)


def test_accuracy_against_memory_names_every_group(tmp_path: Path) -> None:
    for i in range(9):
        for seed in (1, 2):
            sized(
                tmp_path / f"{i}{seed}",
                50.0 + i / 10 + seed,
                (9, 10**6 * (1 + i % 2), 192),
                seed=seed,
                name=f"m{i}",
                optimizer__lr=i,
            )
    (drawing,) = [d for d in charts(problem_of(tmp_path)) if d.title == "Accuracy against memory"]
    assert all(f">m{i}</text>" in drawing.svg for i in range(9)), "more groups than line styles, in one chart"
    assert drawing.svg.count('fill="none"/>') >= 9, "a bar for the spread of each"
    assert "Accuracy against memory" in page(report_of(tmp_path).document)


def test_no_such_chart_where_all_keep_the_same(tmp_path: Path) -> None:
    for name in "ab":
        sized(tmp_path / name, sizes=(1, 10**6, 192), name=name, optimizer__lr=ord(name))
    assert not [d for d in charts(problem_of(tmp_path)) if d.title == "Accuracy against memory"]


def test_names_of_close_points_do_not_lie_on_each_other() -> None:
    series = [Series(f"method{i}", [(1.0 + (i == 5), 50 + i / 100, None)], i, False, True) for i in range(6)]
    svg = line_chart(series, Axes("x", "y", width=760))
    found = re.findall(r'<text x="([\d.]+)" y="([\d.]+)" text-anchor="(?:start|end)">method\d', svg)
    heights = sorted(float(y) for x, y in found if float(x) < 400)
    assert len(found) == 6
    assert all(b - a >= 13.9 for a, b in pairwise(heights))


class TestMatched:
    def test_budget_and_exemplars_are_told_for_each_group(self, tmp_path: Path) -> None:
        sized(tmp_path / "a", sizes=(1, 10**6, 192 * 500), memory__total_mb=1.2, memory__size=None)
        sized(tmp_path / "b", sizes=(1, 10**6, 192 * 20), loss__name="infonce")
        first, last = [text for text in paragraphs(report_of(tmp_path), "note") if "memory.total_mb" in text]
        assert "at most 1.2 MB after every task" in first and "500 exemplars, 1.10 MB in all" in first
        assert last.startswith("Without a budget") and "infonce" in last

    def test_nothing_is_said_where_no_run_has_one(self, tmp_path: Path) -> None:
        sized(tmp_path / "a", sizes=(1, 10**6, 192), memory__total_mb=None)
        assert not [text for text in paragraphs(report_of(tmp_path), "note") if "Memory-matched" in text]


class TestAugmentation:
    """Methods are never compared across augmentations without a word."""

    @pytest.mark.parametrize("factors", [(), ("method",)])
    def test_two_methods_with_two_augmentations(self, tmp_path: Path, factors: tuple[str, ...]) -> None:
        sized(tmp_path / "a", name="baseline", method__name="finetune", augment__auto_augment="none", augment__cutout=0)
        sized(tmp_path / "b", method__name="joint", augment__auto_augment="cifar10", augment__cutout=16)
        report = report_of(tmp_path, factors=factors)
        (warning,) = [text for text in paragraphs(report, "warning") if "not a fair comparison" in text]
        assert "augment.auto_augment none → cifar10" in warning and "augment.cutout 0 → 16" in warning
        assert "NOT A FAIR COMPARISON" in " ".join(paragraphs(report, "answer"))

    def test_a_difference_in_nothing_else_is_named_as_the_factor(self, tmp_path: Path) -> None:
        for value in (0, 16):
            sized(tmp_path / str(value), seed=1, augment__cutout=value)
        report = report_of(tmp_path)
        assert len(table(report, "Results")) == 2, "never averaged"
        assert any("augment.cutout" in text for text in paragraphs(report, "note"))
