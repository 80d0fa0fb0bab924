import os
import signal

import pytest

from cil.run.signals import Interrupted, StopSignals, signals_raise, signals_wait

INT, TERM, USR2 = signal.SIGINT, signal.SIGTERM, signal.SIGUSR2


def send(*signums: int) -> None:
    for signum in signums:
        os.kill(os.getpid(), signum)


def test_the_first_signal_is_remembered_and_the_handlers_come_back():
    before = [signal.getsignal(signum) for signum in StopSignals.SIGNALS]
    with StopSignals() as stop:
        stop.check()
        send(TERM)
        with pytest.raises(Interrupted, match="SIGTERM"):
            stop.check()
    assert [signal.getsignal(signum) for signum in StopSignals.SIGNALS] == before


@pytest.mark.parametrize("signums", [(INT, INT), (INT, TERM), (TERM, TERM)])
def test_a_second_one_stops_at_once(signums):
    with pytest.raises(Interrupted), StopSignals():
        send(*signums)


@pytest.mark.parametrize("signums", [(USR2, TERM), (TERM, USR2), (USR2, USR2), (USR2, TERM, USR2)])
def test_a_warning_of_preemption_is_one_signal_however_it_comes(signums):
    with StopSignals() as stop:
        send(*signums)
        assert stop.received == USR2


def test_what_torchrun_adds_is_no_second_one(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "1")
    with StopSignals() as stop:
        send(TERM, TERM)
        assert stop.received == TERM
    monkeypatch.setattr("cil.run.signals._AGAIN", 0.0)
    with pytest.raises(Interrupted), StopSignals():
        send(TERM, TERM)


def test_while_the_end_is_noted_no_signal_interrupts():
    with StopSignals() as stop:
        stop.ending = True
        send(TERM, TERM)
        assert stop.received == TERM


@pytest.fixture
def submitit():
    """A handler of SIGUSR2 that was there before: the signals it was called with."""
    called = []
    before = signal.signal(USR2, lambda signum, frame: called.append((signum, frame)))
    yield called
    signal.signal(USR2, before)


def interrupted_by(signum: int, called: list) -> None:
    with StopSignals() as stop:
        send(signum)
        assert called == []
        stop.check()


def fail_after_usr2() -> None:
    with StopSignals():
        send(USR2)
        raise ValueError("failed")


def test_the_handler_of_sigusr2_is_called_when_the_run_has_ended(submitit):
    with pytest.raises(Interrupted):
        interrupted_by(USR2, submitit)
    ((signum, frame),) = submitit
    assert signum == USR2
    assert frame is not None


def test_it_is_not_called_for_another_signal_or_another_end(submitit):
    with pytest.raises(Interrupted):
        interrupted_by(TERM, submitit)
    with pytest.raises(ValueError, match="failed"):
        fail_after_usr2()
    assert submitit == []


def test_before_a_run_signals_raise():
    for signum in (TERM, INT):
        before = signal.getsignal(signum)
        with pytest.raises(Interrupted), signals_raise():
            send(signum)
        assert signal.getsignal(signum) is before


def test_while_compiled_modules_are_imported_signals_wait():
    done = []

    def imports() -> None:
        with signals_wait():
            send(TERM, INT)
            done.append("the rest of the module")
        done.append("what comes after it")

    with pytest.raises(Interrupted, match="SIGTERM"), signals_raise():
        imports()
    assert done == ["the rest of the module"]
    before = signal.getsignal(TERM)
    with signals_wait():
        pass
    assert signal.getsignal(TERM) is before


def test_an_import_that_fails_is_told_where_no_signal_came():
    with signals_raise(), pytest.raises(ImportError), signals_wait():
        raise ImportError
