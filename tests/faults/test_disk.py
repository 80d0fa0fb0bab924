"""A full disk, a disk that cannot be written, and a clock that is set back."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from cil.records.checkpoint import read_checkpoint
from tests.faults.conftest import Reference
from tests.faults.runs import (
    EVERY_STEP,
    assert_clean_exit,
    assert_equal,
    assert_same_outcome,
    checkpoints,
    hashes,
    metrics,
    resume,
    status,
    train,
)

pytestmark = pytest.mark.faults


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 30 MB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=30m", "tmpfs", str(disk)], capture_output=True)
    if mounted.returncode:
        pytest.skip("a file system can only be mounted by root")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def make_read_only(disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)


def make_writable(disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)


def failures(text: str) -> list[str]:
    return [line for line in text.splitlines() if "checkpoint not saved" in line]


def test_a_disk_that_is_full_for_a_while(reference: Reference, small_disk, tmp_path):
    """Full from step 10 to 12, where an epoch ends too: afterwards every file is whole again."""
    folder = small_disk / "run"
    plan = {"full": {"file": str(small_disk / "ballast"), "after": 10, "until": 12}}
    ended = train(folder, EVERY_STEP, plan=plan)
    assert_clean_exit(ended, 0)
    assert [line.partition("not saved ")[2][:8] for line in failures(ended.stdout)] == ["(1 of 3 ", "(2 of 3 "]
    assert all("No space left" in line and "the one before is kept" in line for line in failures(ended.stdout))
    assert_same_outcome(folder, reference.folder)


def test_a_disk_that_stays_full(reference: Reference, small_disk):
    folder = small_disk / "run"
    plan = {"full": {"file": str(small_disk / "ballast"), "after": 7}}
    ended = train(folder, EVERY_STEP, plan=plan)
    assert_clean_exit(ended, 1)
    assert len(failures(ended.stdout)) == 3
    assert "No space left" in ended.stderr.splitlines()[-1]
    newest = checkpoints(folder)[-1]
    assert newest.name.startswith("t0002-e000000-s00000001")
    read_checkpoint(newest)
    os.unlink(small_disk / "ballast")
    assert_clean_exit(resume(folder), 0)
    assert_same_outcome(folder, reference.folder)


def test_a_task_that_ends_on_a_full_disk_has_its_model_saved_later(reference: Reference, small_disk, tmp_path):
    settings = (EVERY_STEP, "checkpoint.keep_tasks=true", "checkpoint.max_failures=10")
    plan = {"full": {"file": str(small_disk / "ballast"), "after": 15, "until": 17}}
    ended = train(small_disk / "run", *settings, plan=plan)
    assert_clean_exit(ended, 0)
    assert len(failures(ended.stdout)) == 3
    assert_clean_exit(train(tmp_path / "run", *settings), 0)
    models = []
    for folder in (small_disk / "run", tmp_path / "run"):
        (path,) = (folder / "checkpoints").glob("task-02-*.pt")
        models.append(read_checkpoint(path)["method"])
    assert_equal(*models)


def test_a_disk_that_is_full_when_the_run_ends(reference: Reference, small_disk):
    """The last task is saved, but there is no room for result.json: the run is not called finished."""
    folder = small_disk / "run"
    plan = {"full": {"file": str(small_disk / "ballast"), "after": 36}}
    ended = train(folder, "checkpoint.max_failures=10", plan=plan)
    assert_clean_exit(ended, 1)
    assert "No space left" in ended.stderr.splitlines()[-1]
    os.unlink(small_disk / "ballast")
    assert_clean_exit(resume(folder), 0)
    assert_same_outcome(folder, reference.folder)


def test_a_folder_that_cannot_be_written(unfinished, small_disk):
    folder = Path(shutil.copytree(unfinished, small_disk / "run"))
    before = hashes(folder)
    make_read_only(small_disk)
    try:
        told = [(resume(folder), 1, "Read-only file system"), (train(small_disk / "new"), 2, "cannot be written to")]
        for ended, code, words in told:
            assert_clean_exit(ended, code)
            assert len(ended.stderr.strip().splitlines()) <= 3, "warnings of the configuration, and one line"
            assert words in ended.stderr.splitlines()[-1]
            assert str(small_disk) in ended.stderr.splitlines()[-1]
    finally:
        make_writable(small_disk)
    assert hashes(folder) == before
    assert not (small_disk / "new").exists()


def test_a_clock_that_is_set_back(reference: Reference, tmp_path):
    """By an hour after every step, before and after an interruption: no order depends on it."""
    folder = tmp_path / "run"
    plan = {"clock": 3600, "faults": [["step", 15, 9]]}
    assert train(folder, EVERY_STEP, plan=plan).code == -9
    for path in checkpoints(folder):
        os.utime(path, (0, 0))
    os.utime(checkpoints(folder)[0], (2_000_000_000, 2_000_000_000))
    ended = resume(folder, plan={"clock": 3600})
    assert_clean_exit(ended, 0)
    assert "damaged" not in ended.stdout
    assert_same_outcome(folder, reference.folder)
    assert len(metrics(folder)) == 12
    assert status(folder)["state"] == "finished"
