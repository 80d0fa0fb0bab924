"""How a command ends: one line for each error that a user can cause, and an exit code. Imports no torch."""

import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress

from cil.errors import ConfigError, DataError

TOLD: tuple[tuple[type[Exception], str, int], ...] = (
    (ConfigError, "configuration error", 2),
    (DataError, "data error", 1),
    (BrokenPipeError, "", 0),  # nobody reads any more (`| head`)
    (OSError, "data error", 1),
)
"""What an error is called, and the exit code it leads to; the first that fits."""


def exit_code(work: Callable[[], int], *more: tuple[type[Exception], str, int]) -> int:
    """The exit code of `work`, or of the error that ended it, told in one line; 130 after Ctrl-C.

    more: further errors beside TOLD.
    """
    try:
        code = work()
        if sys.stdout is not None:
            sys.stdout.flush()  # a full disk shows itself here, not while Python ends
        return code
    except KeyboardInterrupt:
        return _say("interrupted", 128 + signal.SIGINT)
    except Exception as error:
        for kind, what, code in (*more, *TOLD):
            if isinstance(error, kind):
                return _say(f"{what}: {error}" if what else "", code)
        raise


def _say(text: str, code: int) -> int:
    """Tell it where somebody reads it; leave no output behind that Python would fail over when it ends."""
    for stream, line in ((sys.stdout, ""), (sys.stderr, f"{text}\n" * bool(text))):
        if stream is None:
            continue
        try:
            stream.write(line)
            stream.flush()
        except (OSError, ValueError):
            with suppress(OSError, ValueError), open(os.devnull, "w") as nowhere:
                os.dup2(nowhere.fileno(), stream.fileno())
    return code
