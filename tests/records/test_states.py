"""The state of a run, seen from outside."""

import json

import pytest

from cil.records.lock import locked
from cil.records.states import State, is_locked, look


def note(folder, **status):
    (folder / "status.json").write_text(json.dumps(status))


def test_nothing_there(tmp_path):
    assert look(None).state is State.new
    assert look(tmp_path / "none").state is State.new
    assert look(tmp_path).state is State.new
    assert not is_locked(tmp_path / "none")


def test_states_of_the_run_itself(tmp_path):
    (tmp_path / "result.json").write_text("{}")
    for name in ("finished", "failed", "interrupted"):
        note(tmp_path, state=name)
        assert look(tmp_path).state is State[name]
    note(tmp_path, state="nonsense")
    assert look(tmp_path).state is State.interrupted


def test_a_lost_status_of_a_run_that_can_be_continued(tmp_path):
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "t0001-e000000-s00000001-0123456789abcdef.pt").write_text("")
    assert look(tmp_path).state is State.interrupted


def test_running_is_what_holds_the_lock(tmp_path):
    note(tmp_path, state="running")
    assert look(tmp_path).state is State.interrupted, "killed: it could not say so"
    with locked(tmp_path):
        assert is_locked(tmp_path)
        assert look(tmp_path).state is State.running
    assert look(tmp_path).state is State.interrupted


def test_looking_leaves_no_lock_behind(tmp_path):
    with locked(tmp_path):
        pass
    assert not is_locked(tmp_path)
    with locked(tmp_path):
        pass


def test_the_result_of_a_finished_run(tmp_path):
    note(tmp_path, state="finished")
    (tmp_path / "result.json").write_text('{"last_top1": 3}')
    assert look(tmp_path).result == {"last_top1": 3}


@pytest.mark.parametrize("content", [None, "{", "[]"])
def test_without_a_result_nothing_is_finished(tmp_path, content):
    note(tmp_path, state="finished")
    if content is not None:
        (tmp_path / "result.json").write_text(content)
    found = look(tmp_path)
    assert found.state is State.failed
    assert "result.json: is missing or damaged" in found.status["error"]
