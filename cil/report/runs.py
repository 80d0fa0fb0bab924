"""Reading runs: which folders are runs, which of them count, and why the others do not."""

import json
import os
import socket
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any

from cil.config.identity import contradiction, run_id
from cil.config.parts import part_versions, stored_versions
from cil.config.usage import with_neutral
from cil.engine.metrics import figure_name, headline
from cil.files import read_yaml
from cil.report.curves import Curves, read_curves
from cil.report.errors import ReportError
from cil.report.settings import flatten, of_identity, unflatten
from cil.report.tags import no_run_has, tagged

RESULT_SCHEMA_VERSION = 1
_NEEDED = {"matrices": dict, "curves": dict, "tasks": list, "class_order": list}
_SKIPPED_FOLDERS = {"tensorboard", "checkpoints", ".git", ".venv", "__pycache__"}


@dataclass(frozen=True)
class Excluded:
    """A run that does not count, and why."""

    path: Path
    reason: str
    same: bool = False
    """It is a copy or a repeat of another one that counts."""


@dataclass(frozen=True)
class Run:
    """A finished run. `settings` are the dotted keys of its config.yaml."""

    path: Path
    settings: dict[str, Any]
    result: dict[str, Any]
    status: dict[str, Any]
    curves: Curves = field(default_factory=Curves)

    @property
    def seed(self) -> Any:
        """Seed of weights, order and augmentation; of a branch whose first tasks had another one: '5 after 1'."""
        own = self.settings.get("seed")
        earlier = [share["config"].get("seed") for share in self.shares]
        chain = [seed for i, seed in enumerate([*earlier, own]) if i == 0 or seed != [*earlier, own][i - 1]]
        return own if len(chain) == 1 else " after ".join(map(str, reversed(chain)))

    @property
    def shares(self) -> list[dict[str, Any]]:
        """What a branch has inherited, the oldest first: each with `run_id`, `run`, `tasks` and `config`."""
        return list((self.result.get("branch") or {}).get("inherited") or [])

    @property
    def name(self) -> str:
        """The run's or experiment's name."""
        return str(self.settings.get("name", ""))

    @property
    def memory_events(self) -> list[Any]:
        """Where memory ran out and training went on in micro-batches (trainer.on_oom=accumulate)."""
        return list(self.result.get("memory_events") or [])

    @cached_property
    def accuracies(self) -> dict[str, float | None]:
        """Headline figures by the names of result.json, computed from its matrices and curves; `val.` ones too."""
        return _accuracies(self.result) | {f"val.{k}": v for k, v in _accuracies(self.result.get("val") or {}).items()}

    @cached_property
    def identity(self) -> dict[str, Any]:
        """Settings that can change a result, seed and class order included."""
        return of_identity(self.settings, self.shares)

    @cached_property
    def order(self) -> str:
        """Short hash of the classes in the order they were learned."""
        return sha256(json.dumps(self.result["class_order"]).encode()).hexdigest()[:8]

    @property
    def cut_after(self) -> int | None:
        """The task after which trainer.max_tasks ended a longer stream; None where all classes were learned."""
        tasks = self.result["tasks"]
        return len(tasks) if sum(task.get("size", 0) for task in tasks) < len(self.result["class_order"]) else None

    @property
    def unit(self) -> tuple[Any, str]:
        """What runs of two variants are paired by: seed and class order."""
        return self.seed, self.order


def code_version(run: Run) -> dict[str, Any]:
    """Part of the program -> version that made the run's numbers, of the parts that the run uses.

    A result.json without versions tells them by its config_id, a hash that includes them; None: unknown ones.
    """
    settings = unflatten(run.settings)
    versions = stored_versions(run.result, settings)
    if None in versions.values() and run.settings.get("dataset.class_list") is None:
        try:
            if run_id(settings) == run.result.get("config_id"):
                return part_versions(settings)
        except (KeyError, TypeError, ValueError):
            pass
    return versions


