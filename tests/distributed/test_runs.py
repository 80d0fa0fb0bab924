"""Whole runs in several processes: what they leave behind, and what a lost process leads to."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.commands import PROJECT, changed, run
from tests.distributed.team import Team, resume, train
from tests.faults import runs
from tests.faults.runs import (
    EVERY_STEP,
    SETTINGS,
    assert_clean_exit,
    assert_same_outcome,
    metrics,
    result,
    status,
)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of two processes."""
    folder = tmp_path_factory.mktemp("pair") / "run"
    leader, other = train(2, folder)
    assert_clean_exit(leader, 0)
    assert_clean_exit(other, 0)
    assert (other.stdout, other.stderr) == ("", "")
    return folder


def test_a_run_of_two_processes_goes_as_that_of_one(pair, tmp_path):
    assert runs.train(tmp_path / "one").code == 0
    ours, theirs = metrics(pair), metrics(tmp_path / "one")
    assert [(line["kind"], line["task"]) for line in ours] == [(line["kind"], line["task"]) for line in theirs]
    # The first epoch has three steps: the last bits have had no time to grow.
    for tag in ("loss/total", "contrast/gap", "contrast/nce", "contrast/violation_rate", "train/top1"):
        assert ours[0][tag] == pytest.approx(theirs[0][tag], rel=1e-4), tag
    sizes = ("train_images", "test_images", "exemplars")
    assert [[task[name] for name in sizes] for task in result(pair)["tasks"]] == [
        [task[name] for name in sizes] for task in result(tmp_path / "one")["tasks"]
    ]
    assert result(pair)["device"]["process_counts"] == [2]
    assert "process_counts" not in result(tmp_path / "one")["device"]


LONG = pytest.mark.faults


@pytest.mark.parametrize(
    "place", ["optimizer", pytest.param("along", marks=LONG), pytest.param("evaluation", marks=LONG)]
)
def test_a_killed_process_ends_all_and_the_run_goes_on_exactly(pair, tmp_path, place):
    folder = tmp_path / "run"
    leader, other = train(2, folder, EVERY_STEP, plans={1: {"faults": [[place, 11, signal.SIGKILL]]}})
    assert other.code == -signal.SIGKILL
    assert_clean_exit(leader, 1)
    assert "another process of this run has ended" in leader.stderr
    assert "resume=RUN" in leader.stderr
    assert status(folder)["state"] == "failed"
    for ended in resume(2, folder):
        assert_clean_exit(ended, 0)
    assert_same_outcome(folder, pair)


@LONG
def test_a_killed_leader_ends_the_others(pair, tmp_path):
    folder = tmp_path / "run"
    leader, other = train(2, folder, EVERY_STEP, plans={0: {"faults": [["step", 9, signal.SIGKILL]]}})
    assert leader.code == -signal.SIGKILL
    assert_clean_exit(other, 1)
    assert [ended.code for ended in resume(2, folder)] == [0, 0]
    assert_same_outcome(folder, pair)


@LONG
@pytest.mark.parametrize(
    ("rank", "place"),
    [
        (1, "evaluation"),
        (0, "step"),
        (1, "along"),
        (0, "evaluation"),
    ],
)
def test_a_signal_to_any_process_stops_all_at_the_same_step(pair, tmp_path, rank, place):
    folder = tmp_path / "run"
    leader, other = train(2, folder, plans={rank: {"faults": [[place, 8, signal.SIGTERM]]}})
    assert_clean_exit(leader, 128 + signal.SIGTERM)
    assert_clean_exit(other, 0)
    assert status(folder)["state"] == "interrupted"
    assert [ended.code for ended in resume(2, folder)] == [0, 0]
    assert_same_outcome(folder, pair)


@LONG
def test_three_processes_and_batches_smaller_than_that(tmp_path):
    # Batches of two leave one of three processes without an image, and classes fewer than processes some without any.
    changes = ("trainer.batch_size=2", "trainer.max_tasks=2", "trainer.init_epochs=1", "trainer.inc_epochs=1")
    folder = tmp_path / "run"
    ended = train(3, folder, *changes)
    assert [one.code for one in ended] == [0, 0, 0], ended[0].text
    assert runs.train(tmp_path / "one", *changes).code == 0
    sizes = ("size", "train_images", "test_images", "exemplars")
    found, expected = (
        [[task[name] for name in sizes] for task in result(f)["tasks"]] for f in (folder, tmp_path / "one")
    )
    assert found == expected


@LONG
def test_another_number_of_processes_is_told(tmp_path):
    folder = tmp_path / "run"
    train(2, folder, plans={0: {"faults": [["step", 9, signal.SIGTERM]]}})
    ended = runs.resume(folder)
    assert_clean_exit(ended, 0)
    assert "is trained by several numbers of processes (2, 1)" in ended.stdout
    assert result(folder)["device"]["process_counts"] == [2, 1]


