"""Figures with one point a group."""

from itertools import combinations
from pathlib import Path

from matplotlib.text import Annotation

from cil.report.baseline import choose_baselines
from cil.report.plots.points import Spot, _panel, accuracy_against_memory, gap_against_margin
from tests.report.helpers import problem_of
from tests.report.plots.drawn import drawn, texts
from tests.report.synthetic import INFONCE, flat_matrix, sized, write_run


def prepared(folder: Path):
    problem = problem_of(folder)
    choose_baselines([problem], None)
    return problem


def test_accuracy_against_memory_names_every_group(tmp_path: Path) -> None:
    for i in range(9):
        for seed in (1, 2):
            sizes = (9, 10**6 * (1 + i % 2), 192)
            sized(tmp_path / f"{i}{seed}", 50.0 + i / 10 + seed, sizes, seed=seed, name=f"m{i}", optimizer__lr=i)
    plot = accuracy_against_memory(prepared(tmp_path))
    assert plot is not None
    axes, hover = drawn(plot.panels[0])
    assert sorted(texts(axes)) == sorted(one["name"] for one in hover) == [f"m{i}" for i in range(9)]
    assert len(axes.collections) == 9, "a bar for the spread of each"


def test_no_such_chart_where_all_keep_the_same(tmp_path: Path) -> None:
    for name in "ab":
        sized(tmp_path / name, sizes=(1, 10**6, 192), name=name, optimizer__lr=ord(name))
    assert accuracy_against_memory(prepared(tmp_path)) is None


def test_icarl_stands_at_the_accuracy_it_predicts_with(tmp_path: Path) -> None:
    """Nearest means of exemplars, one point better in these runs than the classifier."""
    sized(tmp_path / "icarl", 50.0, (1, 10**6, 192), method__name="icarl")
    sized(tmp_path / "replay", 50.0, (1, 2 * 10**6, 192), method__name="replay")
    plot = accuracy_against_memory(prepared(tmp_path))
    assert plot is not None
    _, hover = drawn(plot.panels[0])
    found = {one["name"]: one["points"][0][1] for one in hover}
    assert found == {"method=icarl (NME)": 51.0, "method=replay": 50.0}


def test_names_of_close_points_do_not_lie_on_each_other() -> None:
    spots = [Spot(f"method{i}", 1.0 + (i == 5), 50 + i / 100, None, i) for i in range(6)]
    axes, _ = drawn(_panel(spots, "x", "y", 2, True))
    names = [text for text in axes.texts if isinstance(text, Annotation)]
    axes.get_figure().draw_without_rendering()  # type: ignore[union-attr]
    boxes = [text.get_window_extent() for text in names]
    assert len(boxes) == 6 and not any(a.overlaps(b) for a, b in combinations(boxes, 2))


def test_gap_against_margin_needs_two_margins(tmp_path: Path) -> None:
    write_run(tmp_path / "a", **INFONCE)
    write_run(tmp_path / "b")
    assert gap_against_margin(prepared(tmp_path)) is None
    curves = {"contrast/gap": [0.2, 0.7], "contrast/margin": [0.3, 0.3], "loss/total": [1.0, 1.0]}
    write_run(tmp_path / "c", flat_matrix(50.0), ant_margin=0.3, curves=curves)
    plot = gap_against_margin(prepared(tmp_path))
    assert plot is not None
    assert sorted(one["points"][0][:2] for one in drawn(plot.panels[0])[1]) == [[0.1, 0.8], [0.1, 0.8], [0.3, 0.7]]
