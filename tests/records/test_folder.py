import errno
import json
import os

import pytest

from cil.errors import ConfigError, DataError
from cil.files import write_atomically
from cil.records import folder as module
from cil.records.folder import (
    RunFolder,
    finished_result,
    is_empty,
    plain,
    read_status,
    refuse_unfinished,
    remove_if_unused,
)
from cil.records.lock import locked


def test_files_never_hold_nan():
    assert plain({"a": [float("nan"), 1.0, {"b": float("inf")}], "c": (2,)}) == {
        "a": [None, 1.0, {"b": None}],
        "c": [2],
    }


def test_status_goes_from_running_to_the_end(tmp_path):
    folder = RunFolder(tmp_path)
    assert read_status(tmp_path) == {}
    folder.begin()
    running = read_status(tmp_path)
    assert running["state"] == "running"
    assert running["pid"] > 0
    folder.progress(task=1)
    folder.end("failed", error="boom", where={"task": 1})
    failed = json.loads(folder.status.read_text())
    assert (failed["state"], failed["error"], failed["where"]) == ("failed", "boom", {"task": 1})
    assert failed["progress"] == {"task": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["status.json"]


def test_a_file_is_replaced_as_a_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "file"
    write_atomically(path, "before")
    (tmp_path / ".file.tmp").write_text("left by a process that was killed")

    def full(handle):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_atomically(path, "after")
    assert path.read_text() == "before"
    monkeypatch.undo()
    write_atomically(path, "after")
    assert path.read_text() == "after"
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_a_run_is_finished_only_once_its_result_is_written(tmp_path, monkeypatch):
    run = RunFolder(tmp_path)
    run.begin()

    def full(path, text, durable=True):
        if path == run.result:
            raise OSError(errno.ENOSPC, "No space left on device")
        write_atomically(path, text, durable)

    monkeypatch.setattr(module, "write_atomically", full)
    with pytest.raises(OSError, match="No space left"):
        run.finish({"incremental_avg_top1": 50.0})
    assert read_status(tmp_path)["state"] == "running"
    monkeypatch.undo()
    run.finish({"incremental_avg_top1": 50.0})
    assert read_status(tmp_path)["state"] == "finished"
    assert json.loads(run.result.read_text()) == {"incremental_avg_top1": 50.0}


@pytest.mark.parametrize("content", ["", "[]", "null"])
def test_a_damaged_status_is_none(tmp_path, content):
    (tmp_path / "status.json").write_text(content)
    assert read_status(tmp_path) == {}


FILES = ["status.json", "metrics.jsonl", "result.json"]


@pytest.mark.parametrize("left", [*FILES, "checkpoints/t0001-e000000-s00000001-0123456789abcdef.pt"])
def test_what_is_left_of_a_run_is_not_overwritten(tmp_path, left):
    refuse_unfinished(tmp_path)
    (tmp_path / left).parent.mkdir(exist_ok=True)
    (tmp_path / left).write_text("")
    with pytest.raises(ConfigError, match="files of something else"):
        refuse_unfinished(tmp_path)
    (tmp_path / "config.yaml").write_text("")
    with pytest.raises(ConfigError, match="resume="):
        refuse_unfinished(tmp_path)


def started(path):
    """What a run leaves that stops before its first step."""
    folder = RunFolder(path)
    path.mkdir()
    folder.config.write_text("seed: 1")
    folder.begin()
    folder.metrics.write_text("")
    folder.tensorboard.mkdir()
    folder.checkpoints.mkdir()
    (folder.tensorboard / "events").write_text("version")
    return folder


def test_a_folder_without_a_step_is_removed(tmp_path):
    assert is_empty(tmp_path / "run") and is_empty(tmp_path)
    folder = started(tmp_path / "run")
    assert not is_empty(folder.path)
    folder.end("interrupted", reason="stopped")
    assert remove_if_unused(folder.path)
    assert list(tmp_path.iterdir()) == []
    assert not remove_if_unused(folder.path), "there is nothing left to remove"
    (tmp_path / "empty").mkdir()
    assert remove_if_unused(tmp_path / "empty")


@pytest.mark.parametrize("what", ["a step", "figures", "a checkpoint", "a result", "a file of someone else", "a lock"])
def test_a_folder_with_anything_of_value_stays(tmp_path, what):
    folder = started(tmp_path / "run")
    if what == "a step":
        folder.progress(task=1, epoch=0, step=1)
        folder.end("failed", error="DataError: x")
    files = {
        "figures": "metrics.jsonl",
        "a checkpoint": "checkpoints/t0001.pt",
        "a result": "result.json",
        "a file of someone else": "notes.txt",
    }
    if what in files:
        (folder.path / files[what]).write_text("{}")
    before = sorted(folder.path.rglob("*"))
    if what == "a lock":
        with locked(folder.path):
            assert not remove_if_unused(folder.path)
    else:
        assert not remove_if_unused(folder.path)
    assert set(before) <= set(folder.path.rglob("*"))


def test_a_result_beside_an_edited_configuration_is_refused(tmp_path):
    (tmp_path / "config.yaml").write_text("seed: 3\nloss:\n  name: ant\n")
    result = {"settings": {"seed": 3, "loss.name": "ant"}}
    (tmp_path / "result.json").write_text(json.dumps(result))
    assert finished_result(tmp_path) == result
    (tmp_path / "config.yaml").write_text("seed: 4\nloss:\n  name: ant\n")
    with pytest.raises(DataError) as refused:
        finished_result(tmp_path)
    assert str(refused.value) == (
        f"{tmp_path}: config.yaml is not the one that result.json is of (seed: 4, not 3); put the run's own file back, "
        f"or train these settings with rerun={tmp_path}"
    )
    for unreadable in ("seed: [", "- 3", ""):
        (tmp_path / "config.yaml").write_text(unreadable)
        assert finished_result(tmp_path) == result, "that file is damaged: told by who reads it"
    (tmp_path / "result.json").write_text("{")
    with pytest.raises(DataError, match="missing or damaged"):
        finished_result(tmp_path)


def test_a_disk_that_is_full_names_the_file(tmp_path, monkeypatch):
    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match=r"No space left on device: '.*/status\.json'") as failed:
        write_atomically(tmp_path / "status.json", "{}")
    assert failed.value.errno == 28
    assert not list(tmp_path.iterdir())
