"""What a continued run may change, and what is never overwritten."""

import socket

import pytest
import torch

from cil.planning.plan import compose_jobs
from cil.records.checkpoint import read_checkpoint, write_checkpoint
from cil.run.experiment import run_experiment
from tests.faults.conftest import Reference
from tests.faults.runs import (
    SETTINGS,
    Running,
    assert_clean_exit,
    assert_same_outcome,
    checkpoints,
    hashes,
    resume,
    run,
    train,
    wait_until,
)


@pytest.mark.parametrize(
    ("override", "difference"),
    [("trainer.batch_size=12", "trainer.batch_size: 10 -> 12")]
    + [
        pytest.param(*case, marks=pytest.mark.faults)
        for case in [
            ("split.increment=4", "split.increment: 2 -> 4"),
            ("loss.ant_beta=0.25", "loss.ant_beta: "),
            ("loss=infonce", "loss.name: ant -> infonce"),
            ("seed=5", "seed: 1993 -> 5"),
            ("optimizer.lr=0.05", "optimizer.lr: 0.1 -> 0.05"),
            ("memory.size=30", "memory.size: 20 -> 30"),
        ]
    ],
)
def test_other_results_are_refused_with_the_differences(unfinished, override, difference):
    before = hashes(unfinished)
    # A group stands for the whole command that started the run, given again.
    others = [text for text in SETTINGS if not text.startswith("loss=")]
    arguments = (*others, override) if override.startswith("loss=") else (override,)
    ended = resume(unfinished, *arguments)
    assert_clean_exit(ended, 2)
    assert difference in ended.stderr
    assert hashes(unfinished) == before


@pytest.mark.parametrize(
    ("fact", "value", "code", "message"),
    [
        ("data", "other files", 1, "the images are not those"),
        ("part_versions", {"optimizer": 2}, 2, "optimizer (version 2, now 1)"),
    ],
)
def test_other_images_and_other_code_are_refused(unfinished, fact, value, code, message):
    for path in checkpoints(unfinished):
        state = read_checkpoint(path) | {fact: value}
        path.unlink()
        write_checkpoint(unfinished / "checkpoints", path.name.rpartition("-")[0], state)
    kept = [path.name for path in checkpoints(unfinished)]
    ended = resume(unfinished)
    assert_clean_exit(ended, code)
    assert message in ended.stderr
    assert [path.name for path in checkpoints(unfinished)] == kept


@pytest.mark.faults
def test_what_changes_no_result_is_accepted(reference: Reference, unfinished):
    changes = [
        "device=cpu" if torch.cuda.is_available() else "device=auto",
        "dataset.num_workers=0",
        "tracking.progress=false",
        "checkpoint.every_minutes=5",
    ]
    changes += ["checkpoint.max_failures=9", "tracking.confusion_matrix=true", "trainer.check_every=3"]
    ended = resume(unfinished, *changes)
    assert_clean_exit(ended, 0)
    assert_same_outcome(unfinished, reference.folder)
    assert "max_failures: 9" in (unfinished / "config.yaml").read_text()


@pytest.mark.faults
def test_events_may_be_left_out_and_taken_up_again(reference: Reference, unfinished):
    plan = {"faults": [["step", 20, 15]]}
    assert resume(unfinished, "tracking.tensorboard=false", plan=plan).code == 128 + 15
    assert_clean_exit(resume(unfinished, "tracking.tensorboard=true"), 0)
    assert_same_outcome(unfinished, reference.folder)


def test_a_finished_run_is_left_as_it_is(reference: Reference):
    before = hashes(reference.folder)
    for ended in (resume(reference.folder), train(reference.folder)):
        assert_clean_exit(ended, 0)
        assert "already finished" in ended.stdout
    ended = train(reference.folder, "seed=5")
    assert_clean_exit(ended, 2)
    assert "seed: 1993 -> 5" in ended.stderr
    assert hashes(reference.folder) == before


def test_a_run_that_another_process_has_finished_meanwhile_is_left_as_it_is(reference: Reference):
    """The first look at the folder saw it unfinished; the second one, under the lock, does not."""
    before = hashes(reference.folder)
    (job,) = compose_jobs(list(SETTINGS))
    result = run_experiment(job, reference.folder, resume=True)
    assert result["config_id"] == job.run_id
    after = hashes(reference.folder)
    assert {name for name in after if after[name] != before[name]} <= {"lock"}
    assert after.keys() == before.keys()


def test_unfinished_work_is_not_overwritten(unfinished):
    before = hashes(unfinished)
    ended = train(unfinished)
    assert_clean_exit(ended, 2)
    assert f"resume={unfinished}" in ended.stderr
    assert hashes(unfinished) == before


@pytest.mark.faults
def test_unfinished_work_without_its_status_is_not_overwritten(unfinished):
    (unfinished / "status.json").unlink()
    before = hashes(unfinished)
    assert_clean_exit(train(unfinished), 2)
    assert hashes(unfinished) == before


@pytest.mark.faults
def test_a_job_of_a_sweep_does_not_go_on_with_another_ones_folder(unfinished):
    sweep = ["-m", *SETTINGS, f"hydra.sweep.dir={unfinished.parent}", f"hydra.sweep.subdir={unfinished.name}"]
    before = hashes(unfinished)
    ended = run(*sweep, "seed=7", "probe=false", cwd=unfinished.parent)
    assert_clean_exit(ended, 2)
    assert "hydra.sweep.subdir" in ended.stderr and "seed: 1993 -> 7" in ended.stderr
    assert hashes(unfinished) == before


@pytest.mark.faults
def test_two_processes_on_one_folder(reference: Reference, tmp_path):
    folder = tmp_path / "run"
    first = Running(*SETTINGS, f"hydra.run.dir={folder}", cwd=tmp_path, plan={"slow": 1.0})
    wait_until(lambda: (folder / "metrics.jsonl").exists())
    second = resume(folder)
    assert_clean_exit(second, 2)
    assert f"pid {first.pid} on {socket.gethostname()}" in second.stderr
    assert first.alive
    first.send(9)
    first.wait()
    assert_clean_exit(resume(folder), 0)
    assert_same_outcome(folder, reference.folder)
