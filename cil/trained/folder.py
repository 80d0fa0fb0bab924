"""A run's folder, read from outside: settings, result and classes. Imports no torch."""

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from cil.config.locations import hint_of_runs
from cil.config.schema import RunConfig
from cil.config.typed import load_effective
from cil.data.stream import Task
from cil.errors import ConfigError, DataError
from cil.records.folder import finished_result, read_status


class ClassInfo(NamedTuple):
    """A class of a run."""

    position: int
    """Place in task order, from 0: its column of the logits."""
    id: int
    """Place in the data set's sorted list of classes."""
    name: str
    task: int
    """The task that brought it, from 1."""


@dataclass(frozen=True)
class StoredRun:
    """The files of one run. Reading is lazy; an unfinished run has settings and status, and no result yet."""

    path: Path

    @cached_property
    def config(self) -> RunConfig:
        """The settings the run used. Raises ConfigError for a damaged config.yaml."""
        return load_effective(self.path / "config.yaml")

    @property
    def status(self) -> dict[str, Any]:
        """status.json as it is now: `state` is running, finished, failed or interrupted."""
        return read_status(self.path)

    @cached_property
    def result(self) -> dict[str, Any]:
        """result.json. Raises DataError where the run is not finished, or the file is damaged."""
        if not (self.path / "result.json").is_file():
            state = self.status.get("state") or "of unknown state"
            raise DataError(f"{self.path}: is {state} and has no result.json; it is written when the run is finished")
        return finished_result(self.path)

    @cached_property
    def tasks(self) -> list[Task]:
        """The tasks that the run was trained on, in their order."""
        tasks, first = [], 0
        for entry in self.result["tasks"]:
            tasks.append(Task(entry["task"], tuple(entry["classes"]), tuple(entry["names"]), first))
            first += len(entry["classes"])
        return tasks

    @cached_property
    def classes(self) -> list[ClassInfo]:
        """All classes in task order."""
        return [
            ClassInfo(task.first + i, original, name, task.number)
            for task in self.tasks
            for i, (original, name) in enumerate(zip(task.classes, task.names, strict=True))
        ]

    def metrics(self) -> list[dict[str, Any]]:
        """The records of metrics.jsonl, a last line that is still being written left out. Raises DataError."""
        path = self.path / "metrics.jsonl"
        try:
            lines = path.read_text(encoding="utf-8").split("\n")[:-1]
        except (OSError, ValueError) as error:
            raise DataError(f"{path}: cannot be read: {error}") from None
        records = []
        for number, line in enumerate(lines, start=1):
            try:
                records += [json.loads(line)] if line else []
            except ValueError as error:
                raise DataError(f"{path}: line {number} cannot be read: {error}") from None
        return records

    def check_task(self, task: int | None) -> int:
        """The task's number; None is the last one. Raises ConfigError for one that the run does not have."""
        last = len(self.tasks)
        if task is None:
            return last
        if isinstance(task, bool) or not isinstance(task, int) or not 1 <= task <= last:
            raise ConfigError(f"task: {task} is not one of {self.path}; valid: 1 to {last}, the tasks it has finished")
        return task


def open_run(path: str | Path) -> StoredRun:
    """The run in a folder. Raises ConfigError where there is none, naming the runs below it if there are some."""
    if not isinstance(path, str | Path):
        raise ConfigError(f"{path!r}: is no path; valid is a run's folder, e.g. outputs/NAME/TIME")
    folder = Path(path).expanduser()
    if not folder.is_dir():
        raise ConfigError(f"{folder}: no such folder; valid is a run's folder, e.g. outputs/NAME/TIME")
    if not (folder / "config.yaml").is_file():
        raise ConfigError(f"{folder}: holds no config.yaml, so it is not a run's folder{hint_of_runs(folder)}")
    return StoredRun(folder)
