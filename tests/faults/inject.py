"""`python -m cil.train` with a fault in it: `python -m tests.faults.inject PLAN ARGUMENTS...`.

PLAN is a dictionary as JSON, every key optional:
  faults: [[place, call, signal], ...]  at the n-th call of a place (from 1) the process sends itself the signal
  calls: file that gets the number of calls of every place, at the end
  batches: file that gets a line for each training batch: task, epoch, step, sample ids, hash of the pixels
  slow: seconds that each training step takes longer
  clock: seconds by which time.time is set back after each step
  usr2: a handler of SIGUSR2 like submitit's: {note: file for what it finds, folder: the run's, exit: its exit code}
  full: {file: PATH, after: STEP, until: STEP} fills the disk with that file after a step, and empties it again
  images: a name for other images than there are
  memory: n-th training step, in which the device's memory does not suffice
"""

import fcntl
import functools
import hashlib
import importlib
import json
import os
import runpy
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any

PLACES = {
    "data": "cil.run.experiment:build_data",
    "optimizer": "torch.optim:SGD.step",
    "step": "cil.run.live:RunObserver.on_step",
    "along": "cil.run.together:Along.on_step",
    "evaluation": "cil.methods.tagfex:TagFex.predict",
    "herding": "cil.data.selection:herd",
    "aligned": "cil.engine.task_end:TaskEnd._evaluate",
    "task": "cil.run.live:RunObserver.on_task",
    "metrics": "cil.records.recorder:Recorder._append",
    "rewriting": "cil.records.recorder:Events",
    "writing": "cil.records.checkpoint:_write",
    "renamed": "cil.records.checkpoint:_sync_folder",
    "final": "cil.records.checkpoint:CheckpointFolder.save_model",
    "result": "cil.records.folder:RunFolder.finish",
    "finished": "cil.records.checkpoint:CheckpointFolder.remove_resumable",
}
"""Functions that a fault can strike, just before they are called."""


def half_a_checkpoint(path: Path, data: memoryview) -> None:
    path.write_bytes(data[: len(data) // 2])


def half_a_line(recorder: Any, record: dict) -> None:
    with recorder._metrics.open("a") as file:
        file.write(json.dumps(record)[:50])


def result_without_status(folder: Any, result: dict) -> None:
    folder.result.write_text(json.dumps(result))


UNFINISHED: dict[str, Callable] = {
    "writing": half_a_checkpoint,
    "metrics": half_a_line,
    "result": result_without_status,
}
"""What a place leaves half done when it is struck."""


class Faults:
    """Counts the calls of every place and strikes where it is told to."""

    def __init__(self, faults: list[tuple[str, int, int]]) -> None:
        self.signals = {(place, call): signum for place, call, signum in faults}
        self.calls: Counter[str] = Counter()

    def plant(self, place: str) -> None:
        module, _, path = PLACES[place].partition(":")
        owner: Any = importlib.import_module(module)
        *parents, name = path.split(".")
        for parent in parents:
            owner = getattr(owner, parent)
        original = getattr(owner, name)

        @functools.wraps(original)
        def planted(*args: Any, **kwargs: Any) -> Any:
            self.calls[place] += 1
            signum = self.signals.get((place, self.calls[place]))
            if signum is not None:
                if place in UNFINISHED and signum == 9:
                    UNFINISHED[place](*args, **kwargs)
                os.kill(os.getpid(), signum)
            return original(*args, **kwargs)

        setattr(owner, name, planted)


def record_batches(path: Path) -> None:
    from cil.data.loader import ResidentLoader

    original = ResidentLoader.train_batches

    def recorded(
        self: Any, indices: Any, targets: Any, batch_size: int, key: Any, start_step: int = 0, **more: Any
    ) -> Any:
        batches = original(self, indices, targets, batch_size, key, start_step, **more)
        for step, batch in enumerate(batches, start=start_step):
            pixels = hashlib.sha256(batch.views.cpu().numpy().tobytes()).hexdigest()
            with path.open("a") as file:
                file.write(json.dumps([key.task, key.epoch, step, batch.indices.tolist(), pixels]) + "\n")
            yield batch

    ResidentLoader.train_batches = recorded  # type: ignore[method-assign]


def after_each_step(action: Callable[[], None]) -> None:
    from cil.run.live import RunObserver

    original = RunObserver.on_step

    def on_step(self: Any, *args: Any) -> None:
        original(self, *args)
        action()

    RunObserver.on_step = on_step  # type: ignore[method-assign]


def set_clock_back(seconds: float) -> None:
    real, shift = time.time, [0.0]
    time.time = lambda: real() - shift[0]

    def back() -> None:
        shift[0] += seconds

    after_each_step(back)


def handle_usr2(note: str, folder: str, exit: int | None = None) -> None:
    def handler(signum: int, frame: FrameType | None) -> None:
        assert signum == signal.SIGUSR2 and frame is not None
        with (Path(folder) / "lock").open("a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                free = True
            except BlockingIOError:
                free = False
        found = {
            "state": json.loads((Path(folder) / "status.json").read_text())["state"],
            "checkpoints": sorted(path.name for path in (Path(folder) / "checkpoints").iterdir()),
            "free": free,
        }
        Path(note).write_text(json.dumps(found))
        if exit is not None:
            sys.exit(exit)

    signal.signal(signal.SIGUSR2, handler)


def fill_disk(file: str, after: int, until: int | None = None) -> None:
    steps = [0]

    def fill() -> None:
        steps[0] += 1
        if steps[0] == after:
            with suppress(OSError), open(file, "wb", buffering=0) as ballast:
                while True:
                    ballast.write(bytes(4096))
        if steps[0] == until:
            os.unlink(file)

    after_each_step(fill)


def have_other_images(name: str) -> None:
    import dataclasses

    from cil.engine import build

    original = build.load_training_data
    build.load_training_data = lambda *args: dataclasses.replace(original(*args), fingerprint=name)


def run_out_of_memory(call: int) -> None:
    import torch

    from cil.engine.step import Stepper

    original, calls = Stepper._backward, [0]

    def short(self: Any, *args: Any) -> Any:
        calls[0] += 1
        if calls[0] == call:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB.")
        return original(self, *args)

    Stepper._backward = short  # type: ignore[method-assign]


def run(plan: dict[str, Any]) -> None:
    """Plant what the plan says, then be `python -m cil.train`, whose arguments are in sys.argv."""
    faults = Faults([tuple(fault) for fault in plan.get("faults", [])])
    for place in PLACES:
        faults.plant(place)
    if "batches" in plan:
        record_batches(Path(plan["batches"]))
    if "slow" in plan:
        after_each_step(lambda: time.sleep(plan["slow"]))
    if "clock" in plan:
        set_clock_back(plan["clock"])
    if "usr2" in plan:
        handle_usr2(**plan["usr2"])
    if "full" in plan:
        fill_disk(**plan["full"])
    if "images" in plan:
        have_other_images(plan["images"])
    if "memory" in plan:
        run_out_of_memory(plan["memory"])
    try:
        runpy.run_module("cil.train", run_name="__main__", alter_sys=True)
    finally:
        if "calls" in plan:
            Path(plan["calls"]).write_text(json.dumps(faults.calls))


if __name__ == "__main__":
    run(json.loads(sys.argv.pop(1)))