def _accuracies(source: dict[str, Any]) -> dict[str, float | None]:
    matrices, curves = source.get("matrices") or {}, source.get("curves") or {}
    return {
        figure_name(figure, kind): value
        for kind in matrices
        if matrices.get(kind) and curves.get(kind)
        for figure, value in headline(matrices[kind], curves[kind]).items()
    }


@dataclass
class Found:
    """What was found under the given paths."""

    runs: list[Run] = field(default_factory=list)
    excluded: list[Excluded] = field(default_factory=list)
    sweeps: list[dict[str, Any]] = field(default_factory=list)
    """Contents of sweep.json files (keys `swept` and `warnings` are read)."""


def find_runs(paths: Iterable[Path], tags: Collection[str] = ()) -> Found:
    """Read every run under `paths` that has all of the tags.

    Raises ReportError for a path that does not exist or holds no run, and where no run has the tags.
    """
    found = Found()
    everything: list[Path] = []
    seen: set[Path] = set()
    for path in paths:
        if not path.is_dir():
            raise ReportError(f"{path}: no such folder" if not path.exists() else f"{path}: is not a folder")
        folders = run_folders(path)
        if not folders:
            raise ReportError(f"{path}: no run found (no result.json or status.json under it)")
        everything += folders
        for folder in tagged(folders, tags):
            if folder.resolve() not in seen:
                seen.add(folder.resolve())
                outcome = read_run(folder)
                if isinstance(outcome, Run):
                    found.runs.append(outcome)
                else:
                    found.excluded.append(outcome)
        sweep_folders = {path, path.parent if path in folders else path, *(f.parent for f in folders)}
        found.sweeps += _sweep_files(sweep_folders, seen)
    if tags and not found.runs and not found.excluded:
        raise no_run_has(tags, everything)
    return found


def run_folders(path: Path) -> list[Path]:
    """The folders of runs at and below `path`; those behind links belong elsewhere."""
    folders = []
    for folder, children, files in os.walk(path):
        children[:] = sorted(child for child in children if child not in _SKIPPED_FOLDERS)
        if "result.json" in files or "status.json" in files:
            folders.append(Path(folder))
    return folders


def _sweep_files(folders: set[Path], seen: set[Path]) -> list[dict[str, Any]]:
    contents = []
    for folder in sorted(folders):
        path = folder / "sweep.json"
        if path.is_file() and path.resolve() not in seen:
            seen.add(path.resolve())
            try:
                content = json.loads(path.read_text(encoding="utf-8"))
            except (OSError, ValueError):
                content = {"warnings": [f"{path}: cannot be read"]}
            contents.append(content if isinstance(content, dict) else {})
    return contents


def read_run(folder: Path) -> Run | Excluded:
    """The run in `folder`, or why it does not count."""
    try:
        status = _json(folder / "status.json") if (folder / "status.json").is_file() else {}
        problem = _not_finished(status, (folder / "result.json").is_file())
        if problem:
            return Excluded(folder, problem)
        result = _json(folder / "result.json")
        _check_result(result)
        settings = _config(folder / "config.yaml")
        reason = contradiction(result, settings)
        if reason is not None:
            raise ValueError(reason)
        metrics = folder / "metrics.jsonl"
        try:
            curves = read_curves(metrics) if metrics.is_file() else None
        except (OSError, ValueError) as error:
            raise ValueError(f"metrics.jsonl: {error}") from None
        if curves is not None:
            _check_whole(curves, settings, result["tasks"])
    except ValueError as error:
        return Excluded(folder, str(error))
    run = Run(folder, settings, result, status, curves or Curves())
    try:
        _check_figures(run)
    except (ArithmeticError, AttributeError, IndexError, KeyError, TypeError) as error:
        return Excluded(folder, f"result.json is malformed ({type(error).__name__}: {error})")
    except ValueError as error:
        return Excluded(folder, str(error))
    return run


