"""Real CIFAR-100 at small scale, killed twice. CIL_CIFAR100 names the folder that holds it."""

import os
import signal
from pathlib import Path

import pytest

from tests.faults.runs import EVERY_STEP, Ended, assert_same_outcome, resume, run

pytestmark = [
    pytest.mark.faults,
    pytest.mark.skipif("CIL_CIFAR100" not in os.environ, reason="CIL_CIFAR100 names no folder with CIFAR-100"),
]
SETTINGS = (
    "device=cpu",
    "dataset=cifar100",
    "split=10-10",
    "backbone=resnet20",
    "dataset.max_train_per_class=8",
    "dataset.max_test_per_class=4",
    "trainer.init_epochs=2",
    "trainer.inc_epochs=2",
    "trainer.batch_size=40",
    "trainer.max_tasks=3",
    "memory.size=120",
)


def train(folder: Path, calls: list) -> Ended:
    root = f"dataset.root={os.environ['CIL_CIFAR100']}"
    return run(*SETTINGS, EVERY_STEP, root, f"hydra.run.dir={folder}", cwd=folder.parent, plan={"faults": calls})


def test_a_run_killed_twice_has_the_same_figures(tmp_path):
    ended = train(tmp_path / "unbroken", [])
    assert ended.code == 0, ended.text
    folder = tmp_path / "run"
    assert train(folder, [["optimizer", 7, signal.SIGKILL]]).code == -9
    ended = resume(folder, plan={"faults": [["herding", 15, signal.SIGKILL]]})
    assert ended.code == -9, ended.text
    ended = resume(folder)
    assert ended.code == 0, ended.text
    assert_same_outcome(folder, tmp_path / "unbroken")
