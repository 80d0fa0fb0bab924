"""How a command ends: one line for each error that a user can cause, and an exit code. Imports no torch."""

import os
import select
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import TextIO

from cil.errors import ConfigError, DataError

TOLD: tuple[tuple[type[Exception], str, int], ...] = (
    (ConfigError, "configuration error", 2),
    (DataError, "data error", 1),
    (OSError, "data error", 1),
)
"""What an error is called, and the exit code it leads to; the first that fits."""


def exit_code(work: Callable[[], int], *more: tuple[type[Exception], str, int]) -> int:
    """The exit code of `work`, or of the error that ended it, told in one line; 130 after Ctrl-C.

    Where nobody reads the output any more (`| head`), that is no error. more: further errors beside TOLD.
    """
    try:
        code = work()
    except KeyboardInterrupt:
        return _say("interrupted", 128 + signal.SIGINT)
    except Exception as error:
        if isinstance(error, BrokenPipeError) and _unread(sys.stdout):
            return _say("", 0)
        for kind, what, number in (*more, *TOLD):
            if isinstance(error, kind):
                return _say(f"{what}: {error}", number)
        raise
    failed = _flushed(sys.stdout)  # a full disk shows itself here, not while Python ends
    return code if failed is None or isinstance(failed, BrokenPipeError) else _say(f"data error: {failed}", 1)


def _say(text: str, code: int) -> int:
    """Tell it, where somebody reads it."""
    _flushed(sys.stdout)
    _flushed(sys.stderr, f"{text}\n" if text else "")
    return code


def _unread(stream: TextIO | None) -> bool:
    """Whether it is a pipe that nobody reads any more."""
    poll = select.poll()
    try:
        poll.register(stream.fileno() if stream is not None else -1, 0)
        return any(event & select.POLLERR for _, event in poll.poll(0))
    except (OSError, ValueError):
        return False


def _flushed(stream: TextIO | None, text: str = "") -> OSError | None:
    """Write all there is; what went wrong. What is left then goes nowhere, or Python would fail over it as it ends."""
    if stream is None:
        return None
    try:
        stream.write(text)
        stream.flush()
    except OSError as error:
        with suppress(OSError, ValueError), open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), stream.fileno())
        return error
    return None
