"""What a run writes, shows and saves while it trains."""

import logging
import time
from collections.abc import Callable
from typing import Any

from cil.config.schema import CheckpointConfig
from cil.distributed.ranks import largest
from cil.engine.observer import Progress, State
from cil.records.checkpoint import BETWEEN_TASKS, CheckpointFolder, on_cpu
from cil.records.folder import RunFolder
from cil.records.recorder import Recorder
from cil.run.progress import Display
from cil.run.signals import Interrupted, StopSignals

Record = dict[str, Any]
logger = logging.getLogger("cil")


class Saver:
    """Saves checkpoints at their cadence; survives a full disk for a while."""

    def __init__(
        self,
        config: CheckpointConfig,
        folder: RunFolder,
        checkpoints: CheckpointFolder,
        recorder: Recorder,
        facts: Record,
        elapsed: Callable[[], float],
    ) -> None:
        self.config = config
        self.folder = folder
        self.recorder = recorder
        self.facts = facts
        """What a checkpoint says of the run beside its state: settings (`config`), versions, data."""
        self.elapsed = elapsed
        """Seconds of work that are in the run so far, those before an interruption included."""
        self.checkpoints = checkpoints
        self.failures = 0
        self.seconds = 0.0
        """Time spent saving."""
        self._unsaved: dict[str, State] = {}
        """States of finished tasks that found no room on the disk, on the CPU."""
        self._last = time.monotonic()

    @property
    def due(self) -> bool:
        """Whether the cadence asks for a checkpoint."""
        return time.monotonic() - self._last >= 60 * self.config.every_minutes

    def save(self, state: State) -> None:
        """Save a state to continue from. Raises OSError after `checkpoint.max_failures` failures in a row."""
        started = time.monotonic()
        content = self._facts_now() | {"trainer": state}
        try:
            self._save_models()
            path = self.checkpoints.save(content)
        except OSError as error:
            self._failed(error)
        else:
            self.failures = 0
            self.folder.note(checkpoint=path.name)
        self._last = time.monotonic()
        self.seconds += self._last - started

    def save_task(self, task: int, state: State) -> None:
        """The state after a task, once more for good if those are kept: without the optimiser, and with all else."""
        if self.config.keep_tasks:
            kept = self._facts_now() | {name: state[name] for name in BETWEEN_TASKS}
            self._unsaved[f"task-{task:02d}"] = kept
        self.save(state)
        # Training goes on with the live tensors.
        self._unsaved = {label: on_cpu(model) for label, model in self._unsaved.items()}

    def finish(self, state: State) -> None:
        """Keep the final model. Raises OSError."""
        self._save_models()
        self.checkpoints.save_model("final", self._model(state))

    def _save_models(self) -> None:
        """Before the state: a run continued from that would not come back to the end of the task."""
        for label in list(self._unsaved):
            self.checkpoints.save_model(label, self._unsaved[label])
            del self._unsaved[label]

    def _failed(self, error: OSError) -> None:
        self.failures += 1
        text = f"checkpoint not saved ({self.failures} of {self.config.max_failures} failures in a row): {error}"
        logger.warning(text)
        print(f"warning: {text}; the one before is kept", flush=True)
        if self.failures >= self.config.max_failures:
            raise error

    def _facts_now(self) -> State:
        """What a state to continue from says beside the trainer's own."""
        return {**self.facts, "records": list(self.recorder.records), "seconds": self.elapsed()}

    def _model(self, state: State) -> State:
        return {"config": self.facts["config"], "method": state["method"], "task_end": state["task_end"]}


def agreed(stop: StopSignals, due: bool = False) -> tuple[int | None, bool]:
    """(signal that any process of the run has got, whether it is time to save): the same in all of them.

    A meeting of all processes; see cil/distributed/ranks.py.
    """
    word = largest(2 * (stop.received or 0) + due)
    return word // 2 or None, bool(word % 2)


class RunObserver:
    """Writes what the trainer reports, shows it, saves it, and stops the run when a signal has come."""

    def __init__(
        self, folder: RunFolder, recorder: Recorder, display: Display, saver: Saver, stop: StopSignals
    ) -> None:
        self.folder = folder
        self.recorder = recorder
        self.display = display
        self.saver = saver
        self.stop = stop

    def on_step(self, progress: Progress, state: Callable[[], State]) -> None:
        """Show progress, note it in status.json, save if it is time."""
        self.display.step(progress)
        left = self.display.left
        where = {"task": progress.task, "epoch": progress.epoch, "step": progress.step}
        facts = {"tasks": self.display.tasks, "epochs": progress.epochs, "steps": progress.steps}
        self.folder.progress(**where, **facts, share=left.done, seconds_left=left.seconds)
        received, due = agreed(self.stop, self.saver.due)
        if received or due:
            self.saver.save(state())
            left.pause()
        if received:
            raise Interrupted(received)

    def on_epoch(self, record: Record) -> None:
        """Write the figures of an epoch."""
        self.recorder.add(record)
        self.display.epoch(record)
        logger.info("task %d epoch %d: %s", record["task"], record["epoch"], _figures(record))

    def on_task(self, record: Record, state: Callable[[], State]) -> None:
        """Write the figures of a task and save."""
        self.recorder.add(record)
        text = (
            f"task {record['task']}/{self.display.tasks} done: top-1 {_show(record['task/top1'])}, "
            f"NME {_show(record['task/nme_top1'])}, average so far {_show(record['task/incremental_avg_top1'])}"
        )
        logger.info(text)
        self.display.line(text)
        if record.get("new_classes_at_chance"):
            warning = f"the classes of task {record['task']} were not learned: accuracy on them is at chance level"
            logger.warning(warning)
            self.display.line(f"warning: {warning}")
        self.saver.save_task(record["task"], state())
        self.display.left.pause()

    def check(self, state: Callable[[], State]) -> None:
        """If a signal has come, save and raise Interrupted."""
        received, _ = agreed(self.stop)
        if received:
            self.saver.save(state())
            raise Interrupted(received)


def _show(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _figures(record: Record) -> str:
    tags = ("loss/total", "loss/cls", "contrast/gap", "contrast/violation_rate", "train/top1", "test/top1", "lr")
    return " ".join(f"{tag}={record[tag]:.4g}" for tag in tags if record.get(tag) is not None)
