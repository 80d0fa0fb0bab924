"""Stopping a sweep from outside: the jobs that run in other processes are told, and get time to save."""

import os
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

from cil.records.folder import read_status
from cil.records.states import is_locked
from cil.run.signals import Interrupted

PATIENCE = 60.0
"""Seconds that running jobs get to save and stop."""


class SweepSignals:
    """While active, the first SIGINT or SIGTERM stops the jobs in `folders` and raises Interrupted.

    A job in this very process is not concerned: while it runs it handles signals itself (cil/run/signals.py).
    """

    SIGNALS = (signal.SIGINT, signal.SIGTERM)

    def __init__(self, folders: Callable[[], Sequence[Path | None]]) -> None:
        self.folders = folders
        self.received: int | None = None
        self._previous: dict[int, Any] = {}
        self._working_before: set[Path] = set()

    def __enter__(self) -> "SweepSignals":
        self._working_before = set(_working(self.folders()))
        self._previous = {signum: signal.getsignal(signum) for signum in self.SIGNALS}
        self.take()
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for signum, handler in self._previous.items():
            signal.signal(signum, handler)

    def take(self) -> None:
        """Set the handlers, again where a library has replaced them."""
        for signum in self.SIGNALS:
            signal.signal(signum, self._stop)

    def check(self) -> None:
        """Raise Interrupted if a signal has come: a library may have turned it into an error of its own."""
        if self.received is not None:
            raise Interrupted(self.received)

    def _stop(self, signum: int, _frame: FrameType | None) -> None:
        if self.received is None:
            self.received = signum
            jobs = {f: pid for f, pid in _working(self.folders()).items() if f not in self._working_before}
            if not (signum == signal.SIGINT and _in_foreground()):
                for pid in jobs.values():
                    _terminate(pid)
            _wait(list(jobs))
        raise Interrupted(signum)


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
