"""SIGKILL at any moment: the run continued from its folder equals the unbroken one, bit for bit."""

import random
import signal
import time
from pathlib import Path

import pytest

from tests.faults.conftest import Reference, read_batches
from tests.faults.runs import (
    EVERY_STEP,
    SETTINGS,
    Ended,
    Running,
    assert_clean_exit,
    assert_same_outcome,
    checkpoints,
    final_model,
    resume,
    status,
    train,
    wait_until,
)

KILL = signal.SIGKILL
PLACES = {"optimizer": 4, "step": 4, "evaluation": 4, "herding": 3, "aligned": 1, "task": 1, "metrics": 2} | {
    "writing": 4,
    "renamed": 2,
}
"""How many points of the long suite lie at each place (see tests/faults/inject.py)."""


def drawn_points(seed: int) -> list[tuple[str, float, float]]:
    """(place, share of the run's calls of it, minutes between checkpoints), drawn anew only with another seed."""
    draw = random.Random(seed)
    points = []
    for place, count in PLACES.items():
        for _ in range(count):
            every = 1e-9 if place in ("writing", "renamed") else draw.choice([1e-9, 0.001, 10.0])
            points.append((place, draw.random(), every))
    return points


POINTS = drawn_points(1993)


def killed(folder: Path, place: str, call: int, *overrides: str) -> None:
    ended = train(folder, *overrides, plan={"faults": [[place, call, KILL]]})
    assert ended.code == -KILL, ended.text
    assert status(folder)["state"] == "running"


def finished(ended: Ended) -> None:
    assert_clean_exit(ended, 0)


@pytest.mark.faults
@pytest.mark.parametrize(("place", "share", "every"), POINTS, ids=[f"{p}-{s:.3f}-{e:g}min" for p, s, e in POINTS])
def test_a_run_killed_at_a_random_point(reference: Reference, tmp_path, place, share, every):
    call = 1 + int(share * reference.calls[place])
    killed(tmp_path / "run", place, call, f"checkpoint.every_minutes={every}")
    finished(resume(tmp_path / "run"))
    assert_same_outcome(tmp_path / "run", reference.folder)


def test_a_run_killed_five_times(reference: Reference, tmp_path):
    """Between two steps, in an evaluation, while herding, in the middle of a checkpoint and of a line of metrics."""
    folder = tmp_path / "run"
    killed(folder, "step", 9, EVERY_STEP)
    for place, call in [("evaluation", 9), ("herding", 3), ("writing", 6), ("metrics", 2)]:
        ended = resume(folder, plan={"faults": [[place, call, KILL]]})
        assert ended.code == -KILL, ended.text
        assert "continues after" in ended.stdout
    finished(resume(folder))
    assert_same_outcome(folder, reference.folder)


def test_the_next_batch_is_the_one_that_would_have_come(reference: Reference, tmp_path):
    """Sample ids and pixels, from the very next step on; the checkpoint of step 8 is the last one written."""
    folder = tmp_path / "run"
    killed(folder, "step", 9, EVERY_STEP)
    finished(resume(folder, plan={"batches": str(tmp_path / "batches")}))
    assert read_batches(tmp_path / "batches") == reference.batches[8:]
    assert_same_outcome(folder, reference.folder)


@pytest.mark.faults
def test_a_run_killed_after_two_of_four_tasks_has_every_point_of_its_task_curves(reference: Reference, tmp_path):
    folder = tmp_path / "run"
    killed(folder, "task", 3)
    finished(resume(folder))
    assert_same_outcome(folder, reference.folder)
    history = final_model(folder)["task_end"]["history"]
    assert [len(curve) for curve in history["curves"].values()] == [4] * 4
    assert [len(row) for row in history["matrices"]["top1"]] == [1, 2, 3, 4]


@pytest.mark.faults
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_run_killed_from_outside_again_and_again(reference: Reference, tmp_path, seed):
    """Whenever the signal comes: while the process starts, trains, or writes."""
    folder, draw, kills = tmp_path / "run", random.Random(seed), 0
    arguments = [*SETTINGS, "checkpoint.every_minutes=0.002", f"hydra.run.dir={folder}"]
    while True:
        process = Running(*arguments, cwd=tmp_path, plan={"slow": 0.05})
        wait_until(lambda p=process: (folder / "config.yaml").exists() or not p.alive)
        if kills < 6:
            time.sleep(draw.uniform(0.0, 1.5))
            process.send(KILL)
        ended = process.wait()
        if ended.code != -KILL:
            break
        kills += 1
        arguments = [f"resume={folder}"]
    assert ended.code == 0, ended.text
    assert kills > 1
    assert_same_outcome(folder, reference.folder)


@pytest.mark.faults
@pytest.mark.parametrize("place", ["final", "result", "finished"])
def test_a_run_killed_while_it_ends(reference: Reference, tmp_path, place):
    folder = tmp_path / "run"
    ended = train(folder, plan={"faults": [[place, 1, KILL]]})
    assert ended.code == -KILL, ended.text
    if place == "finished":  # only the removal of what a finished run does not need was left to do
        assert "already finished" in resume(folder).stdout
        for path in checkpoints(folder):
            path.unlink()
    else:
        assert status(folder)["state"] == "running"
        finished(resume(folder))
    assert_same_outcome(folder, reference.folder)


@pytest.mark.faults
@pytest.mark.parametrize("place", ["data", "optimizer", "rewriting"])
def test_a_run_killed_before_its_first_checkpoint_starts_over_and_says_so(reference: Reference, tmp_path, place):
    folder = tmp_path / "run"
    killed(folder, place, 1)
    ended = resume(folder)
    finished(ended)
    assert "stopped before its first checkpoint; it starts from the beginning" in ended.stdout
    assert_same_outcome(folder, reference.folder)


@pytest.mark.faults
def test_a_run_killed_while_its_metrics_are_cut_back(reference: Reference, tmp_path):
    folder = tmp_path / "run"
    killed(folder, "task", 3)
    ended = resume(folder, plan={"faults": [["rewriting", 1, KILL]]})
    assert ended.code == -KILL, ended.text
    assert len((folder / "metrics.jsonl").read_text().splitlines()) == 6, "two tasks of two epochs are saved"
    finished(resume(folder))
    assert_same_outcome(folder, reference.folder)


@pytest.mark.faults
def test_what_a_kill_left_of_a_checkpoint_is_cleared_away_by_the_next_one(tmp_path):
    folder = tmp_path / "run"
    killed(folder, "writing", 5, EVERY_STEP)
    assert list((folder / "checkpoints").glob(".*"))
    ended = resume(folder, plan={"faults": [["optimizer", 4, KILL]]})
    assert ended.code == -KILL, ended.text
    assert not list((folder / "checkpoints").glob(".*"))
    assert len(checkpoints(folder)) == 2


@pytest.mark.faults
def test_models_of_finished_tasks_are_all_kept(tmp_path):
    """Killed between the model of a task and the state after it, or in the middle of the model."""
    folder = tmp_path / "run"
    killed(folder, "writing", 3, "checkpoint.keep_tasks=true")
    finished(resume(folder))
    names = sorted(path.name.rsplit("-", 1)[0] for path in (folder / "checkpoints").iterdir())
    assert names == ["final", "task-01", "task-02", "task-03", "task-04"]
