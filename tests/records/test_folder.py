import errno
import json
import os

import pytest

from cil.errors import ConfigError
from cil.records import folder as module
from cil.records.folder import RunFolder, plain, read_status, refuse_unfinished, write_atomically


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
