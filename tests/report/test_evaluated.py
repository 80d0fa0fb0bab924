"""What was measured after the runs, in the report."""

import json

import pytest

from cil.report.cli import main
from tests.finished import Finished
from tests.report.helpers import paragraphs, report_of, table


def evaluated(folder, **changes):
    record = {
        "config_id": json.loads((folder / "result.json").read_text())["config_id"],
        "task": 3,
        "differences": [],
        "calibration": {"ece": 0.123},
        "probe": {"top1": 88.25},
        "drift": [{"task": 1, "cka": 0.5}, {"task": 2, "cka": None}],
        "corruptions": {"noise": {"top1": [10.0, 20.0, 30.0, 40.0, 50.0]}},
    }
    (folder / "evaluation.json").write_text(json.dumps(record | changes))


def test_figures_stand_in_a_table(finished: Finished, tmp_path):
    evaluated(finished.copy(tmp_path))

    (row,) = table(report_of(tmp_path), "Evaluated afterwards")

    assert {k: row[k] for k in ("n", "ECE", "probe", "CKA", "noise", "blur")} == {
        "n": "1",
        "ECE": "12.3",
        "probe": "88.2",
        "CKA": "0.50",
        "noise": "30.0",
        "blur": "",
    }


@pytest.mark.parametrize("changes", [{"task": 2}, {"config_id": "other"}])
def test_an_evaluation_of_something_else_does_not_count(finished: Finished, tmp_path, changes):
    evaluated(finished.copy(tmp_path), **changes)
    assert not [b for b in report_of(tmp_path).document.blocks if getattr(b, "title", "") == "Evaluated afterwards"]


def test_a_damaged_file_is_passed_over(finished: Finished, tmp_path):
    (finished.copy(tmp_path) / "evaluation.json").write_text("{")
    assert main([str(tmp_path), "--format", "terminal"]) == 0


def test_networks_that_differ_from_their_run_are_said(finished: Finished, tmp_path):
    evaluated(finished.copy(tmp_path), differences=["top1 after task 1: [3.0], but the run wrote [4.0]"])
    assert any("differ from what the run wrote" in text for text in paragraphs(report_of(tmp_path), "note"))
