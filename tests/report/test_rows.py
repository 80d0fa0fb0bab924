"""Runs as rows of a data frame."""

from pathlib import Path

import pytest

from cil.report.curves import MAX_EPOCHS
from cil.report.rows import curve_rows, rows
from cil.report.runs import find_runs
from tests.report.synthetic import INFONCE, accuracies, flat_matrix, write_group, write_run


def test_a_row_has_settings_with_their_types_and_every_figure(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "a", flat_matrix(61.0), ant_margin=0.3, optimizer__milestones=[1, 2])
    (row,) = rows(find_runs([tmp_path]))
    assert row["run"] == str(folder) and row["problem"] == "digits, 3 tasks of 2 classes"
    assert (row["seed"], row["ant_margin"], row["loss.topk"], row["dataset.download"]) == (1, 0.3, None, False)
    assert row["optimizer.milestones"] == [1, 2]
    assert (row["incremental_avg_top1"], row["nme_last_top1"]) == (pytest.approx(61.0), pytest.approx(62.0))
    assert (row["gap"], row["violation_rate"], row["margin"]) == (0.8, 0.05, 0.1)
    assert row["hours"] == pytest.approx(3601 / 3600) and row["model_mb"] is None


def test_all_rows_have_the_same_columns(tmp_path: Path) -> None:
    val = {"val": accuracies(flat_matrix(40.0))}
    write_run(tmp_path / "a", seed=1, result=val)
    write_run(tmp_path / "b", seed=2, method__depth=3)
    a, b = sorted(rows(find_runs([tmp_path])), key=lambda row: row["seed"])
    assert list(a) == list(b)
    assert (a["val.last_top1"], b["val.last_top1"]) == (40.0, None)
    assert (a["method.depth"], b["method.depth"]) == (None, 3)


def test_runs_that_repeat_another_one_are_left_out(tmp_path: Path) -> None:
    write_group(tmp_path / "base", {1: 60.0, 2: 70.0}, **INFONCE)
    write_run(tmp_path / "again", flat_matrix(0.0), **INFONCE, status={"started": "2027"})
    assert [row["last_top1"] for row in rows(find_runs([tmp_path]))] == [60.0, 70.0]


def test_nothing_found_is_no_row(tmp_path: Path) -> None:
    write_run(tmp_path / "a", status={"state": "failed"})
    assert rows(find_runs([tmp_path])) == []


def test_curves_are_long_whole_and_in_order(tmp_path: Path) -> None:
    epochs = MAX_EPOCHS + 10
    write_run(tmp_path / "a", flat_matrix(50.0, 2), curves={"contrast/gap": [float(i) for i in range(epochs)]})
    (run,) = find_runs([tmp_path]).runs
    found = list(curve_rows([run]))
    gaps = [row for row in found if row["tag"] == "contrast/gap"]
    assert len(gaps) == 2 * epochs, "thinned for the page alone"
    assert gaps[epochs] == {
        "run": str(run.path), "task": 2, "epoch": 1, "step": epochs + 1, "tag": "contrast/gap", "value": 0.0,
    }  # fmt: skip
    accuracy = [row for row in found if row["tag"] == "task/top1"]
    assert [(row["task"], row["epoch"], row["step"], row["value"]) for row in accuracy] == [
        (1, epochs, epochs, 50.0),
        (2, epochs, 2 * epochs, 50.0),
    ]


def test_a_run_without_metrics_still_has_its_accuracies(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "a", flat_matrix(50.0, 1))
    (folder / "metrics.jsonl").unlink()
    (first, *_) = curve_rows(find_runs([tmp_path]).runs)
    assert (first["tag"], first["epoch"], first["value"]) == ("task/top1", None, 50.0)
