"""What state the run of a job's folder is in, seen from outside. Imports no torch."""

import fcntl
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

from cil.errors import DataError
from cil.records.folder import finished_result, read_status


class State(Enum):
    """State of a job."""

    new = "new"
    """Nothing has been started."""
    running = "running"
    """A living process works on it."""
    interrupted = "interrupted"
    """Stopped or killed; it can be continued."""
    failed = "failed"
    finished = "finished"


@dataclass(frozen=True)
class Found:
    """A job's state, the content of status.json and, once finished, of result.json."""

    state: State
    status: dict[str, Any] = field(default_factory=dict)
    result: dict[str, Any] = field(default_factory=dict)


def look(folder: Path | None) -> Found:
    """The state of the run in `folder`, which need not exist."""
    status = {} if folder is None else read_status(folder)
    if folder is None:
        return Found(State.new)
    if not status:
        # A lost status.json: the run goes on from its checkpoint all the same (cil/run/experiment.py).
        return Found(State.interrupted if any((folder / "checkpoints").glob("t0*.pt")) else State.new)
    name = status.get("state")
    if name == "finished":
        try:
            return Found(State.finished, status, finished_result(folder))
        except DataError as error:
            return Found(State.failed, status | {"error": str(error)})
    if name == "running":
        # A killed process cannot say so itself; the kernel has dropped its lock.
        return Found(State.running if is_locked(folder) else State.interrupted, status)
    return Found(State.failed if name == "failed" else State.interrupted, status)


def is_locked(folder: Path) -> bool:
    """Whether a living process holds the folder's lock (see cil/records/lock.py)."""
    try:
        with (folder / "lock").open() as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False
