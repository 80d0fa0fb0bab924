"""Checkpoints: one file with everything, written so that a crash at any moment leaves a good one behind.

The file's name ends in the SHA-256 of its content, so a cut or altered file shows itself. A new file is written
under a temporary name, flushed to disk, read back and only then renamed; the one before it goes last.
Files hold tensors and plain Python values only: `torch.load` reads them with its safe defaults.
"""

import copy
import hashlib
import io
import os
import re
from pathlib import Path
from typing import Any

import torch

State = dict[str, Any]
NAME = re.compile(r"(?P<label>t\d+-e\d+-s\d+|task-\d+|final)-(?P<digest>[0-9a-f]{16})\.pt")
BETWEEN_TASKS = ("cursor", "method", "scaler", "epoch_stats", "task_end")
"""What the state of a trainer consists of between two tasks, where no optimiser is needed: each task has a new one."""
CHUNK = 1 << 24
TEMPORARY = ".writing.tmp"
"""One name for all: what a process left that was killed while it wrote is overwritten by the next file."""


def on_cpu(state: Any, copied: bool = True) -> Any:
    """The same state in main memory; a copy that shares no tensor with it, unless `copied` is false."""
    if isinstance(state, torch.Tensor):
        return state.detach().to("cpu", copy=copied)
    if isinstance(state, dict):
        moved = copy.copy(state)  # keeps the kind of dictionary
        moved.update((key, on_cpu(value, copied)) for key, value in state.items())
        return moved
    return [on_cpu(value, copied) for value in state] if isinstance(state, list) else state


class DamagedCheckpoint(Exception):
    """A checkpoint's content is not what was written. The message names the file."""


def _digest(data: bytes | memoryview) -> str:
    return hashlib.sha256(data).hexdigest()[:16]


def _file_digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def _write(path: Path, data: memoryview) -> None:
    with path.open("wb") as file:
        for start in range(0, len(data), CHUNK):
            file.write(data[start : start + CHUNK])
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    """Make a rename durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_checkpoint(folder: Path, label: str, state: State) -> Path:
    """Write `state` as `label`-digest.pt. Raises OSError (a full disk, say); then nothing new is left behind."""
    folder.mkdir(parents=True, exist_ok=True)
    # Serialised in memory first: PyTorch's writer does not report a full disk as an OSError.
    buffer = io.BytesIO()
    torch.save(on_cpu(state, copied=False), buffer)  # to be read on a machine without the device, too
    data = buffer.getbuffer()
    digest = _digest(data)
    path = folder / f"{label}-{digest}.pt"
    temporary = folder / TEMPORARY
    try:
        _write(temporary, data)
        if _file_digest(temporary) != digest:
            raise OSError(f"{temporary}: what was read back is not what was written")
        os.replace(temporary, path)
        _sync_folder(folder)
    finally:
        temporary.unlink(missing_ok=True)
    return path


def read_checkpoint(path: Path) -> State:
    """The state in `path`, on the CPU. Raises DamagedCheckpoint; executes nothing the file may contain."""
    match = NAME.fullmatch(path.name)
    try:
        data = path.read_bytes()
        if match is None or _digest(data) != match["digest"]:
            raise DamagedCheckpoint(f"{path}: the content does not match the checksum in its name")
        return torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except DamagedCheckpoint:
        raise
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DamagedCheckpoint(f"{path}: cannot be read: {reason}") from None


class CheckpointFolder:
    """The checkpoints of one run: the newest two to continue from, models of finished tasks, the final model."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._last: Path | None = None
        """The file that was read or written last, known to be whole: kept until the next one is."""

    def _labelled(self, prefix: str) -> list[Path]:
        """Files with a label that starts with `prefix`, oldest position first. The clock plays no part."""
        if not self.folder.is_dir():
            return []
        found = [path for path in self.folder.iterdir() if NAME.fullmatch(path.name)]
        return sorted(path for path in found if path.name.startswith(prefix))

    def save(self, state: State) -> Path:
        """Save a state to continue from, and remove all but it and the one before. Raises OSError."""
        cursor = state["trainer"]["cursor"]
        label = f"t{cursor['finished_tasks'] + 1:04d}-e{cursor['epoch']:06d}-s{cursor['step']:08d}"
        path = write_checkpoint(self.folder, label, state)
        for old in self._labelled("t0"):
            # Others are older, or were passed over as damaged when the run was continued.
            if old not in (path, self._last):
                old.unlink(missing_ok=True)
        self._last = path
        return path

    def newest(self) -> tuple[State | None, list[str]]:
        """The newest state that is whole, and a line for each damaged file that was passed over."""
        problems: list[str] = []
        for path in reversed(self._labelled("t0")):
            try:
                state = read_checkpoint(path)
                self._last = path
                return state, problems
            except DamagedCheckpoint as error:
                problems.append(str(error))
        return None, problems

    def save_model(self, label: str, state: State) -> Path:
        """Keep a state without optimiser: `task-03` or `final`. Raises OSError."""
        path = write_checkpoint(self.folder, label, state)
        for old in self._labelled(f"{label}-"):
            if old != path:
                old.unlink(missing_ok=True)
        return path

    def after_task(self, task: int) -> State | None:
        """A state to continue from after `task`: one kept for good, or a checkpoint before the next task's first step.

        None if neither is there, or what is there is a model alone. Raises DamagedCheckpoint.
        """
        found = [*self._labelled(f"task-{task:02d}-"), *self._labelled(f"t{task + 1:04d}-e000000-s00000000-")]
        for path in found:
            state = read_checkpoint(path)
            if "trainer" not in state and "cursor" in state:
                state["trainer"] = {name: state.pop(name) for name in BETWEEN_TASKS} | {"optimizer": None}
            if "trainer" in state and not state["trainer"]["cursor"]["begun"]:
                return state
        return None

    def models(self, tasks: int) -> dict[int, Path]:
        """Files that hold a model, by the task it was kept after; the final model is that of the last of `tasks`."""
        final = {tasks: path for path in self._labelled("final-")}  # noqa: B035  (there is at most one)
        return final | {int(path.name.split("-")[1]): path for path in self._labelled("task-")}

    def remove_resumable(self) -> None:
        """Remove what a finished run does not need to be evaluated."""
        for path in self._labelled("t0"):
            path.unlink(missing_ok=True)
