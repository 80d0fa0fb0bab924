"""Which folders are runs, and why some do not count."""

import json
import os
import shutil
import socket
from pathlib import Path
from typing import Any

import pytest

from cil.config.identity import settings_of_result
from cil.report.errors import ReportError
from cil.report.runs import Excluded, Run, code_version, find_runs, read_run
from tests.report.synthetic import config, write_run


def reason(folder: Path) -> str:
    outcome = read_run(folder)
    assert isinstance(outcome, Excluded)
    return outcome.reason


def test_a_finished_run(tmp_path: Path) -> None:
    run = read_run(write_run(tmp_path / "a", seed=7))
    assert isinstance(run, Run)
    assert (run.seed, run.settings["loss.name"]) == (7, "ant")


def test_runs_are_found_anywhere_below_and_only_once(tmp_path: Path) -> None:
    write_run(tmp_path / "x" / "sweep" / "a")
    write_run(tmp_path / "x" / "b", seed=2)
    found = find_runs([tmp_path, tmp_path / "x", tmp_path / "x" / "b"])
    assert [run.path.name for run in found.runs] == ["b", "a"]


def test_sweep_warnings_are_read_also_above_a_run(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "sweep" / "a")
    (tmp_path / "sweep" / "sweep.json").write_text(json.dumps({"warnings": ["ant_margin: no effect"]}))
    for path in (tmp_path, folder):
        assert find_runs([path]).sweeps == [{"warnings": ["ant_margin: no effect"]}]


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (
            {"state": "failed", "error": "DataError: x", "where": {"task": 2, "epoch": 3}},
            "failed: DataError: x (task 2, ",
        ),
        ({"state": "interrupted", "where": {"task": 1}}, "interrupted (task 1)"),
        ({"state": "running"}, "unfinished: still running"),
        ({"state": "exploded"}, "unknown state 'exploded'"),
    ],
)
def test_unfinished_runs_do_not_count_even_with_a_result(tmp_path: Path, status: dict, expected: str) -> None:
    assert reason(write_run(tmp_path / "a", status=status)).startswith(expected)


def test_a_running_run_whose_process_is_gone(tmp_path: Path) -> None:
    dead = {"state": "running", "host": socket.gethostname(), "pid": 2**22 + 1}
    assert "process is gone" in reason(write_run(tmp_path / "a", status=dead))
    alive = dead | {"pid": os.getpid()}
    assert "still running" in reason(write_run(tmp_path / "b", status=alive))


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("result.json", '{"matrices": ', "result.json cannot be read"),
        ("result.json", '{"matrices": NaN}', "NaN is no number"),
        ("result.json", "[]", "result.json cannot be read: it holds no object"),
        ("result.json", "{}", "result.json lacks 'matrices'"),
        ("config.yaml", "a: [", "config.yaml cannot be read"),
        ("config.yaml", "a: 1", "config.yaml holds no configuration"),
        ("status.json", "\x00", "status.json cannot be read"),
        ("metrics.jsonl", '{"kind": "epoch", "step": 1, "task": 1, x}\n{}\n', "metrics.jsonl: line 1 is not JSON"),
    ],
)
def test_broken_files_are_named(tmp_path: Path, name: str, text: str, expected: str) -> None:
    folder = write_run(tmp_path / "a")
    (folder / name).write_text(text)
    assert expected in reason(folder)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"schema_version": 99}, "schema version 99"),
        ({"incremental_avg_top1": 99.0}, "contradicts itself: incremental_avg_top1 is 99.0"),
        ({"matrices": {"top1": [["x"]]}, "curves": {"top1": ["x"]}}, "do not agree"),
        ({"matrices": {"top1": [[1.0], [2.0]]}, "curves": {"top1": [1.0, 2.0]}}, "row t"),
        ({"tasks": []}, "do not agree"),
        ({"val": {"matrices": {"top1": [["x"]]}, "curves": {"top1": ["x"]}}}, "malformed"),
    ],
)
def test_results_that_cannot_be_true(tmp_path: Path, change: dict, expected: str) -> None:
    assert expected in reason(write_run(tmp_path / "a", result=change))


