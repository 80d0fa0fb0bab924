"""Runs whose images are decoded in worker processes: signals reach the whole group, and nobody is left behind."""

import os
import random
import signal
from pathlib import Path

import pytest
from PIL import Image

from tests.faults.runs import Running, assert_clean_exit, assert_same_outcome, run, status, wait_until

pytestmark = pytest.mark.faults


@pytest.fixture(scope="module")
def images(tmp_path_factory) -> Path:
    """Six classes of eight training images, 80 x 80."""
    root, draw = tmp_path_factory.mktemp("images"), random.Random(0)
    for split, count in (("train", 8), ("val", 2)):
        for name in "abcdef":
            (root / split / name).mkdir(parents=True)
            for number in range(count):
                small = Image.frombytes("RGB", (5, 5), draw.randbytes(75))
                small.resize((80, 80)).save(root / split / name / f"{number}.png")
    return root


def arguments(images: Path, folder: Path) -> list[str]:
    settings = ["device=cpu", "dataset=image_folder", f"dataset.root={images}", "dataset.image_size=72"]
    settings += ["split=2-2", "backbone=resnet8", "trainer.init_epochs=2", "trainer.inc_epochs=2"]
    settings += ["trainer.batch_size=8", "memory.size=12", "dataset.num_workers=2", "tracking.tensorboard=true"]
    return [*settings, f"hydra.run.dir={folder}"]


def members(session: int) -> set[int]:
    """Processes of a session."""
    found = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[3]) == session and fields[0] != "Z":
                found.add(int(entry.name))
    return found


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_all_processes_stops_the_run_in_order(images, tmp_path, signum):
    for name in ("unbroken", "run"):
        folder = tmp_path / name
        process = Running(*arguments(images, folder), cwd=tmp_path, plan={"slow": 0.5}, fresh=True, group=True)
        if name == "unbroken":
            ended = process.wait()
            assert ended.code == 0, ended.text
            continue
        wait_until(lambda at=folder: (at / "metrics.jsonl").exists() and (at / "metrics.jsonl").stat().st_size > 0)
        assert len(members(process.pid)) > 3, "the run, its fork server and its workers"
        os.killpg(process.pid, signum)
        assert_clean_exit(process.wait(), 128 + signum)
        wait_until(lambda pid=process.pid: not members(pid), seconds=60)
    assert status(folder)["state"] == "interrupted"
    assert_clean_exit(run(f"resume={folder}", cwd=tmp_path, fresh=True), 0)
    assert_same_outcome(folder, tmp_path / "unbroken")


def test_the_workers_of_a_killed_run_end_too(images, tmp_path):
    folder = tmp_path / "run"
    process = Running(*arguments(images, folder), cwd=tmp_path, plan={"slow": 0.5}, fresh=True, group=True)
    wait_until(lambda: (folder / "metrics.jsonl").exists() and (folder / "metrics.jsonl").stat().st_size > 0)
    assert len(members(process.pid)) > 3
    process.send(signal.SIGKILL)
    assert process.wait().code == -signal.SIGKILL
    wait_until(lambda: not members(process.pid), seconds=60)
