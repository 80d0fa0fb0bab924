"""One process for each run folder."""

import fcntl
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from cil.errors import ConfigError, DataError


def _taken(file: TextIO) -> bool:
    """Take the lock. Whoever looks whether a run is alive holds it for a moment too, so this tries for a second."""
    for _ in range(20):
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            time.sleep(0.05)
    return False


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the folder's lock. Raises ConfigError naming the holder if another process has it.

    The kernel holds the lock and drops it when its process dies, however it dies: no lock is ever stale.
    Raises DataError for a folder that cannot be written.
    """
    try:
        file = (folder / "lock").open("a+")
    except OSError as error:
        raise DataError(f"{folder}: cannot be written: {error.strerror or error}") from None
    with file:
        if not _taken(file):
            file.seek(0)
            holder = file.read().strip() or "another process"
            raise ConfigError(f"{folder}: this run is already being worked on by {holder}")
        file.truncate(0)
        file.write(f"pid {os.getpid()} on {socket.gethostname()}\n")
        file.flush()
        yield
