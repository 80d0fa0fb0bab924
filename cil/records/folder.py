"""A run's folder: where its files are, and the state that other programs may read while it runs."""

import json
import logging
import math
import os
import shutil
import socket
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cil.config.identity import contradiction
from cil.config.usage import with_neutral
from cil.errors import ConfigError, DataError
from cil.files import read_yaml, write_atomically
from cil.records.lock import locked

logger = logging.getLogger("cil")


def plain(value: Any) -> Any:
    """`value` with every non-finite number as None: the files hold plain JSON, never NaN."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def now() -> str:
    """The time in UTC, ISO 8601, seconds."""
    return datetime.now(UTC).isoformat(timespec="seconds")


_KEPT = ("started", "checkpoint", "forecast", "class_list", "split_into")
"""Facts of status.json that a continued run does not find out anew."""


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
        self.checkpoints = path / "checkpoints"
        self._status: dict[str, Any] = {}
        self._written = 0.0

    def begin(self, **facts: Any) -> None:
        """State `running`, with these facts; keeps what an earlier part of the run noted."""
        kept = {key: value for key, value in read_status(self.path).items() if key in _KEPT}
        self._status = {"state": "running", "pid": os.getpid(), "host": socket.gethostname(), "started": now()}
        self._status |= facts | kept
        self._write_status()

    def note(self, **facts: Any) -> None:
        """Add facts to status.json at once."""
        self._status |= facts
        self._write_status()

    def noted(self, key: str) -> Any:
        """A fact of status.json; None if it is not there."""
        return self._status.get(key)

    def progress(self, **progress: Any) -> None:
        """Where the run is; written at most every five seconds."""
        self._status["progress"] = progress
        if time.monotonic() - self._written > 5:
            self._write_status(durable=False)

    @property
    def where(self) -> dict[str, Any] | None:
        """Task, epoch and step (from 1) that were last completed."""
        progress = self._status.get("progress")
        return None if progress is None else {key: progress[key] for key in ("task", "epoch", "step")}

    def end(self, state: str, **facts: Any) -> None:
        """State `failed` or `interrupted`."""
        self._status |= {"state": state, "ended": now()} | facts
        self._write_status()

    def finish(self, result: dict[str, Any]) -> None:
        """Write result.json, then state `finished`. Raises OSError, unlike the others: what follows relies on it."""
        write_atomically(self.result, json.dumps(plain(result), indent=1) + "\n")
        self.mark_finished(result)

    def mark_finished(self, result: dict[str, Any]) -> None:
        """State `finished`, for a result that has been written. Raises OSError."""
        status = {"state": "finished", "ended": now(), "incremental_avg_top1": result["incremental_avg_top1"]}
        write_atomically(self.status, self._text(self._status | status))

    def is_past_its_first_task(self, inherited: int = 0) -> bool:
        """Whether metrics.jsonl or result.json tell of a later task: the first one ended with a checkpoint.

        inherited: how many tasks another run has trained, before this one's first.
        """
        try:
            lines = self.metrics.read_text().splitlines()
        except OSError:
            lines = []
        return self.result.exists() or any(f'"task": {inherited + 2},' in line for line in lines)

    @staticmethod
    def _text(status: dict[str, Any]) -> str:
        return json.dumps(plain(status | {"updated": now()}), indent=1) + "\n"

    def _write_status(self, durable: bool = True) -> None:
        self._written = time.monotonic()
        try:
            write_atomically(self.status, self._text(self._status), durable)
        except OSError as error:  # a full disk must not end a run that can still be saved later
            logger.warning("cannot write %s: %s", self.status, error)


def holds_work(folder: Path) -> bool:
    """Whether a run was begun here, even if its status.json is lost."""
    files = ("status.json", "metrics.jsonl", "result.json")
    return any((folder / name).exists() for name in files) or any((folder / "checkpoints").glob("*.pt"))


def is_empty(folder: Path) -> bool:
    """Whether the folder holds nothing; one that does not exist holds nothing either."""
    return not folder.is_dir() or not any(folder.iterdir())


_START_FILES = {"config.yaml", "status.json", "lock", "train.log", "metrics.jsonl", "tensorboard", "checkpoints"}
"""What a run makes before its first step."""


def remove_if_unused(folder: Path) -> bool:
    """Remove the folder of a run that made no step: no figures, no checkpoint; whether it was removed.

    A folder with anything in it that a starting run does not make stays, and so does one that a process works on.
    """
    try:
        if not {path.name for path in folder.iterdir()} <= _START_FILES:
            return False
        with locked(folder):
            metrics = folder / "metrics.jsonl"
            begun = read_status(folder).get("progress") is not None  # a step was made
            if begun or any((folder / "checkpoints").glob("*")) or (metrics.exists() and metrics.stat().st_size):
                return False
            shutil.rmtree(folder)
    except (OSError, ConfigError, DataError):
        return False
    return True


def refuse_foreign(folder: Path) -> None:
    """Raises ConfigError where something else than a run lies there: what a run writes must not be mixed with it."""
    if (folder / "config.yaml").is_file():
        return  # its content is looked at when it is read
    foreign = {path.name for path in folder.iterdir()} - _START_FILES if folder.is_dir() else set()
    if foreign or holds_work(folder):
        raise ConfigError(f"{folder}: holds files of something else; choose an empty folder, or one that holds a run")


def refuse_unfinished(folder: Path) -> None:
    """Raises ConfigError where a run was begun: a new one must not overwrite it."""
    if holds_work(folder) and not (folder / "config.yaml").is_file():
        raise ConfigError(f"{folder}: holds files of something else; choose an empty folder")
    if holds_work(folder):
        raise ConfigError(f"{folder}: holds an unfinished run; continue it with resume={folder}")


def read_status(folder: Path) -> dict[str, Any]:
    """The status.json of a run; empty if there is none."""
    path = folder / "status.json"
    try:
        status = json.loads(path.read_text())
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return {}
    return status if isinstance(status, dict) else {}


def finished_result(folder: Path, judge: bool = True) -> dict[str, Any]:
    """The result.json of a finished run.

    Raises DataError if it is missing or damaged, or (judge) if config.yaml tells other settings than those it is of.
    """
    path = folder / "result.json"
    try:
        result = json.loads(path.read_text())
    except (OSError, ValueError):
        result = None
    if not isinstance(result, dict):
        raise DataError(
            f"{path}: is missing or damaged, though the run is finished; put it back, or delete the folder to run "
            "it again"
        )
    if judge:
        _refuse_edited(folder, result)
    return result


def _refuse_edited(folder: Path, result: dict[str, Any]) -> None:
    """Raises DataError where config.yaml tells other settings than those that the figures are of."""
    try:
        reason = contradiction(result, with_neutral(read_yaml(folder / "config.yaml")))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return  # told by who needs that file
    if reason is not None:
        raise DataError(f"{folder}: {reason}; put the run's own file back, or train these settings with rerun={folder}")
