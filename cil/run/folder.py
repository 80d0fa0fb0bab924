"""A run's folder: where its files are, and the state that other programs may read while it runs."""

import json
import math
import os
import socket
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any


def plain(value: Any) -> Any:
    """`value` with every non-finite number as None: the files hold plain JSON, never NaN."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def write_atomically(path: Path, text: str) -> None:
    """Write a file that a reader sees either as it was or whole."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.write_text(text)
    os.replace(temporary, path)


def now() -> str:
    """The time in UTC, ISO 8601, seconds."""
    return datetime.now(UTC).isoformat(timespec="seconds")


class RunFolder:
    """Paths of a run's files, and its status.json."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.config = path / "config.yaml"
        self.status = path / "status.json"
        self.metrics = path / "metrics.jsonl"
        self.result = path / "result.json"
        self.tensorboard = path / "tensorboard"
        self.log = path / "train.log"
        self._status: dict[str, Any] = {}
        self._written = 0.0

    def begin(self) -> None:
        """State `running`."""
        self._status = {"state": "running", "pid": os.getpid(), "host": socket.gethostname(), "started": now()}
        self._write_status()

    def progress(self, **progress: Any) -> None:
        """Where the run is; written at most every five seconds."""
        self._status["progress"] = progress
        if time.monotonic() - self._written > 5:
            self._write_status()

    def end(self, state: str, **facts: Any) -> None:
        """State `finished`, `failed` or `interrupted`."""
        self._status |= {"state": state, "ended": now()} | facts
        self._write_status()

    def _write_status(self) -> None:
        self._written = time.monotonic()
        write_atomically(self.status, json.dumps(plain(self._status | {"updated": now()}), indent=1) + "\n")


def read_status(folder: Path) -> dict[str, Any]:
    """The status.json of a run; empty if there is none."""
    path = folder / "status.json"
    return json.loads(path.read_text()) if path.is_file() else {}