def _check_whole(curves: Curves, settings: dict[str, Any], tasks: list[dict[str, Any]]) -> None:
    """Raises ValueError where a finished run's metrics.jsonl lacks a part: a cut file still reads."""
    first, later = (settings.get(f"trainer.{key}_epochs") for key in ("init", "inc"))
    # How many epochs a task has is the method's to say; results of 0.1.0, all of tagfex, do not tell.
    found = [task.get("epochs", later if i else first) for i, task in enumerate(tasks)]
    wanted = [number for number in found if isinstance(number, int)]
    if len(wanted) == len(tasks) and curves.epochs != sum(wanted):
        raise ValueError(f"metrics.jsonl holds {curves.epochs} of {sum(wanted)} epochs")
    if curves.ended != len(tasks):
        raise ValueError(f"metrics.jsonl holds the end of {curves.ended} of {len(tasks)} tasks")


def _json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"), parse_constant=_refuse)
    except (OSError, ValueError) as error:
        raise ValueError(f"{path.name} cannot be read: {error}") from None
    if not isinstance(content, dict):
        raise ValueError(f"{path.name} cannot be read: it holds no object")
    return content


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no number of JSON")


def _config(path: Path) -> dict[str, Any]:
    try:
        content = read_yaml(path)
    except (OSError, ValueError) as error:
        raise ValueError(f"config.yaml cannot be read: {str(error).splitlines()[0]}") from None
    if not isinstance(content, dict) or "seed" not in content:
        raise ValueError("config.yaml holds no configuration")
    return flatten(with_neutral(content))


def _not_finished(status: dict[str, Any], has_result: bool) -> str | None:
    state = status.get("state")
    if state == "failed":
        return f"failed: {status.get('error') or 'no error recorded'}{_where(status)}"
    if state == "interrupted":
        return f"interrupted{_where(status)}"
    if state == "running":
        dead = status.get("host") == socket.gethostname() and not _alive(status.get("pid"))
        return f"unfinished: {'its process is gone' if dead else 'still running'}{_where(status)}"
    if state not in ("finished", None):
        return f"unknown state {state!r}"
    return None if has_result else "finished, but result.json is missing" if state else "result.json is missing"


def _where(status: dict[str, Any]) -> str:
    place = status.get("where") or status.get("progress") or {}
    parts = [f"{name} {place[name]}" for name in ("task", "epoch", "step") if place.get(name)]
    return f" ({', '.join(parts)})" if parts else ""


def _alive(pid: Any) -> bool:
    try:
        os.kill(int(pid), 0)
    except (OSError, TypeError, ValueError, OverflowError) as error:
        return isinstance(error, PermissionError)
    return True


def _check_result(result: dict[str, Any]) -> None:
    version = result.get("schema_version")
    if isinstance(version, int) and version > RESULT_SCHEMA_VERSION:
        raise ValueError(f"result.json has schema version {version}; this program reads up to {RESULT_SCHEMA_VERSION}")
    for key, kind in _NEEDED.items():
        if not isinstance(result.get(key), kind):
            raise ValueError(f"result.json lacks {key!r}")
    matrix, curve = result["matrices"].get("top1"), result["curves"].get("top1")
    if not matrix or not curve or len(matrix) != len(curve):
        raise ValueError("result.json has no complete top-1 accuracy matrix")
    if any(not isinstance(row, list) or len(row) != i + 1 for i, row in enumerate(matrix)):
        raise ValueError("result.json: row t of the accuracy matrix must have t values")
    if [task.get("task") for task in result["tasks"]] != list(range(1, len(matrix) + 1)):
        raise ValueError("result.json: `tasks` and the accuracy matrix do not agree")


def _check_figures(run: Run) -> None:
    """Headline figures must follow from the matrices; computing them also finds values that are no numbers."""
    for name, value in run.accuracies.items():
        stored = run.result.get(name)
        if stored is not None and (value is None or abs(stored - value) > 1e-6):
            raise ValueError(f"result.json contradicts itself: {name} is {stored}, its matrices give {value}")