@LONG
def test_memory_that_runs_out_in_one_process_splits_the_batches_of_all(tmp_path):
    folder = tmp_path / "run"
    leader, other = train(2, folder, EVERY_STEP, "trainer.on_oom=accumulate", plans={1: {"memory": 9}})
    assert_clean_exit(leader, 1)
    assert other.code == 1
    assert "process 1: OutOfMemory: out of memory in task 2 of 4" in leader.stderr
    leader, other = resume(2, folder, plans={0: {"faults": [["step", 5, signal.SIGTERM]]}})
    assert (leader.code, other.code) == (128 + signal.SIGTERM, 0)
    assert [ended.code for ended in resume(2, folder)] == [0, 0]
    assert [event["micro_batches"] for event in result(folder)["memory_events"]] == [2]


def test_wrong_input_ends_all(tmp_path):
    leader, other = Team(2, *SETTINGS, "loss=infonsee", cwd=tmp_path).wait()
    assert_clean_exit(other, 0)
    assert leader.code == 2
    leader, other = Team(2, "-m", *SETTINGS, "hydra/launcher=joblib", "seed=1,2", cwd=tmp_path).wait()
    assert_clean_exit(leader, 2)
    assert "hydra/launcher: joblib starts processes of its own" in leader.stderr
    leader, other = Team(2, *SETTINGS, "trainer.compile=true", cwd=tmp_path).wait()
    assert_clean_exit(leader, 2)
    assert "trainer.compile: true does not work with several processes" in leader.stderr


@LONG
def test_a_sweep_runs_each_job_in_all_processes_and_skips_what_is_finished(tmp_path):
    sweep = ("-m", *changed(SETTINGS, "trainer.max_tasks=1"), "seed=1,2", "name=pairs")
    assert [ended.code for ended in Team(2, *sweep, cwd=tmp_path).wait()] == [0, 0]
    results = sorted((tmp_path / "outputs" / "sweeps" / "pairs").glob("*/result.json"))
    assert [result(path.parent)["device"]["process_counts"] for path in results] == [[2], [2]]
    leader, other = Team(2, *sweep, cwd=tmp_path).wait()
    assert leader.stdout.count("skipped") >= 2, leader.text
    assert other.code == 0


def test_other_images_in_one_process_end_all(tmp_path):
    folder = tmp_path / "run"
    leader, other = train(2, folder, plans={1: {"images": "others"}})
    assert_clean_exit(leader, 1)
    assert "process 1: dataset.root=None has other images here than in the first process" in leader.stderr
    assert_clean_exit(other, 0)


@LONG
def test_a_diverged_job_leaves_the_others_for_the_next(tmp_path):
    jobs = ("-m", *changed(SETTINGS, "trainer.max_tasks=1"), "optimizer.lr=1e30,0.1", "name=diverged")
    leader, other = Team(2, *jobs, cwd=tmp_path).wait()
    assert (leader.code, other.code) == (1, 0), leader.text
    states = [status(path.parent)["state"] for path in (tmp_path / "outputs/sweeps/diverged").glob("*/status.json")]
    assert sorted(states) == ["failed", "finished"]


def test_torchrun(pair, tmp_path):
    folder = tmp_path / "run"
    arguments = ("--standalone", "--nproc_per_node=2", "-m", "cil.train", *SETTINGS, f"hydra.run.dir={folder}")
    ended = run("torch.distributed.run", *arguments, cwd=PROJECT)
    assert ended.returncode == 0, ended.stderr
    assert_same_outcome(folder, pair)


@LONG
def test_torchrun_starts_a_sweep_again_by_itself(pair, tmp_path):
    sweep = ("-m", *SETTINGS, EVERY_STEP, "seed=1993,2", "name=again")
    command = ("--standalone", "--nproc_per_node=2", "--max-restarts=2", "-m", "cil.train", *sweep)
    environment = os.environ | {"PYTHONPATH": str(PROJECT), "OMP_NUM_THREADS": "1"}
    with open(tmp_path / "log", "w") as log:
        running = subprocess.Popen(
            [sys.executable, "-m", "torch.distributed.run", *command],
            cwd=tmp_path,
            env=environment,
            stdout=log,
            stderr=log,
        )
    sweeps = tmp_path / "outputs" / "sweeps" / "again"
    runs.wait_until(lambda: any(sweeps.glob("*/checkpoints/t0002*.pt")))
    (folder,) = {path.parent.parent for path in sweeps.glob("*/checkpoints/t0002*.pt")}
    os.kill(status(folder)["pid"], signal.SIGKILL)
    assert running.wait(timeout=500) == 0, (tmp_path / "log").read_text()
    found = [json.loads(path.read_text()) for path in sweeps.glob("*/result.json")]
    assert sorted(one["seeds"]["seed"] for one in found) == [2, 1993]
    assert next(one for one in found if one["seeds"]["seed"] == 1993)["matrices"] == result(pair)["matrices"]
