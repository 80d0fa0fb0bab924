"""Variants against the baseline."""

from pathlib import Path

import pytest
from scipy import stats

from cil.report.baseline import choose_baselines
from cil.report.compare import compare, differences, effect_text, noise_floor, verdict
from cil.report.figures import estimable, figure_of
from cil.report.groups import Problem
from tests.report.helpers import paragraphs, problem_of, report_of, table
from tests.report.synthetic import INFONCE, flat_matrix, write_group, write_run

AVERAGE = "incremental_avg_top1"
BASE = {1: 60.0, 2: 70.0, 3: 80.0}


def compared(folder: Path) -> Problem:
    problem = problem_of(folder)
    choose_baselines([problem], None)
    return problem


def test_differences_are_paired_by_seed(tmp_path: Path) -> None:
    write_group(tmp_path / "base", BASE, **INFONCE)
    write_group(tmp_path / "ant", {3: 80.5, 1: 60.3, 2: 70.7})
    problem = compared(tmp_path)
    (comparison,) = compare(problem, [AVERAGE, "forgetting_top1"], [])
    one = comparison.by_figure[AVERAGE]
    assert one.test is not None and one.test.mean == pytest.approx(0.5)
    assert one.test.p == pytest.approx(stats.ttest_rel([60.3, 70.7, 80.5], [60, 70, 80]).pvalue)
    assert (one.improved, comparison.missing) == (3, [])
    assert effect_text(one) == "+0.50 (95 % CI 0.00..1.00, 3/3 seeds improved)"


def test_an_interval_beyond_what_accuracies_can_differ_by_is_called_so(tmp_path: Path) -> None:
    write_group(tmp_path / "base", {1: 50.0, 2: 70.0}, **INFONCE)
    write_group(tmp_path / "ant", {1: 60.0, 2: 61.0})  # +10 and -9: the interval of two seeds is ±120
    (comparison,) = compare(compared(tmp_path), [AVERAGE], [])
    one = comparison.by_figure[AVERAGE]
    assert one.test is not None and one.test.high is not None and one.test.high > 100
    assert effect_text(one) == "+0.50 (95 % CI not estimable, 1/2 seeds improved)"
    assert verdict(one, None) == "not estimable: with 2 seeds the interval goes beyond 100 points"
    report = report_of(tmp_path)
    assert table(report, "Against the baseline: average")[0]["95 % CI"] == "not estimable"
    assert "nothing can be told" in " ".join(paragraphs(report, "conclusion"))


def test_an_interval_that_leaves_out_zero_is_a_finding_however_wide(tmp_path: Path) -> None:
    assert estimable(figure_of(AVERAGE), 20.0, 120.0) and estimable(figure_of(AVERAGE), -100.0, 100.0)
    assert not estimable(figure_of(AVERAGE), -1.0, 100.1) and not estimable(figure_of(AVERAGE), -100.1, 1.0)
    assert not estimable(figure_of("violation_rate"), -1.1, 0.5), "a share is shown in per cent"
    assert estimable(figure_of("gap"), -300.0, 300.0), "no percentage"


def test_unequal_seeds_pair_over_the_common_ones_and_name_the_others(tmp_path: Path) -> None:
    write_group(tmp_path / "base", {1: 60.0, 2: 70.0, 10: 10.0}, **INFONCE)
    write_group(tmp_path / "ant", {1: 61.0, 2: 71.5, 3: 99.0, 4: 99.0})
    problem = compared(tmp_path)
    (comparison,) = compare(problem, [AVERAGE], [])
    assert differences(comparison.variant, problem.baseline, AVERAGE) == [1.0, 1.5]  # type: ignore[arg-type]
    assert comparison.missing == ["seeds 3, 4: no run of the baseline", "seed 10: no run of this variant"]


def test_class_orders_are_paired_too(tmp_path: Path) -> None:
    for order in (0, 1):
        keys = {"class_order": "random", "class_order_seed": order}
        write_group(tmp_path / f"base{order}", {1: 50.0 + order, 2: 60.0}, **keys, **INFONCE)
        write_group(tmp_path / f"ant{order}", {1: 52.0 + order, 2: 62.0}, **keys)
    (comparison,) = compare(compared(tmp_path), [AVERAGE], [])
    test = comparison.by_figure[AVERAGE].test
    assert test is not None and (test.n, test.mean) == (4, 2.0)


