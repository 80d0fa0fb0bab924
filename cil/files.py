"""Files that several processes may want at once. Imports no torch."""

import fcntl
import time
from typing import IO

_PAUSE = 0.05


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
