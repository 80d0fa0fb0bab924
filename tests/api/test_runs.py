import json

import pytest

import cil
from cil.errors import ConfigError
from tests.finished import Finished


def test_a_row_holds_settings_and_figures(finished: Finished):
    table = cil.runs(finished.path)

    row = table.iloc[0]
    result = cil.load(finished.path).result
    assert row["method.name"] == "icarl" and row["seed"] == 1993
    assert row["incremental_avg_top1"] == result["incremental_avg_top1"]
    assert row["state"] == "finished" and row["excluded"] is None


def test_patterns_and_lists_find_each_run_once_and_unfinished_ones_have_a_reason(finished: Finished, tmp_path):
    first = finished.copy(tmp_path / "a")
    second = finished.copy(tmp_path / "b")
    (second / "result.json").unlink()

    by_pattern = cil.runs(str(tmp_path / "**"))
    by_list = cil.runs([first, second])

    assert by_pattern["run"].tolist() == by_list["run"].tolist() == [str(first), str(second)]
    assert by_pattern["excluded"].fillna("").tolist() == ["", "finished, but result.json is missing"]
    assert by_pattern["incremental_avg_top1"].isna().tolist() == [False, True]


def test_copies_count_once_unless_they_are_asked_for(finished: Finished, tmp_path):
    first, second = finished.copy(tmp_path / "a"), finished.copy(tmp_path / "b")

    table = cil.runs(str(tmp_path / "**"))
    assert table["excluded"].fillna("").tolist() == ["", f"duplicate: a copy of {first}"]
    assert table["incremental_avg_top1"].count() == 1
    every = cil.runs(str(tmp_path / "**"), repeats=True)
    assert every["run"].tolist() == [str(first), str(second)]
    assert every["excluded"].isna().all() and every["incremental_avg_top1"].count() == 2
    result = json.loads((second / "result.json").read_text())
    (second / "result.json").write_text(json.dumps(result | {"part_versions": {"optimizer": 9}}))
    assert cil.runs(str(tmp_path / "**"))["excluded"].isna().all(), "other code: nothing of it is counted twice"


@pytest.mark.parametrize("paths", [None, 3, [3], []])
def test_what_is_no_path_is_an_error(paths):
    with pytest.raises(ConfigError, match="is no path; valid: a run"):
        cil.runs(paths)
    with pytest.raises(ConfigError, match="is no path; valid is a run's folder"):
        cil.load(paths)


def test_what_matches_a_pattern_and_is_no_run_is_passed_over(finished: Finished, tmp_path):
    """In the folder of a sweep stand the report and the folder of links to its curves."""
    run = finished.copy(tmp_path / "a")
    (tmp_path / "report.html").touch()
    (tmp_path / "curves").mkdir()
    (tmp_path / "curves" / "seed=1").symlink_to(run)

    assert cil.runs(str(tmp_path / "*"))["run"].tolist() == [str(run)]
    with pytest.raises(ConfigError, match="curves: no run found"):
        cil.runs([run, tmp_path / "curves"])


@pytest.mark.parametrize("pattern", ["nothing/**", "nothing", "nothing*"])
def test_no_run_is_an_error(tmp_path, pattern: str):
    (tmp_path / "nothing_here").mkdir()
    with pytest.raises(ConfigError, match="nothing"):
        cil.runs(tmp_path / pattern)
