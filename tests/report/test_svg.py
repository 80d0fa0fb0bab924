"""The drawings."""

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from cil.report.baseline import choose_baselines
from cil.report.charts import charts, curve_points, margin_panels, mean_matrix, over_runs
from cil.report.heatmap import heat_map
from cil.report.svg import DASHES, MARKERS, STYLES, Axes, Series, legend, line_chart, ticks
from tests.report.helpers import problem_of
from tests.report.synthetic import MATRIX, flat_matrix, write_group, write_run


def test_ticks_are_round_and_inside() -> None:
    assert ticks(0.0, 1.0, 5) == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 1.0])
    assert ticks(1, 12, 8, whole=True) == [2, 4, 6, 8, 10, 12]
    assert ticks(0.8, 2.2, 8, whole=True) == [1, 2]
    assert ticks(5, 5) == [5]


def test_a_chart_is_xml_with_both_labels_and_no_number_beyond_its_frame() -> None:
    series = [Series("<a>", [(1, 50, 5), (2, 60, None)], 0), Series("b", [(1, -3, 0.5), (2, 4, 0.5)], 1)]
    svg = line_chart(series, Axes("tasks & more", "top-1 (%)"))
    texts = [node.text for node in ElementTree.fromstring(svg).iter() if node.tag.endswith("text")]
    assert {"tasks & more", "top-1 (%)"} <= set(texts)
    for x in re.findall(r'<circle cx="([\d.-]+)"', svg):
        assert 0 < float(x) < 575


@pytest.mark.parametrize("points", [[], [(1.0, 5.0, None)], [(1.0, 0.0, None), (2.0, 0.0, 0.0)]])
def test_degenerate_charts_are_drawn(points: list) -> None:
    root = ElementTree.fromstring(line_chart([Series("a", points)], Axes("x", "y")))
    texts = {node.text for node in root.iter() if node.tag.endswith("text")}
    assert texts >= ({"x", "y"} if points else {"not measured"})
    assert len([node for node in root.iter() if node.tag.endswith("circle")]) == len(points)


def test_lines_differ_without_colour() -> None:
    assert len(set(DASHES)) == len(set(MARKERS)) == STYLES
    assert "&lt;b&gt;" in legend([("<b>", 0, True)])


def test_matrix_of_twelve_tasks_in_numeric_order() -> None:
    root = ElementTree.fromstring(heat_map(flat_matrix(50.0, tasks=12)))
    texts = [node.text or "" for node in root.iter() if node.tag.endswith("text")]
    assert [text for text in texts if text.startswith("task ")] == [f"task {i}" for i in range(1, 13)]
    assert texts.count("50.0") == 78


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


def test_more_groups_than_styles_make_more_charts_with_the_baseline_in_each(tmp_path: Path) -> None:
    for i in range(STYLES + 2):
        write_group(tmp_path / str(i), {1: 50.0 + i}, ant_margin=0.1 * (i + 1))
    problem = problem_of(tmp_path)
    choose_baselines([problem], None)
    accuracy = [drawing for drawing in charts(problem) if drawing.title.startswith("Accuracy")]
    assert [drawing.title for drawing in accuracy] == ["Accuracy after each task (1)", "Accuracy after each task (2)"]
    assert all("ant_margin=0.1<" in drawing.legend for drawing in accuracy)


def test_one_run_of_one_task_still_has_its_pictures(tmp_path: Path) -> None:
    write_run(tmp_path / "a", [[77.0]])
    problem = problem_of(tmp_path)
    titles = [drawing.title for drawing in charts(problem)]
    assert titles == ["Accuracy after each task", "Violation rate"]  # no forgetting, one margin
    assert len(margin_panels(problem)) == 1
