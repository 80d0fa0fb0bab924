"""A run outlives whoever reads what it prints: a pipe that closes (`| head`, a killed `tee`), a lost terminal.

It needs no reader from the start either (`2>&-`).
"""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any


class _Lasting:
    """A stream that goes on in silence once its reader has gone."""

    def __init__(self, stream: Any, let_go: type[OSError]) -> None:
        self._stream = stream
        self._let_go = let_go

    def write(self, text: str) -> int:
        """Write, if there still is a reader."""
        self._attempt(lambda: self._stream.write(text))
        return len(text)

    def flush(self) -> None:
        """Flush, if there still is a reader."""
        self._attempt(self._stream.flush)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def _attempt(self, action: Callable[[], Any]) -> None:
        try:
            action()
        except self._let_go:
            # What is still in the buffer must go somewhere, at the latest when Python ends.
            with suppress(OSError, ValueError), open(os.devnull, "w") as nowhere:
                os.dup2(nowhere.fileno(), self._stream.fileno())


@contextmanager
def lasting_output(let_go: type[OSError] = OSError) -> Iterator[None]:
    """While active, nobody needs to read stdout and stderr, and both are there to be written to.

    let_go: what must not stop the work; BrokenPipeError where a full disk should, since what is printed is the result.
    """
    _fill_closed_descriptors()
    before = sys.stdout, sys.stderr
    with ExitStack() as opened:
        # Python has no stream (None) for a descriptor that was closed when it started.
        streams = [opened.enter_context(open(os.devnull, "w")) if s is None else s for s in before]
        sys.stdout, sys.stderr = (s if isinstance(s, _Lasting) else _Lasting(s, let_go) for s in streams)
        try:
            yield
        finally:
            lasting = sys.stdout, sys.stderr
            sys.stdout, sys.stderr = before
            for stream in lasting:
                if isinstance(stream, _Lasting):
                    stream.flush()


def _fill_closed_descriptors() -> None:
    """Open what is closed of stdin, stdout and stderr on nothing.

    Otherwise the next file that is opened gets the number, a checkpoint, say, and what a library or the signal
    handler writes to descriptor 2 ends up in it.
    """
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            nowhere = os.open(os.devnull, os.O_RDWR)
            if nowhere != descriptor:
                os.dup2(nowhere, descriptor)
                os.close(nowhere)
