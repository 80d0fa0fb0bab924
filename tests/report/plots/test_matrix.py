"""Accuracy matrices."""

from pathlib import Path

from cil.report.plots.canvas import page_panels
from cil.report.plots.matrix import matrix_plot
from tests.report.helpers import problem_of
from tests.report.plots.drawn import drawn, texts
from tests.report.synthetic import MATRIX, flat_matrix, write_run


def test_twelve_tasks_in_numeric_order(tmp_path: Path) -> None:
    write_run(tmp_path / "a", flat_matrix(50.0, tasks=12))
    axes, (hover,) = drawn(matrix_plot(problem_of(tmp_path)).panels[0])
    assert texts(axes) == ["50"] * 78
    assert [tick.get_text() for tick in axes.get_xticklabels()] == [str(i) for i in range(1, 13)]
    assert hover["points"][-1] == [11.5, 11.5, "after task 12, on task 12: 50.0"]


def test_the_last_task_is_the_lowest_row(tmp_path: Path) -> None:
    write_run(tmp_path / "a", MATRIX)
    axes, (hover,) = drawn(matrix_plot(problem_of(tmp_path)).panels[0])
    assert axes.yaxis_inverted()
    assert [text for *_, text in hover["points"]][3:] == [
        "after task 3, on task 1: 60.0",
        "after task 3, on task 2: 75.0",
        "after task 3, on task 3: 85.0",
    ]


def test_cells_that_do_not_exist_have_no_frame(tmp_path: Path) -> None:
    """White on white cannot be seen, in dark mode it could."""
    write_run(tmp_path / "a", MATRIX)
    ((svg, _),) = page_panels(matrix_plot(problem_of(tmp_path)))
    assert "stroke: #ffffff" not in svg and svg.count("fill: #ffffff") == 6, "of the six numbers"


def test_many_tasks_have_no_numbers_in_their_cells(tmp_path: Path) -> None:
    write_run(tmp_path / "a", flat_matrix(50.0, tasks=20))
    axes, (hover,) = drawn(matrix_plot(problem_of(tmp_path)).panels[0])
    assert not texts(axes) and len(hover["points"]) == 210
