"""Stopping a sweep from outside: the jobs that run in other processes are told, and get time to save."""

import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from cil.run.folder import read_status
from cil.run.signals import Interrupted
from cil.run.states import is_locked

PATIENCE = 60.0
"""Seconds that running jobs get to save and stop."""


@contextmanager
def pass_on_signals(folders: Callable[[], Sequence[Path | None]]) -> Iterator[Callable[[], None]]:
    """While active, the first SIGINT or SIGTERM stops the jobs in `folders` and raises Interrupted.

    A job in this very process is not concerned: while it runs it handles signals itself (cil/run/signals.py).
    Gives a function that takes the signals back from a library that has set handlers of its own.
    """
    working_before = set(_working(folders()))
    stopping = False

    def stop(signum: int, _frame: FrameType | None) -> None:
        nonlocal stopping
        if not stopping:
            stopping = True
            jobs = {folder: pid for folder, pid in _working(folders()).items() if folder not in working_before}
            if not (signum == signal.SIGINT and _in_foreground()):
                for pid in jobs.values():
                    _terminate(pid)
            _wait(list(jobs))
        raise Interrupted(signum)

    def take() -> None:
        for signum in (signal.SIGINT, signal.SIGTERM):
            signal.signal(signum, stop)

    previous = {signum: signal.getsignal(signum) for signum in (signal.SIGINT, signal.SIGTERM)}
    take()
    try:
        yield take
    finally:
        for signum, handler in previous.items():
            signal.signal(signum, handler)


def _working(folders: Sequence[Path | None]) -> dict[Path, int]:
    """Folder -> process id of the jobs that other processes of this machine are working on."""
    host = os.uname().nodename
    found = {}
    for folder in folders:
        status = {} if folder is None else read_status(folder)
        if folder is None or status.get("state") != "running" or status.get("host") != host:
            continue
        pid = status.get("pid")
        if isinstance(pid, int) and pid != os.getpid() and is_locked(folder):
            found[folder] = pid
    return found


def _in_foreground() -> bool:
    """Whether a terminal's Ctrl-C reaches every process of this group, the jobs' too."""
    try:
        return os.tcgetpgrp(0) == os.getpgrp()
    except OSError:
        return False


def _terminate(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGTERM)
    except (ProcessLookupError, PermissionError):
        return


def _wait(folders: Sequence[Path]) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and any(map(is_locked, folders)):
        time.sleep(0.05)
