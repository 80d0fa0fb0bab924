"""The forest plot."""

from pathlib import Path

import pytest
from matplotlib.colors import to_hex

from cil.report.plots.canvas import PAPER, style_of
from cil.report.plots.forest import forest_plot
from tests.report.helpers import report_of
from tests.report.plots.drawn import drawn, texts
from tests.report.synthetic import INFONCE, write_group

AVERAGE = "incremental_avg_top1"
BASE = {1: 60.0, 2: 70.0, 3: 80.0}


@pytest.fixture(scope="module")
def plot(tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("forest")
    write_group(folder / "base", BASE, **INFONCE)
    write_group(folder / "clear", {1: 62.0, 2: 72.1, 3: 81.9}, ant_margin=0.1)
    write_group(folder / "unclear", {1: 61.0, 2: 69.0, 3: 80.5}, ant_margin=0.3)
    report = report_of(folder)
    return forest_plot(report.problems[0], report.comparisons[0], [AVERAGE, "last_top1"])


def test_every_seed_has_a_dot_and_every_variant_its_mean(plot) -> None:
    _, (first, second) = drawn(plot.panels[0])
    assert first["name"] == "loss=ant ant_margin=0.1" and second["name"] == "loss=ant ant_margin=0.3"
    seeds = [(round(x, 6), text) for x, _, text in first["points"][:3]]
    assert seeds == [(2.0, "seed 1: +2.00"), (2.1, "seed 2: +2.10"), (1.9, "seed 3: +1.90")]
    x, _, text = first["points"][3]
    assert x == pytest.approx(2.0) and text.startswith("mean +2.00, 95 % CI 1.75 to 2.25, p 0.00")


def test_what_is_significant_is_filled_and_has_a_star(plot) -> None:
    axes, _ = drawn(plot.panels[0])
    assert texts(axes) == ["*", "loss=ant ant_margin=0.1", "loss=ant ant_margin=0.3"]
    assert axes.texts[0].get_position() != (0, 0) and axes.texts[0].xy == (pytest.approx(2.2484, abs=1e-3), 0)
    marks = [line for line in axes.lines if line.get_markersize() == 7]
    faces = [to_hex(line.get_markerfacecolor()) for line in marks]
    assert faces == [style_of(1)["color"], PAPER]


def test_the_interval_is_drawn_and_zero_is_in_sight(plot) -> None:
    axes, _ = drawn(plot.panels[0])
    bars = [list(line.get_xdata()) for line in axes.lines if line.get_linewidth() == 1.8]
    assert bars[0] == pytest.approx([1.7516, 2.2484], abs=1e-3)
    low, high = axes.get_xlim()
    assert low < 0 < high and len(plot.panels) == 2


@pytest.mark.parametrize(("values", "expected"), [({1: 61.0}, "mean +1.00, n = 1"), ({9: 61.0}, None)])
def test_one_pair_has_no_bar_and_no_pair_says_so(tmp_path: Path, values: dict, expected: str | None) -> None:
    write_group(tmp_path / "base", {1: 60.0}, **INFONCE)
    write_group(tmp_path / "ant", values)
    report = report_of(tmp_path)
    plot = forest_plot(report.problems[0], report.comparisons[0], [AVERAGE])
    if expected is None:
        assert plot is None, "nothing was compared"
    else:
        assert plot is not None
        axes, ((one),) = drawn(plot.panels[0])
        assert one["points"][-1][2] == expected
        assert not [line for line in axes.lines if line.get_linewidth() == 1.8]


def test_less_forgetting_is_on_the_better_side(plot, tmp_path: Path) -> None:
    write_group(tmp_path / "base", BASE, **INFONCE)
    write_group(tmp_path / "ant", {1: 61.0, 2: 70.0, 3: 80.0})
    report = report_of(tmp_path)
    panels = forest_plot(report.problems[0], report.comparisons[0], [AVERAGE, "forgetting_top1"])
    assert panels is not None
    assert [drawn(panel)[0].get_xlabel() for panel in panels.panels] == [
        "← worse · points · better →",
        "← better · points · worse →",
    ]


def test_one_group_alone_has_none(tmp_path: Path) -> None:
    write_group(tmp_path / "base", BASE)
    report = report_of(tmp_path)
    assert forest_plot(report.problems[0], report.comparisons[0], [AVERAGE]) is None
