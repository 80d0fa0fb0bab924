"""Files that are whole or not there, that one process has at a time, or that are read often. Imports no torch."""

import fcntl
import os
import time
from pathlib import Path
from typing import IO, Any

import yaml

_PAUSE = 0.05
_YAML: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def take_lock(file: IO[str], seconds: float) -> bool:
    """Lock an open file for this process alone; whether that worked within `seconds`.

    The kernel drops the lock when the process dies, however it dies: no lock is ever stale.
    """
    for _ in range(round(seconds / _PAUSE)):
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            time.sleep(_PAUSE)
    return False


def write_atomically(path: Path, text: str, durable: bool = True) -> None:
    """Write a file that a reader sees either as it was or whole. Raises OSError.

    durable: also after a power failure; not worth the wait for what is written again in seconds.
    """
    write_bytes_atomically(path, text.encode(), durable)


def write_bytes_atomically(path: Path, content: bytes, durable: bool = True) -> None:
    """The same for bytes. Raises OSError."""
    # One name, not one for each process: what a killed process left is overwritten. The lock allows one writer.
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        if error.filename is None:  # a write does not say to which file
            raise OSError(error.errno, error.strerror, str(path)) from None
        raise
    finally:
        temporary.unlink(missing_ok=True)


def read_yaml(path: Path) -> Any:
    """The content of a YAML file, without OmegaConf, which takes ten times as long. Raises OSError, ValueError.

    Nothing that the file may contain is executed.
    """
    try:
        return yaml.load(path.read_text(encoding="utf-8"), _YAML)  # noqa: S506  (a safe loader)
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from None
