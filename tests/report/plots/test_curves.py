"""Curves of all groups on the same axes."""

from pathlib import Path

import pytest

from cil.report.baseline import choose_baselines
from cil.report.groups import Problem
from cil.report.plots.canvas import STYLES
from cil.report.plots.curves import curve_plots, forgetting_plots, margin_plot
from cil.report.plots.lines import Look, Series, line_panel
from cil.report.plots.series import curve_points, mean_matrix, over_runs
from tests.report.helpers import problem_of
from tests.report.plots.drawn import drawn, texts
from tests.report.synthetic import INFONCE, MATRIX, write_group, write_run


def prepared(folder: Path) -> Problem:
    problem = problem_of(folder)
    choose_baselines([problem], None)
    return problem


def test_points_over_runs(tmp_path: Path) -> None:
    write_run(tmp_path / "a", MATRIX, seed=1)
    write_run(tmp_path / "b", [[80.0], [70.0, 80.0], [60.0, 75.0, 95.0]], seed=2)
    (group,) = problem_of(tmp_path).groups
    assert mean_matrix(group) == [[85.0], [70.0, 80.0], [60.0, 75.0, 90.0]]
    first = over_runs(group, lambda run: list(enumerate(run.result["curves"]["top1"], 1)))[0]
    assert first == (1, 85.0, pytest.approx(50**0.5))
    assert [point[:2] for point in curve_points(group, "contrast/violation_rate", 100)][:2] == [(1, 30.0), (2, 5.0)]


def test_epochs_that_a_run_lacks_are_left_out(tmp_path: Path) -> None:
    unknown = {"trainer__init_epochs": None, "trainer__inc_epochs": None}
    write_run(tmp_path / "a", seed=1, curves={"contrast/gap": [0.1, 0.2]}, **unknown)
    write_run(tmp_path / "b", seed=2, curves={"contrast/gap": [0.1, 0.2, 0.3]}, **unknown)
    (group,) = problem_of(tmp_path).groups
    assert [x for x, *_ in curve_points(group, "contrast/gap")] == [1, 2, 3, 4, 5, 6]


def test_gap_violations_and_accuracy_of_all_groups(tmp_path: Path) -> None:
    write_group(tmp_path / "base", {1: 60.0, 2: 70.0}, **INFONCE)
    write_group(tmp_path / "ant", {1: 61.0, 2: 71.5})
    (plot,) = curve_plots(prepared(tmp_path))
    looked = [drawn(panel) for panel in plot.panels]
    assert [axes.get_title() for axes, _ in looked] == ["gap", "violations", "accuracy"]
    for _, hover in looked:
        assert [one["name"] for one in hover] == ["loss=infonce", "loss=ant"], "the baseline first, in every panel"
    assert len(looked[2][0].collections) == 2, "a band for each"


def test_twins_are_one_line_but_for_what_is_measured_with_their_margin(tmp_path: Path) -> None:
    for margin in (0.1, 0.3):
        write_run(tmp_path / f"nce{margin}", **{**INFONCE, "ant_margin": margin})
    write_run(tmp_path / "ant")
    (plot,) = curve_plots(prepared(tmp_path))
    counts = [len(drawn(panel)[1]) for panel in plot.panels]
    assert counts == [2, 3, 2]


def test_more_groups_than_looks_make_more_charts_with_the_baseline_in_each_and_equal_axes(tmp_path: Path) -> None:
    for i in range(STYLES + 2):
        write_group(tmp_path / str(i), {1: 50.0 + i}, ant_margin=0.1 * (i + 1))
    plots = curve_plots(prepared(tmp_path))
    assert [plot.name for plot in plots] == ["curves-1", "curves-2"]
    looked = [drawn(plot.panels[-1]) for plot in plots]
    assert [hover[0]["name"] for _, hover in looked] == ["ant_margin=0.1"] * 2
    assert [len(hover) for _, hover in looked] == [STYLES, 3]
    assert looked[0][0].get_ylim() == looked[1][0].get_ylim()


def test_small_panels_of_gap_and_margin_have_equal_axes(tmp_path: Path) -> None:
    write_run(tmp_path / "a", curves={"contrast/gap": [0.1, 0.2], "contrast/margin": [0.1, 0.1]})
    write_run(tmp_path / "b", curves={"contrast/gap": [0.1, 0.9], "contrast/margin": [0.3, 0.3]}, ant_margin=0.3)
    plot = margin_plot(prepared(tmp_path))
    assert plot is not None and len(plot.panels) == 2
    assert len({drawn(panel)[0].get_ylim() for panel in plot.panels}) == 1


def test_runs_without_contrast_show_accuracy_alone(tmp_path: Path) -> None:
    write_run(tmp_path / "a", curves={"loss/total": [1.0]})
    problem = prepared(tmp_path)
    (plot,) = curve_plots(problem)
    assert len(plot.panels) == 1 and margin_plot(problem) is None


def test_one_run_of_one_task_still_has_its_curves(tmp_path: Path) -> None:
    write_run(tmp_path / "a", [[77.0]])
    problem = prepared(tmp_path)
    (plot,) = curve_plots(problem)
    assert len(plot.panels) == 3 and not forgetting_plots(problem)


@pytest.mark.parametrize("points", [[], [(1.0, 5.0, None)], [(1.0, 0.0, None), (2.0, 0.0, 0.0)]])
def test_degenerate_charts_are_drawn(points: list) -> None:
    axes, _ = drawn(line_panel([Series("a", points)], Look("t", "x", "y")))
    assert texts(axes) == ([] if points else ["not measured"])
    assert len(axes.lines) == bool(points)


def test_ends_of_tasks_are_marked(tmp_path: Path) -> None:
    write_run(tmp_path / "a")
    (plot,) = curve_plots(prepared(tmp_path))
    axes, _ = drawn(plot.panels[0])
    assert [line.get_xdata()[0] for line in axes.lines if list(line.get_ydata()) == [0, 1]] == [2.5, 4.5]
