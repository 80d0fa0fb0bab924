"""Figures of a run."""

from pathlib import Path

import pytest

from cil.report.figures import figure_of, figure_value, forgetting_by_task
from cil.report.runs import Run, read_run
from tests.report.synthetic import MATRIX, accuracies, write_run


@pytest.fixture
def run(tmp_path: Path) -> Run:
    val = accuracies([[50.0], [50.0, 60.0], [1.0, 2.0, 3.0]])
    outcome = read_run(write_run(tmp_path / "a", result={"val": val, "parameters": 12}))
    assert isinstance(outcome, Run)
    return outcome


def test_worked_forgetting_matrix(run: Run) -> None:
    assert MATRIX == [[90], [70, 80], [60, 75, 85]]
    assert figure_value(run, "forgetting_top1") == pytest.approx(17.5)  # (90 - 60 + 80 - 75) / 2
    assert forgetting_by_task(MATRIX) == [30.0, 5.0]


def test_where_figures_come_from(run: Run) -> None:
    assert figure_value(run, "incremental_avg_top1") == pytest.approx((90 + 75 + 220 / 3) / 3)
    assert figure_value(run, "nme_last_top1") == pytest.approx(220 / 3 + 1)
    assert figure_value(run, "val.last_top1") == pytest.approx(2.0)
    assert figure_value(run, "gap") == figure_value(run, "contrast/gap") == 0.8
    assert figure_value(run, "violation_rate") == 0.05
    assert figure_value(run, "hours") == pytest.approx(3601 / 3600)
    assert figure_value(run, "parameters") == 12


def test_what_was_not_measured_is_none(run: Run) -> None:
    for key in ("grad/ant", "incremental_avg_top5", "no_such_figure", "seconds_per_epoch"):
        assert figure_value(run, key) is None


def test_one_task_has_no_forgetting(tmp_path: Path) -> None:
    outcome = read_run(write_run(tmp_path / "one", [[77.0]]))
    assert isinstance(outcome, Run)
    assert figure_value(outcome, "forgetting_top1") is None and figure_value(outcome, "last_top1") == 77.0


def test_numbers_as_shown() -> None:
    rate, average = figure_of("violation_rate"), figure_of("incremental_avg_top1")
    assert rate.show(0.0512) == "5.1"
    assert average.show(0.4, signed=True) == "+0.40"
    assert average.show(-0.001) == "0.00" and average.show(None) == ""
    assert figure_of("val.last_top1").label == "val last"