def test_missing_files(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "a")
    (folder / "result.json").unlink()
    assert reason(folder) == "finished, but result.json is missing"
    other = write_run(tmp_path / "b")
    (other / "metrics.jsonl").unlink()
    (other / "status.json").unlink()
    assert isinstance(read_run(other), Run)  # a copied result.json still counts, without curves


def test_settings_that_are_not_those_of_the_result(tmp_path: Path) -> None:
    """Somebody edited config.yaml: the figures would be told of settings that they are not of."""
    result = {"settings": settings_of_result(config(seed=1))}
    folder = write_run(tmp_path / "a", seed=1, result=result)
    assert isinstance(read_run(folder), Run)
    path = folder / "config.yaml"
    path.write_text(path.read_text().replace("\nseed: 1\n", "\nseed: 7\n"))
    assert reason(folder) == "config.yaml is not the one that result.json is of (seed: 7, not 1)"


def test_paths_that_hold_nothing(tmp_path: Path) -> None:
    with pytest.raises(ReportError, match="no run found"):
        find_runs([tmp_path])
    with pytest.raises(ReportError, match="no such folder"):
        find_runs([tmp_path / "missing"])
    (tmp_path / "file").write_text("")
    with pytest.raises(ReportError, match="is not a folder"):
        find_runs([tmp_path / "file"])


def test_code_version_from_the_result_or_the_id(tmp_path: Path) -> None:
    def version(name: str, **result: object) -> object:
        run = read_run(write_run(tmp_path / name, result=result))
        assert isinstance(run, Run)
        return set(code_version(run).values())

    assert version("a") == {1}
    assert version("b", results_version=7) == {7}
    assert version("c", config_id="0" * 12) == {None}
    assert version("d", part_versions={"optimizer": 2}) == {1, 2}


def test_folders_of_event_files_are_not_searched(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "a")
    shutil.copytree(folder, folder / "checkpoints" / "old")
    assert len(find_runs([tmp_path]).runs) == 1


def _lines(folder: Path) -> list[str]:
    return (folder / "metrics.jsonl").read_text().splitlines(keepends=True)


@pytest.mark.parametrize(
    ("damaged", "expected"),
    [
        (lambda lines: lines[:5], "metrics.jsonl holds 4 of 6 epochs"),
        (lambda lines: [*lines[:4], lines[4][:50]], "metrics.jsonl holds 3 of 6 epochs"),
        (lambda lines: lines[:-1], "metrics.jsonl holds the end of 2 of 3 tasks"),
        (lambda lines: [*lines[:3], "\0" * 80 + "\n", *lines[4:]], "metrics.jsonl holds 5 of 6 epochs"),
        (lambda lines: [*lines[:3], lines[3][:60] + "\n", *lines[4:]], "metrics.jsonl: line 4 is not JSON"),
        (lambda lines: [*lines[:3], lines[3].rstrip() + lines[4], *lines[5:]], "metrics.jsonl: line 4 is not JSON"),
        (lambda lines: [], "metrics.jsonl holds 0 of 6 epochs"),
    ],
)
def test_a_finished_run_whose_metrics_lack_a_part_does_not_count(tmp_path: Path, damaged: Any, expected: str) -> None:
    folder = write_run(tmp_path / "a")
    (folder / "metrics.jsonl").write_text("".join(damaged(_lines(folder))))
    assert reason(folder) == expected


def test_beside_a_cut_copy_the_whole_one_counts(tmp_path: Path) -> None:
    """The cut one comes first in every order there is: by start, by path."""
    whole = write_run(tmp_path / "b")
    shutil.copytree(whole, tmp_path / "a")
    (tmp_path / "a" / "metrics.jsonl").write_text("".join(_lines(whole)[:5]))
    found = find_runs([tmp_path])
    assert [run.path for run in found.runs] == [whole]
    assert found.runs[0].curves.values["contrast/gap"][-1] == 0.8


def test_an_epoch_written_twice_counts_once(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "a")
    lines = _lines(folder)
    (folder / "metrics.jsonl").write_text("".join([*lines[:2], lines[1], *lines[2:]]))
    run = read_run(folder)
    assert isinstance(run, Run) and run.curves.epochs == 6
