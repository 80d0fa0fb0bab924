"""Records on their way to a tracker: which ones, to which of its runs, and what happens where it fails."""

import json
import signal
import threading

import pytest

from cil.records.trackers import About
from cil.run import mirror as mirror_module
from cil.run.live import RunObserver
from cil.run.mirror import Mirror
from cil.run.signals import Interrupted
from tests.sweep.sweeps import SWEEP, figures, sweep

RECORDS = [{"kind": "epoch", "task": 1, "step": step, "loss/total": 1.0 / step} for step in range(1, 7)]


class Fake:
    """A tracker that keeps what it is told, over all of its instances."""

    def __init__(self, calls, fails_at=None, error=RuntimeError):
        self.calls, self.fails_at, self.error = calls, fails_at, error

    def begin(self, about, run):
        self.calls.append(("begin", about.name, run))
        return run or "run-1"

    def log(self, record):
        if record["step"] == self.fails_at:
            raise self.error("no network\nand more lines")
        self.calls.append(record["step"])

    def end(self, state):
        self.calls.append(state)


@pytest.fixture
def calls():
    return []


@pytest.fixture
def said():
    return []


@pytest.fixture
def make(tmp_path, calls, said):
    """Makes the mirror of one part of a run; all parts share a folder, a tracker and a terminal."""

    def make(name="fake", **facts):
        return Mirror(name, Fake(calls, **facts), About("a/b", "a"), tmp_path / "mirror.json", said.append)

    return make


def run(mirror, records, state="finished", stored=0):
    """As a recorder does it: what a checkpoint holds first, then one record after the other."""
    for end in range(stored, len(records) + 1):
        mirror.follow(records[:end])
    mirror.close(state)


def test_every_record_once_and_the_end(make, calls, said):
    run(make(), RECORDS)
    assert calls == [("begin", "a/b", None), 1, 2, 3, 4, 5, 6, "finished"]
    assert said == []


def test_a_run_without_records_is_unknown_to_the_tracker(make, calls, tmp_path):
    run(make(), [], "failed")
    assert calls == [] and not (tmp_path / "mirror.json").exists()


@pytest.mark.parametrize("stored", [2, 4])
def test_a_continued_run_goes_on_in_the_same_run_with_what_is_missing(make, calls, stored):
    """stored: what the checkpoint holds. Two records are computed once more, and known to the tracker already."""
    run(make(), RECORDS[:4], "interrupted")
    calls.clear()
    run(make(), RECORDS, stored=stored)
    assert calls == [("begin", "a/b", "run-1"), 5, 6, "finished"]


def test_the_run_of_the_tracker_is_noted_before_the_first_record_has_arrived(make, calls):
    run(make(fails_at=1), RECORDS[:1], "interrupted")
    calls.clear()
    run(make(), RECORDS, stored=1)
    assert calls[0] == ("begin", "a/b", "run-1")


def test_a_failure_is_one_warning_and_the_continued_run_makes_up_for_it(make, calls, said):
    run(make(fails_at=3), RECORDS[:5], "interrupted")
    assert calls == [("begin", "a/b", None), 1, 2]
    (warning,) = said
    assert warning.startswith("tracking.mirror=fake: no network; the run goes on without it")
    assert "\n" not in warning
    calls.clear()
    run(make(), RECORDS, stored=5)
    assert calls == [("begin", "a/b", "run-1"), 3, 4, 5, 6, "finished"]


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt, MemoryError])
def test_whatever_a_library_raises_is_its_own_end_alone(make, said, error):
    run(make(fails_at=1, error=error), RECORDS)
    assert len(said) == 1


def test_a_tracker_that_hangs_does_not_keep_the_run(make, said, monkeypatch):
    answer = threading.Event()
    monkeypatch.setattr(Fake, "log", lambda self, record: answer.wait())
    monkeypatch.setitem(mirror_module.PATIENCE, "finished", 0.01)
    run(make(), RECORDS)
    answer.set()
    assert len(said) == 1 and "no answer for 0.01 seconds" in said[0]


@pytest.mark.parametrize(
    "content", ["{", "[]", '{"tracker": "fake"}', '{"tracker": "other", "run": "x", "records": 6}']
)
def test_a_note_that_is_damaged_or_of_another_tracker_starts_anew(make, calls, tmp_path, content):
    (tmp_path / "mirror.json").write_text(content)
    run(make(), RECORDS[:2])
    assert calls == [("begin", "a/b", None), 1, 2, "finished"]
    assert json.loads((tmp_path / "mirror.json").read_text()) == {"tracker": "fake", "run": "run-1", "records": 2}


@pytest.fixture
def stopped(tmp_path, monkeypatch, calls):
    """A run with a mirror, stopped after its first task."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("cil.planning.validate.check_mirror", lambda tracking: None)
    monkeypatch.setitem(mirror_module.TRACKERS, "mlflow", lambda: Fake(calls))
    on_task = RunObserver.on_task

    def and_stop(self, record, state):
        on_task(self, record, state)
        self.stop.received = signal.SIGINT

    with monkeypatch.context() as patched:
        patched.setattr(RunObserver, "on_task", and_stop)
        with pytest.raises(Interrupted):
            sweep("seed=1", "tracking.mirror=mlflow")
    return tmp_path / SWEEP


def test_a_run_is_mirrored_from_its_first_record_to_its_end(stopped, calls):
    (folder,) = stopped.glob("*/")
    assert calls == [("begin", f"tiny/{folder.name}", None), 1, 1, "interrupted"]
    assert sweep("seed=1", "tracking.mirror=mlflow") == 0
    assert calls[4:] == [("begin", f"tiny/{folder.name}", "run-1"), 2, 2, "finished"]
    records, _ = figures(folder)
    assert [record["step"] for record in records] == [1, 1, 2, 2]


def test_one_that_fails_ends_no_run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("cil.planning.validate.check_mirror", lambda tracking: None)
    monkeypatch.setitem(mirror_module.TRACKERS, "mlflow", lambda: Fake([], fails_at=1))
    assert sweep("seed=1", "trainer.max_tasks=1", "tracking.mirror=mlflow") == 0
    said = capsys.readouterr()
    assert said.out.count("warning: tracking.mirror=mlflow: no network") == 1
    assert "Traceback" not in said.out + said.err
