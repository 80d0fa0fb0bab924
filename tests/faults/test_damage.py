"""Damaged checkpoints are named, the one before is used, and a run never starts over in silence."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.conftest import Reference
from tests.faults.runs import assert_clean_exit, assert_same_outcome, checkpoints, metrics, resume, status


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 3] ^= 4
    path.write_bytes(data)


DAMAGES = [cut, flip, Path.unlink]
LONG = [pytest.param(damage, marks=pytest.mark.faults) for damage in (cut, Path.unlink)]


@pytest.mark.parametrize("damage", [flip, *LONG])
def test_the_checkpoint_before_a_damaged_one_is_used(reference: Reference, unfinished, damage):
    newest = checkpoints(unfinished)[-1]
    damage(newest)
    ended = resume(unfinished)
    assert_clean_exit(ended, 0)
    (line,) = [line for line in ended.stdout.splitlines() if "damaged checkpoint passed over" in line]
    assert newest.name in line
    assert newest.name in (unfinished / "train.log").read_text()
    assert_same_outcome(unfinished, reference.folder)


@pytest.mark.faults
@pytest.mark.parametrize("damage", DAMAGES)
def test_without_a_whole_checkpoint_the_run_is_not_started_over(unfinished, damage):
    before, lines = checkpoints(unfinished), metrics(unfinished)
    for path in before:
        damage(path)
    ended = resume(unfinished)
    assert_clean_exit(ended, 1)
    assert "no whole checkpoint is left" in ended.stderr.splitlines()[-1]
    assert before[-1].name in ended.stdout
    if damage is not Path.unlink:
        assert before[0].name in ended.stdout
        assert checkpoints(unfinished) == before
    assert metrics(unfinished) == lines
    assert status(unfinished)["state"] == "failed"


@pytest.mark.faults
def test_a_lost_status_does_not_matter(reference: Reference, unfinished):
    (unfinished / "status.json").write_text("")
    assert_clean_exit(resume(unfinished), 0)
    assert_same_outcome(unfinished, reference.folder)


def test_a_finished_run_is_not_started_over_when_its_status_is_lost(reference: Reference, tmp_path):
    folder = Path(shutil.copytree(reference.folder, tmp_path / "run"))
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.name != "status.json"}
    (folder / "status.json").write_text("{")
    ended = resume(folder)
    assert_clean_exit(ended, 0)
    assert "was lost or damaged" in ended.stdout and "already finished" in ended.stdout
    assert status(folder)["state"] == "finished"
    changed = [path.name for path, content in before.items() if path.read_bytes() != content]
    assert set(changed) <= {"lock", "train.log", "result.json"}, changed
    assert json.loads((folder / "result.json").read_text()) == json.loads(before[folder / "result.json"])


@pytest.mark.parametrize("left", ["metrics.jsonl", "result.json"])
def test_a_later_task_is_not_started_over_without_its_checkpoint(reference: Reference, tmp_path, left):
    """metrics.jsonl of several tasks, or a result, and neither checkpoint nor model: something was deleted."""
    folder = tmp_path / "run"
    folder.mkdir()
    for name in ("config.yaml", left):
        shutil.copy(reference.folder / name, folder)
    ended = resume(folder)
    assert_clean_exit(ended, 1)
    assert "no whole checkpoint is left" in ended.stderr
    assert (folder / left).read_bytes() == (reference.folder / left).read_bytes()


@pytest.mark.faults
def test_an_edited_configuration_does_not_slip_in(unfinished):
    config = unfinished / "config.yaml"
    config.write_text(config.read_text().replace("batch_size: 10\n", "batch_size: 20\n"))
    ended = resume(unfinished)
    assert_clean_exit(ended, 2)
    assert "trainer.batch_size: 10 -> 20" in ended.stderr


READ = """
import sys
for name in ("omegaconf", "hydra", "cil"):
    sys.modules[name] = None  # importing it fails
import torch

def look(value):
    if isinstance(value, dict):
        return sum(look(v) for v in value.values()) + sum(look(k) for k in value)
    if isinstance(value, (list, tuple)):
        return sum(map(look, value))
    assert value is None or type(value) in (torch.Tensor, str, int, float, bool), type(value)
    return isinstance(value, torch.Tensor)

for path in sys.argv[1:]:
    print(look(torch.load(path)))
"""


def test_a_checkpoint_is_read_by_torch_alone(reference: Reference, killed_run):
    """With torch.load's safe defaults; the configuration library is not needed, nor is this project."""
    files = [*checkpoints(killed_run), *(reference.folder / "checkpoints").glob("final-*")]
    command = [sys.executable, "-c", READ, *map(str, files)]
    process = subprocess.run(command, cwd="/", capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stderr
    tensors = [int(line) for line in process.stdout.split()]
    assert len(tensors) == 3
    assert min(tensors) > 100
