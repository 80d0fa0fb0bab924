"""SIGTERM, SIGINT and SIGUSR2: finish the step, save, say so; the continued run equals the unbroken one."""

import json
import signal
import time

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
    resume,
    run,
    status,
    train,
    wait_until,
)

INT, TERM, USR2 = signal.SIGINT, signal.SIGTERM, signal.SIGUSR2


def status_of(folder) -> str | None:
    return status(folder)["state"] if (folder / "status.json").exists() else None


def assert_interrupted(ended: Ended, folder, signum: int) -> None:
    assert_clean_exit(ended, 128 + signum)
    assert ended.stderr.splitlines()[-1] == f"interrupted: stopped by {signal.Signals(signum).name}"
    assert status(folder)["state"] == "interrupted"
    assert f"resume={folder}" in ended.stdout


@pytest.mark.parametrize(
    "signum", [TERM, pytest.param(INT, marks=pytest.mark.faults), pytest.param(USR2, marks=pytest.mark.faults)]
)
def test_a_stopped_run_goes_on_with_the_very_next_step(reference: Reference, tmp_path, signum):
    folder = tmp_path / "run"
    assert_interrupted(train(folder, plan={"faults": [["step", 7, signum]]}), folder, signum)
    ended = resume(folder, plan={"batches": str(tmp_path / "batches")})
    assert ended.code == 0, ended.text
    assert read_batches(tmp_path / "batches") == reference.batches[7:]
    assert_same_outcome(folder, reference.folder)


@pytest.mark.faults
@pytest.mark.parametrize(
    ("place", "call"), [("optimizer", 20), ("evaluation", 9), ("herding", 4), ("aligned", 4), ("task", 2)]
)
def test_it_may_come_anywhere(reference: Reference, tmp_path, place, call):
    folder = tmp_path / "run"
    assert_interrupted(train(folder, plan={"faults": [[place, call, TERM]]}), folder, TERM)
    ended = resume(folder)
    assert ended.code == 0, ended.text
    assert_same_outcome(folder, reference.folder)


def test_before_the_first_step_it_leaves_no_folder(reference: Reference, tmp_path):
    folder = tmp_path / "run"
    ended = train(folder, plan={"faults": [["data", 1, TERM]]})
    assert_clean_exit(ended, 128 + TERM)
    assert ended.stdout.splitlines()[-1] == f"nothing was trained yet: {folder} is removed"
    assert not folder.exists()
    assert train(folder).code == 0
    assert_same_outcome(folder, reference.folder)


@pytest.mark.faults
def test_a_run_stopped_five_times(reference: Reference, tmp_path):
    folder = tmp_path / "run"
    assert_interrupted(train(folder, plan={"faults": [["step", 3, TERM]]}), folder, TERM)
    for place, call, signum in [("evaluation", 3, INT), ("step", 5, USR2), ("herding", 3, TERM), ("step", 1, INT)]:
        assert_interrupted(resume(folder, plan={"faults": [[place, call, signum]]}), folder, signum)
    assert resume(folder).code == 0
    assert_same_outcome(folder, reference.folder)


@pytest.mark.faults
def test_a_second_signal_stops_at_once(reference: Reference, tmp_path):
    folder = tmp_path / "run"
    plan = {"faults": [["optimizer", 9, INT], ["step", 9, INT]]}
    assert_interrupted(train(folder, EVERY_STEP, plan=plan), folder, INT)
    assert checkpoints(folder)[-1].name.startswith("t0002-e000000-s00000002"), "step 9 was not saved"
    assert resume(folder).code == 0
    assert_same_outcome(folder, reference.folder)


@pytest.mark.faults
def test_a_signal_that_comes_when_everything_is_done_changes_nothing(reference: Reference, tmp_path):
    folder = tmp_path / "run"
    ended = train(folder, plan={"faults": [["final", 1, TERM]]})
    assert_clean_exit(ended, 128 + TERM)
    assert "incremental average" in ended.stdout and ended.stdout.endswith(f"{folder}: is finished\n")
    assert_same_outcome(folder, reference.folder)


@pytest.mark.faults
@pytest.mark.parametrize("seconds", [0.3, 0.8, 1.3, 1.8, 2.5])
@pytest.mark.parametrize("signum", [INT, TERM])
def test_it_may_come_from_outside_at_any_time(reference: Reference, tmp_path, seconds, signum):
    folder = tmp_path / "run"
    process = Running(*SETTINGS, f"hydra.run.dir={folder}", cwd=tmp_path, fresh=True)
    wait_until(folder.exists)  # Python and Hydra have started; PyTorch comes next
    time.sleep(seconds)
    process.send(signum)
    ended = process.wait()
    assert_clean_exit(ended, 0 if status_of(folder) == "finished" else 128 + signum)
    ended = resume(folder) if (folder / "config.yaml").exists() else train(folder)
    assert ended.code == 0, ended.text
    assert_same_outcome(folder, reference.folder)


class TestSubmitit:
    """A handler for SIGUSR2 is there before the run, as in a job of submitit."""

    @pytest.mark.faults
    @pytest.mark.parametrize("faults", [[["step", 7, USR2]], [["optimizer", 7, TERM], ["step", 7, USR2]]])
    def test_its_handler_puts_the_job_back_into_the_queue_once_it_is_saved(self, reference, tmp_path, faults):
        folder = tmp_path / "run"
        plan = {"faults": faults, "usr2": {"note": str(tmp_path / "note"), "folder": str(folder), "exit": 3}}
        ended = train(folder, plan=plan)
        assert_clean_exit(ended, 3)
        seen = json.loads((tmp_path / "note").read_text())
        assert seen["state"] == "interrupted"
        assert seen["free"], "the job that starts anew must find the folder unlocked"
        assert seen["checkpoints"][-1].startswith("t0002-e000000-s00000001-"), "the 7th step"
        assert resume(folder).code == 0
        assert_same_outcome(folder, reference.folder)

    @pytest.mark.faults
    def test_a_handler_that_returns(self, tmp_path):
        folder = tmp_path / "run"
        plan = {"faults": [["step", 7, USR2]], "usr2": {"note": str(tmp_path / "note"), "folder": str(folder)}}
        assert_interrupted(train(folder, plan=plan), folder, USR2)
        assert (tmp_path / "note").exists()


@pytest.mark.faults
def test_a_stopped_sweep_goes_on_with_the_same_command(reference: Reference, tmp_path):
    command = ["-m", *SETTINGS, "probe=false", "seed=1993,1994", f"hydra.sweep.dir={tmp_path / 'sweep'}"]
    ended = run(*command, cwd=tmp_path, plan={"faults": [["step", 7, TERM]]})
    assert_clean_exit(ended, 128 + TERM)
    folders = [path for path in (tmp_path / "sweep").iterdir() if (path / "status.json").exists()]
    assert [status(path)["state"] for path in folders] == ["interrupted"], "the second job was not begun"
    ended = run(*command, cwd=tmp_path)
    assert ended.code == 0, ended.text
    assert "continues after" in ended.stdout
    assert_same_outcome(folders[0], reference.folder)
    ended = run(*command, cwd=tmp_path)
    assert_clean_exit(ended, 0)
    assert "2 finished before" in ended.stdout


def test_the_handlers_that_were_there_are_put_back():
    from cil.run.signals import StopSignals

    before = [signal.getsignal(signum) for signum in StopSignals.SIGNALS]
    with StopSignals() as stop:
        assert all(signal.getsignal(signum) == stop._remember for signum in StopSignals.SIGNALS)
    assert [signal.getsignal(signum) for signum in StopSignals.SIGNALS] == before
