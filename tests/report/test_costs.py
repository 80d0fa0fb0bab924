"""What methods cost, beside their accuracy."""

import json
from pathlib import Path

import pytest

from cil.report.figures import SIZES, figure_value
from cil.report.rows import rows
from cil.report.runs import read_run
from tests.report.helpers import paragraphs, report_of, table
from tests.report.synthetic import sized, write_run

TITLES = ["parameters (M)", "model (MB)", "exemplars (MB)", "total (MB)"]


def test_figures_of_a_run(tmp_path: Path) -> None:
    run = read_run(sized(tmp_path / "a", sizes=(1_500_000, 6_050_000, 6_144_000)))
    assert [figure_value(run, figure.key) for figure in SIZES] == [1_500_000, 6.05, 6.144, 12.194]  # type: ignore[arg-type]


def test_the_table_has_them_and_a_dash_for_older_runs(tmp_path: Path) -> None:
    for seed in (1, 2):
        sized(tmp_path / f"new{seed}", 50.0 + seed, (1_500_000, 6_050_000, 6_144_000), seed=seed)
    sized(tmp_path / "old", loss__name="infonce")
    shown = {row["group"].partition(" ")[0]: row for row in table(report_of(tmp_path), "Results")}
    assert [shown["loss=ant"][title] for title in TITLES] == ["1.50", "6.05", "6.14", "12.19"]
    assert [shown["loss=infonce"][title] for title in TITLES] == ["-"] * 4
    assert list(shown["loss=ant"])[-5:] == [*TITLES, "hours"]
    assert sorted(row["model_mb"] or 0 for row in rows(report_of(tmp_path).found)) == [0, 6.05, 6.05]


def test_older_runs_alone_have_no_such_columns(tmp_path: Path) -> None:
    sized(tmp_path / "old")
    sized(tmp_path / "older", seed=2)
    (row,) = table(report_of(tmp_path), "Results")
    assert not set(TITLES) & set(row)


def test_of_pruned_runs_it_also_tells_what_the_model_was(tmp_path: Path) -> None:
    pruned = sized(tmp_path / "pruned", sizes=(1_500_000, 6_050_000, 6_144_000), prune__ratio=0.3)
    result = json.loads((pruned / "result.json").read_text())
    result["tasks"][-1] |= {"unpruned_parameters": 2_000_000, "unpruned_bytes": 8_100_000}
    (pruned / "result.json").write_text(json.dumps(result))
    sized(tmp_path / "whole", sizes=(2_000_000, 8_100_000, 6_144_000), prune__ratio=0.0)
    shown = {row["group"].partition(" ")[0]: row for row in table(report_of(tmp_path), "Results")}
    columns = ["before pruning (M)", "before pruning (MB)"]
    assert [shown["ratio=0.3"][title] for title in columns] == ["2.00", "8.10"]
    assert [shown["ratio=0"][title] for title in columns] == ["-", "-"]


def test_short_runs_are_timed_in_a_unit_that_suits_them(tmp_path: Path) -> None:
    for seed, seconds in ((1, 4.0), (2, 6.0)):
        write_run(tmp_path / str(seed), seed=seed, result={"seconds": seconds})
    (row,) = table(report_of(tmp_path), "Results")
    assert row["seconds"] == "5.0 ± 1.4" and "hours" not in row
    write_run(tmp_path / "long", seed=3, result={"seconds": 1200.0})
    assert "minutes" in table(report_of(tmp_path), "Results")[0]


def test_of_a_method_that_predicts_otherwise_the_columns_are_named(tmp_path: Path) -> None:
    sized(tmp_path / "a", method__name="icarl")
    sized(tmp_path / "b", method__name="replay")
    notes = [text for text in paragraphs(report_of(tmp_path), "note") if "predicts with NME" in text]
    assert len(notes) == 1 and notes[0].startswith("method=icarl")


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
