"""The unbroken run that every interrupted one is compared with."""

import json
import shutil
import signal
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.faults.runs import EVERY_STEP, assert_tidy, checkpoints, train

CUDA = ("device=cuda", "trainer.deterministic=true")


@dataclass(frozen=True)
class Reference:
    """A finished run, how often each place was passed, and its training batches in order."""

    folder: Path
    calls: dict[str, int]
    batches: list[list]


def read_batches(path: Path) -> list[list]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def make_reference(home: Path, *overrides: str) -> Reference:
    plan = {"calls": str(home / "calls"), "batches": str(home / "batches")}
    ended = train(home / "run", EVERY_STEP, *overrides, plan=plan)
    assert ended.code == 0, ended.text
    assert_tidy(home / "run")
    return Reference(home / "run", json.loads((home / "calls").read_text()), read_batches(home / "batches"))


@pytest.fixture(scope="session")
def killed_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that was killed after its 8th step, with a checkpoint of steps 7 and 8. To be copied."""
    folder = tmp_path_factory.mktemp("killed") / "run"
    ended = train(folder, EVERY_STEP, plan={"faults": [["step", 9, signal.SIGKILL]]})
    assert ended.code == -signal.SIGKILL, ended.text
    assert len(checkpoints(folder)) == 2
    return folder


@pytest.fixture
def unfinished(killed_run: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(killed_run, tmp_path / "run"))


@pytest.fixture(scope="session")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Reference:
    return make_reference(tmp_path_factory.mktemp("reference"))


@pytest.fixture(scope="session")
def cuda_reference(tmp_path_factory: pytest.TempPathFactory) -> Reference:
    return make_reference(tmp_path_factory.mktemp("cuda_reference"), *CUDA)
