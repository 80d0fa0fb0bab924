"""Stopping a run from outside: the first signal ends it at the next step boundary, a second one at once."""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType, TracebackType
from typing import Any

from cil.distributed.launch import launched

_AGAIN = 10.0
"""Seconds in which another signal to one of several processes is no second one."""
STOPPING = b"\nstopping at the end of this step, then saving (a second signal stops at once, without saving)\n"


class Interrupted(BaseException):
    """A run was asked to stop. Not an Exception: nothing between the loop and the entry point may swallow it."""

    def __init__(self, signum: int) -> None:
        super().__init__(f"stopped by {signal.Signals(signum).name}")
        self.signum = signum
        self.at_once = False
        """In the middle of something, by a second signal."""

    def __reduce__(self) -> tuple[type, tuple[int]]:
        """It travels between the processes of a sweep."""
        return type(self), (self.signum,)


class StopSignals:
    """While active, SIGINT, SIGTERM, SIGHUP and SIGUSR2 are remembered, and `check` raises Interrupted.

    SIGHUP, of a terminal that closes, stays ignored where it was (nohup).
    SIGUSR2 is a queue's warning that the job is about to be preempted (submitit sends it): once the run has been
    saved, the handler that was there before is called. submitit's puts the job back into the queue and exits.
    """

    SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR2)

    def __init__(self, quiet: bool = False) -> None:
        """quiet: say nothing when a signal comes."""
        self.quiet = quiet
        self.received: int | None = None
        self.ending = False
        """The end of the run is being written down: another signal cannot hasten it."""
        self._since = 0.0
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> "StopSignals":
        if threading.current_thread() is not threading.main_thread():
            return self  # Python takes handlers in the main thread only.
        for signum in self.SIGNALS:
            if signum == signal.SIGHUP and signal.getsignal(signum) is signal.SIG_IGN:
                continue
            self._previous[signum] = signal.signal(signum, self._remember)
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for signum, handler in self._previous.items():
            signal.signal(signum, handler)
        chained = self._previous.get(signal.SIGUSR2)
        if isinstance(error, Interrupted) and self.received == signal.SIGUSR2 and callable(chained):
            chained(signal.SIGUSR2, sys._getframe())

    def _remember(self, signum: int, _frame: FrameType | None) -> None:
        # To a signal that the whole job gets, torchrun adds its own.
        if launched() is not None and self.received is not None and time.monotonic() - self._since < _AGAIN:
            return
        preempted = signal.SIGUSR2 in (signum, self.received)
        if self.received is not None and not preempted and not self.ending:
            error = Interrupted(signum)
            error.at_once = True
            raise error
        if self.received is None and not self.quiet:
            with suppress(OSError):  # a reader that is gone
                os.write(2, STOPPING)  # not print: the handler may have interrupted one
        self._since = time.monotonic()
        # Slurm sends SIGTERM around SIGUSR2: together they still are one warning.
        self.received = signal.SIGUSR2 if preempted else signum

    def check(self) -> None:
        """Raise Interrupted if a signal has come."""
        if self.received is not None:
            raise Interrupted(self.received)


@contextmanager
def signals_raise() -> Iterator[None]:
    """While nothing can be saved yet, SIGTERM and SIGINT end the process in order.

    Not by KeyboardInterrupt: where that passes through a library's C code, Python ends by the signal after all.
    """

    def stop(signum: int, _frame: FrameType | None) -> None:
        raise Interrupted(signum)

    with _handled(stop):
        yield


@contextmanager
def signals_wait() -> Iterator[None]:
    """While compiled modules are imported, SIGTERM and SIGINT wait for the end of the block.

    An exception that a handler raises inside the C++ code of such an import aborts the process (pybind11).
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    try:
        with _handled(lambda signum, _frame: came.append(signum)):
            yield
    finally:
        if came:
            signal.raise_signal(came[0])


@contextmanager
def _handled(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    previous = {signum: signal.signal(signum, handler) for signum in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for signum, before in previous.items():
            signal.signal(signum, before)
