"""One process for each run folder."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cil.errors import ConfigError, DataError
from cil.files import take_lock


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the folder's lock. Raises ConfigError naming the holder if another process has it.

    Raises DataError for a folder that cannot be written.
    """
    try:
        file = (folder / "lock").open("a+")
    except OSError as error:
        raise DataError(f"{folder}: cannot be written: {error.strerror or error}") from None
    with file:
        # Whoever looks whether a run is alive holds it for a moment too.
        if not take_lock(file, seconds=1):
            file.seek(0)
            holder = file.read().strip() or "another process"
            raise ConfigError(f"{folder}: this run is already being worked on by {holder}")
        file.truncate(0)
        file.write(f"pid {os.getpid()} on {socket.gethostname()}\n")
        file.flush()
        yield
