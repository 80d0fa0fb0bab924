"""Tables for spreadsheets and data frames."""

import csv
import io
from pathlib import Path

import pytest

from cil.report.build import Report
from cil.report.render_csv import curves_csv, groups_csv, runs_csv
from tests.report.helpers import report_of
from tests.report.synthetic import INFONCE, write_group


@pytest.fixture
def report(tmp_path: Path) -> Report:
    write_group(tmp_path / "base", {1: 60.0, 2: 70.0}, **INFONCE)
    write_group(tmp_path / "ant", {1: 61.0, 2: 71.5})
    return report_of(tmp_path)


def read(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_groups_are_unrounded_and_complete(report: Report) -> None:
    ant = next(row for row in read(groups_csv(report.problems, report.comparisons)) if row["group"] == "loss=ant")
    assert ant["loss.name"] == "ant" and ant["n"] == "2" and ant["baseline"] == "False"
    assert float(ant["incremental_avg_top1_sd"]) == pytest.approx(10.5 / 2**0.5)
    assert float(ant["incremental_avg_top1_delta"]) == pytest.approx(1.25)


def test_runs_have_a_column_a_setting(report: Report) -> None:
    found = read(runs_csv(report.found, report.problems))
    assert [(row["group"], row["seed"], float(row["last_top1"])) for row in found][:2] == [
        ("loss=ant", "1", 61.0),
        ("loss=ant", "2", 71.5),
    ]
    assert {row["loss.name"] for row in found} == {"ant", "infonce"}
    assert found[0]["optimizer.lr"] == "0.1" and found[0]["dataset.holdout_per_class"] == ""


def test_curves_are_one_table_of_all_runs(report: Report) -> None:
    found = read("".join(curves_csv(report.problems)))
    gaps = [row for row in found if row["tag"] == "contrast/gap" and row["run"].endswith("ant/s1")]
    assert [(row["task"], row["epoch"], row["step"], row["value"]) for row in gaps][:3] == [
        ("1", "1", "1", "0.2"),
        ("1", "2", "2", "0.8"),
        ("2", "1", "3", "0.2"),
    ]
    assert len({row["run"] for row in found}) == 4