def test_holm_counts_the_variants(tmp_path: Path) -> None:
    write_group(tmp_path / "base", BASE, **INFONCE)
    write_group(tmp_path / "a", {1: 61.0, 2: 71.1, 3: 80.9}, ant_margin=0.1)
    write_group(tmp_path / "b", {1: 60.1, 2: 69.0, 3: 80.9}, ant_margin=0.2)
    a, b = (c.by_figure[AVERAGE] for c in compare(compared(tmp_path), [AVERAGE], []))
    assert a.test is not None and a.test.p is not None and b.test is not None
    assert (a.p_holm, b.p_holm) == (pytest.approx(2 * a.test.p), pytest.approx(b.test.p))
    assert verdict(a, None) == "better" and verdict(b, None) == "not distinguishable from no effect"


def test_less_forgetting_is_better(tmp_path: Path) -> None:
    for seed in (1, 2, 3):
        base = [[90.0], [60.0 + 0.1 * seed, 80.0]]
        write_run(tmp_path / f"b{seed}", base, seed=seed, **INFONCE)
        write_run(tmp_path / f"a{seed}", [[90.0], [70.0, 80.0]], seed=seed)
    (comparison,) = compare(compared(tmp_path), ["forgetting_top1"], [])
    one = comparison.by_figure["forgetting_top1"]
    assert (one.improved, verdict(one, None)) == (3, "better")


def test_one_seed_allows_no_conclusion_and_has_no_deviation(tmp_path: Path) -> None:
    write_group(tmp_path / "base", {1: 60.0}, **INFONCE)
    write_group(tmp_path / "ant", {1: 70.0})
    report = report_of(tmp_path)
    assert paragraphs(report, "answer") == [
        "loss=ant: average +10.00 (1/1 seeds improved) — one pair of runs: no conclusion is possible."
    ]
    assert table(report, "Results")[0]["average"] == "70.00"


def test_no_common_seed_no_comparison(tmp_path: Path) -> None:
    write_group(tmp_path / "base", {1: 60.0}, **INFONCE)
    write_group(tmp_path / "ant", {2: 70.0})
    assert "no common seed" in paragraphs(report_of(tmp_path), "answer")[0]


def test_noise_floor_is_the_spread_of_repeats(tmp_path: Path) -> None:
    for name, values in (("x", BASE), ("y", {1: 60.4, 2: 69.0})):
        write_group(tmp_path / name, values, device=name, **INFONCE)
    write_group(tmp_path / "ant", {1: 60.8, 2: 70.8, 3: 80.81})
    problem = compared(tmp_path)
    floor = noise_floor(problem, AVERAGE)
    assert floor is not None and (floor.spread, floor.runs, floor.units) == (pytest.approx(1.0), 4, 2)
    (comparison,) = compare(problem, [AVERAGE], [])
    assert "inside the noise floor" in verdict(comparison.by_figure[AVERAGE], floor)
    assert verdict(comparison.by_figure[AVERAGE], None) == "better"


def test_failed_run_and_duplicate_are_listed_and_do_not_count(tmp_path: Path) -> None:
    write_group(tmp_path / "base", BASE, **INFONCE)
    write_group(tmp_path / "ant", BASE | {4: 0.0})
    write_run(tmp_path / "failed", seed=5, status={"state": "failed", "error": "OutOfMemory: x"})
    write_run(tmp_path / "again", flat_matrix(0.0), seed=1, status={"started": "2027"})
    report = report_of(tmp_path)
    rows = {row["group"]: row for row in table(report, "Results")}
    assert rows["loss=ant"]["n"] == "4" and rows["loss=ant"]["average"] == "52.50 ± 35.94"
    reasons = {Path(row["run"]).name: row["why"] for row in table(report, "Runs that do not count")}
    assert reasons["failed"].startswith("failed: OutOfMemory: x")
    assert reasons["again"].startswith("duplicate: a repeat")
