import errno
import os

import pytest
import torch

from cil.records import checkpoint
from cil.records.checkpoint import CheckpointFolder, DamagedCheckpoint, on_cpu, read_checkpoint, write_checkpoint


def state(task: int, epoch: int = 0, step: int = 0, **more: object) -> dict:
    return {"trainer": {"cursor": {"finished_tasks": task, "epoch": epoch, "step": step}}, **more}


def labels(folder) -> list[str]:
    return sorted(path.name.rsplit("-", 1)[0] for path in folder.iterdir())


def test_a_state_comes_back_as_it_was(tmp_path):
    saved = state(1, weights=torch.randn(3, generator=torch.Generator().manual_seed(0)), records=[{"a": None}])
    path = write_checkpoint(tmp_path, "t0001-e000000-s00000000", saved)
    loaded = read_checkpoint(path)
    assert torch.equal(loaded.pop("weights"), saved.pop("weights"))
    assert loaded == saved
    assert [p.name for p in tmp_path.iterdir()] == [path.name], "no temporary file may stay"


def test_only_tensors_and_plain_values_are_read(tmp_path):
    class Evil:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / "executed"),))

    path = write_checkpoint(tmp_path, "final", {"evil": Evil()})
    with pytest.raises(DamagedCheckpoint, match="cannot be read"):
        read_checkpoint(path)
    assert not (tmp_path / "executed").exists()


def damage_cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def damage_flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def damage_delete(path):
    path.unlink()


def damage_rename(path):
    path.rename(path.with_name(path.name.replace(path.stem[-4:], "0000")))


@pytest.mark.parametrize("damage", [damage_cut, damage_flip, damage_delete, damage_rename])
def test_a_damaged_newest_file_is_named_and_the_one_before_is_used(tmp_path, damage):
    checkpoints = CheckpointFolder(tmp_path)
    checkpoints.save(state(0, 3, 7))
    newest = checkpoints.save(state(0, 4, 1))
    damage(newest)
    loaded, problems = checkpoints.newest()
    assert loaded == state(0, 3, 7)
    if damage is damage_delete:
        assert problems == []
    else:
        assert len(problems) == 1
        assert newest.name.rsplit("-", 1)[0] in problems[0]


def test_with_every_file_damaged_there_is_none_but_each_is_named(tmp_path):
    checkpoints = CheckpointFolder(tmp_path)
    for step in (1, 2):
        damage_flip(checkpoints.save(state(0, 0, step)))
    loaded, problems = checkpoints.newest()
    assert loaded is None
    assert len(problems) == 2


def test_the_newest_two_are_kept_by_position_not_by_clock(tmp_path):
    checkpoints = CheckpointFolder(tmp_path)
    for task, epoch, step in [(0, 0, 9), (0, 0, 10), (0, 1, 2), (1, 0, 0)]:
        path = checkpoints.save(state(task, epoch, step))
        os.utime(path, (0, 0))  # a clock that was set back
    assert labels(tmp_path) == ["t0001-e000001-s00000002", "t0002-e000000-s00000000"]
    assert checkpoints.newest()[0] == state(1, 0, 0)


def continued_past(tmp_path, damaged):
    """The folder of a run that went on from step 1, since the file of the `damaged` place is."""
    checkpoints = CheckpointFolder(tmp_path)
    checkpoints.save(state(0, 0, 1))
    damage_cut(checkpoints.save(state(*damaged)))
    continued = CheckpointFolder(tmp_path)
    assert continued.newest()[0] == state(0, 0, 1)
    return continued


def test_going_on_from_an_earlier_file_overtakes_the_damaged_later_one(tmp_path):
    continued = continued_past(tmp_path, (0, 5, 0))
    continued.save(state(0, 0, 2))
    assert labels(tmp_path) == ["t0001-e000000-s00000001", "t0001-e000000-s00000002"]


def test_the_file_before_the_newest_is_a_whole_one(tmp_path):
    """The damaged file of step 2 must not be kept as a way back."""
    damage_cut(continued_past(tmp_path, (0, 0, 2)).save(state(0, 0, 20)))
    assert CheckpointFolder(tmp_path).newest()[0] == state(0, 0, 1)


