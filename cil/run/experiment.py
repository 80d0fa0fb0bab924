"""Runs one job: from a checked configuration to result.json."""

import json
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch

from cil.config.schema import RunConfig
from cil.data.loader import make_loader
from cil.data.sources import load_dataset
from cil.data.stream import TaskStream, class_order, task_sizes
from cil.engine.loop import Progress, State, Trainer, TrainingData
from cil.engine.precision import set_reproducibility
from cil.methods import make_method
from cil.run.folder import RunFolder, plain, write_atomically
from cil.run.progress import Display
from cil.run.recorder import Recorder
from cil.run.result import build_result
from cil.run.signals import Interrupted, StopSignals
from cil.run.table import result_table

Record = dict[str, Any]
logger = logging.getLogger("cil")


class RunObserver:
    """Writes what the trainer reports, shows it, and stops the run when a signal has come."""

    def __init__(
        self, folder: RunFolder, recorder: Recorder, display: Display, stop: StopSignals, where: dict[str, int]
    ) -> None:
        self.folder = folder
        self.recorder = recorder
        self.display = display
        self.check = stop.check
        self.where = where
        """Kept up to date: task, epoch and step (from 1) that were last completed."""

    def on_step(self, progress: Progress, state: Callable[[], State]) -> None:
        """Show progress and note it in status.json."""
        self.where.update(task=progress.task, epoch=progress.epoch, step=progress.step)
        self.display.step(progress)
        left = self.display.left
        facts = {"tasks": self.display.tasks, "epochs": progress.epochs, "steps": progress.steps}
        self.folder.progress(**self.where, **facts, share=left.done, seconds_left=left.seconds)
        self.check()

    def on_epoch(self, record: Record) -> None:
        """Write the figures of an epoch."""
        self.recorder.add(record)
        self.display.epoch(record)
        logger.info("task %d epoch %d: %s", record["task"], record["epoch"], _figures(record))

    def on_task(self, record: Record, state: Callable[[], State]) -> None:
        """Write the figures of a task."""
        self.recorder.add(record)
        text = (
            f"task {record['task']}/{self.display.tasks} done: top-1 {_show(record['task/top1'])}, "
            f"NME {_show(record['task/nme_top1'])}, average so far {_show(record['task/incremental_avg_top1'])}"
        )
        logger.info(text)
        self.display.line(text)


def _show(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _figures(record: Record) -> str:
    tags = ("loss/total", "loss/cls", "contrast/gap", "contrast/violation_rate", "train/top1", "test/top1", "lr")
    return " ".join(f"{tag}={record[tag]:.4g}" for tag in tags if record.get(tag) is not None)


@contextmanager
def log_file(path: Any) -> Iterator[None]:
    """Write the log of this run to `path`, and of no other run of the process."""
    handler = logging.FileHandler(path)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(handler)
        handler.close()


def resolve_device(name: str) -> torch.device:
    """`auto` is CUDA where there is one."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)


def load_training_data(config: RunConfig, device: torch.device) -> TrainingData:
    """Read the images and cut them into tasks. Raises DataError."""
    raw = load_dataset(config.dataset)
    order = class_order(config.class_order, config.class_order_seed, len(raw.classes))
    stream = TaskStream(order, task_sizes(config.split, len(raw.classes)), list(raw.classes))
    loader = make_loader(raw, config.augment, config.dataset.image_size, device, config.dataset.num_workers)
    return TrainingData(raw, loader, stream)


def run_experiment(config: RunConfig, config_id: str, config_yaml: str, folder: RunFolder) -> dict[str, Any]:
    """Train, evaluate and write the run's folder; returns the content of result.json.

    Raises what stopped the run, after noting it in status.json: Interrupted after a signal, DataError for
    broken data.
    """
    folder.path.mkdir(parents=True, exist_ok=True)
    write_atomically(folder.config, config_yaml)
    folder.begin()
    where: dict[str, int] = {}
    with log_file(folder.log), StopSignals() as stop:
        try:
            result = _train(config, config_id, folder, stop, where)
        except Interrupted as error:
            logger.warning("%s", error)
            folder.end("interrupted", reason=str(error))
            raise
        except BaseException as error:
            logger.exception("failed")
            folder.end("failed", error=f"{type(error).__name__}: {error}", where=where or None)
            raise
        write_atomically(folder.result, json.dumps(plain(result), indent=1) + "\n")
        folder.end("finished", incremental_avg_top1=result["incremental_avg_top1"])
    return result


def _train(
    config: RunConfig, config_id: str, folder: RunFolder, stop: StopSignals, where: dict[str, int]
) -> dict[str, Any]:
    started = time.monotonic()
    set_reproducibility(config.trainer)
    device = resolve_device(config.device)
    data = load_training_data(config, device)
    recorder = Recorder(folder.metrics, folder.tensorboard if config.tracking.tensorboard else None)
    display = Display(len(data.stream.tasks[: config.trainer.max_tasks]), config.tracking.progress)
    observer = RunObserver(folder, recorder, display, stop, where)
    try:
        trainer = Trainer(config, data, make_method(config), device, observer)
        trainer.run()
        result = build_result(config, config_id, trainer, time.monotonic() - started)
    finally:
        display.close()
        recorder.close()
        data.loader.close()
    print(f"\n{result_table(result)}\n")
    return result
