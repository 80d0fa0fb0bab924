"""Signals to a sweep, and launchers that break."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from cil.config.typed import to_yaml
from cil.planning.plan import plan
from cil.records.states import State, is_locked, look
from cil.run.signals import Interrupted
from cil.sweep import runner as sweep_module
from cil.sweep.runner import run_sweep
from cil.sweep.signals import SweepSignals
from tests.commands import PROJECT
from tests.sweep.sweeps import TINY, table_of

WORKER = """
import json, os, signal, socket, sys, time
from pathlib import Path
from cil.records.lock import locked
folder = Path(sys.argv[1])
def stop(signum, frame):
    time.sleep(0.3)  # saving
    (folder / "saved").touch()
    sys.exit(0)
signal.signal(signal.SIGTERM, stop)
with locked(folder):
    status = {"state": "running", "pid": os.getpid(), "host": socket.gethostname()}
    (folder / "status.json").write_text(json.dumps(status))
    print("ready", flush=True)
    time.sleep(60)
"""


def worker(folder: Path) -> subprocess.Popen:
    folder.mkdir()
    environment = os.environ | {"PYTHONPATH": str(PROJECT)}
    process = subprocess.Popen(
        [sys.executable, "-c", WORKER, str(folder)], env=environment, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "ready\n"
    return process


def test_jobs_in_other_processes_are_stopped_and_given_time_to_save(tmp_path):
    others, mine = tmp_path / "others", tmp_path / "mine"
    stranger = worker(others)
    with SweepSignals(lambda: [others, mine, None, tmp_path / "none"]):
        job = worker(mine)
        with pytest.raises(Interrupted) as caught:
            os.kill(os.getpid(), signal.SIGTERM)
    assert caught.value.signum == signal.SIGTERM
    assert (mine / "saved").exists()
    assert not is_locked(mine)
    assert is_locked(others), "it ran before this sweep began: another command's"
    stranger.kill()
    assert (job.wait(10), stranger.wait(10)) == (0, -signal.SIGKILL)


def test_handlers_are_put_back_and_can_be_taken_again():
    before = [signal.getsignal(signum) for signum in SweepSignals.SIGNALS]
    with SweepSignals(list) as signals:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signals.take()
        with pytest.raises(Interrupted):
            os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(Interrupted, match="SIGTERM"):
            signals.check()
    assert [signal.getsignal(signum) for signum in SweepSignals.SIGNALS] == before


@pytest.fixture
def broken(tmp_path, monkeypatch):
    """Runs a sweep of three jobs with a launch function; gives (exit code, launched jobs of each call)."""
    monkeypatch.chdir(tmp_path)

    def run(launch):
        calls = []

        def noted(sweep, numbers, signals):
            calls.append(list(numbers))
            launch(sweep, numbers, len(calls))

        monkeypatch.setattr(sweep_module, "_launch", noted)
        return run_sweep(plan(["-m", *TINY, "seed=1,2,3"])), calls

    return run


def note(sweep, number, **status):
    folder = sweep.folders[number]
    folder.mkdir(parents=True, exist_ok=True)
    # As a run does it: its settings first. A folder without them counts as another run's.
    (folder / "config.yaml").write_text(to_yaml(sweep.planned.jobs[number].effective))
    (folder / "status.json").write_text(json.dumps(status))
    if status["state"] == "finished":
        (folder / "result.json").write_text("{}")


def test_what_is_left_of_a_broken_launch_is_started_again(broken):
    def launch(sweep, numbers, call):
        note(sweep, numbers[0], state="finished")
        if call == 1:
            note(sweep, 1, state="running", pid=1)  # killed
            raise RuntimeError("a worker died")

    code, calls = broken(launch)
    assert calls == [[0, 1, 2], [1, 2]]
    assert code == 1
    assert sorted(table_of(Path("outputs/sweeps/tiny")).values()) == ["not started", "ok", "ok"]


def test_a_job_that_is_killed_again_is_given_up(broken):
    def launch(sweep, numbers, call):
        note(sweep, 0, state="running", pid=call)
        if call == 3:
            for number in numbers:
                note(sweep, number, state="finished")
            return
        raise RuntimeError("a worker died")

    code, calls = broken(launch)
    assert calls == [[0, 1, 2], [0, 1, 2], [1, 2]]
    assert code == 1
    (first, *_) = plan(["-m", *TINY, "seed=1,2,3"]).jobs
    assert table_of(Path("outputs/sweeps/tiny"))[first.run_id] == "interrupted"
    assert look(first.folder).state is State.interrupted


def test_a_launcher_that_starts_nothing_is_not_tried_again(broken, capsys):
    def launch(sweep, numbers, call):
        sweep.folders[0].mkdir(parents=True)
        raise OSError("no such queue")

    code, calls = broken(launch)
    assert (code, len(calls)) == (1, 1)
    assert "failed: " in capsys.readouterr().out
    assert set(table_of(Path("outputs/sweeps/tiny")).values()) == {"failed"}