def test_a_full_disk_leaves_the_files_before_and_nothing_else(tmp_path, monkeypatch):
    checkpoints = CheckpointFolder(tmp_path)
    checkpoints.save(state(0, 0, 1))

    def full(path, data):
        path.write_bytes(data[:10])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(checkpoint, "_write", full)
    with pytest.raises(OSError, match="No space left"):
        checkpoints.save(state(0, 0, 2))
    assert labels(tmp_path) == ["t0001-e000000-s00000001"]


def test_what_is_read_back_wrong_is_not_taken(tmp_path, monkeypatch):
    checkpoints = CheckpointFolder(tmp_path)
    checkpoints.save(state(0, 0, 1))
    monkeypatch.setattr(checkpoint, "_write", lambda path, data: path.write_bytes(bytes(data)[:-1]))
    with pytest.raises(OSError, match="read back"):
        checkpoints.save(state(0, 0, 2))
    assert checkpoints.newest()[0] == state(0, 0, 1)


def test_a_finished_run_keeps_its_models_only(tmp_path):
    checkpoints = CheckpointFolder(tmp_path)
    checkpoints.save(state(0, 0, 1))
    checkpoints.save_model("task-01", {"a": 1})
    checkpoints.save_model("final", {"a": 1})
    checkpoints.save_model("final", {"a": 2})
    checkpoints.remove_resumable()
    assert labels(tmp_path) == ["final", "task-01"]
    assert read_checkpoint(next(tmp_path.glob("final-*"))) == {"a": 2}


def between_tasks(task: int, begun: bool = False) -> dict:
    parts = {"method": {}, "scaler": {}, "epoch_stats": {}, "task_end": {}}
    return {"cursor": {"finished_tasks": task, "epoch": 0, "step": 0, "begun": begun}} | parts


def test_the_state_after_a_task_is_one_to_continue_from(tmp_path):
    checkpoints = CheckpointFolder(tmp_path)
    assert checkpoints.after_task(1) is None
    checkpoints.save_model("task-01", {"config": {}, "records": [1]} | between_tasks(1))
    assert checkpoints.after_task(1) == {
        "config": {}, "records": [1], "trainer": between_tasks(1) | {"optimizer": None},
    }  # fmt: skip
    checkpoints.save({"trainer": between_tasks(2)})
    assert checkpoints.after_task(2) == {"trainer": between_tasks(2)}


def test_a_model_alone_and_a_task_that_has_begun_are_none(tmp_path):
    checkpoints = CheckpointFolder(tmp_path)
    checkpoints.save_model("task-01", {"config": {}, "method": {}, "task_end": {}})
    checkpoints.save({"trainer": between_tasks(2, begun=True)})
    assert checkpoints.after_task(1) is None and checkpoints.after_task(2) is None


def test_what_a_killed_process_left_is_written_over(tmp_path, monkeypatch):
    checkpoints = CheckpointFolder(tmp_path)

    class Killed(BaseException):
        pass

    def killed(path, data):
        path.write_bytes(data[:10])
        monkeypatch.setattr(type(path), "unlink", lambda *_, **__: None)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "_write", killed)
        with pytest.raises(Killed):
            checkpoints.save(state(0, 0, 1))
    monkeypatch.undo()
    assert len(list(tmp_path.iterdir())) == 1
    checkpoints.save(state(0, 0, 2))
    assert labels(tmp_path) == ["t0001-e000000-s00000002"]


def test_an_old_model_is_kept_until_the_new_one_is_whole(tmp_path, monkeypatch):
    checkpoints = CheckpointFolder(tmp_path)
    checkpoints.save_model("final", {"a": 1})

    def full(path, data):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(checkpoint, "_write", full)
    with pytest.raises(OSError, match="No space left"):
        checkpoints.save_model("final", {"a": 2})
    assert read_checkpoint(next(tmp_path.glob("final-*"))) == {"a": 1}


def test_a_copy_on_the_cpu_shares_nothing():
    tensor = torch.zeros(2)
    copy = on_cpu({"a": [tensor, {"b": tensor}], "c": "text"})
    tensor += 1
    assert copy["a"][0].tolist() == copy["a"][1]["b"].tolist() == [0, 0]
    assert copy["c"] == "text"
