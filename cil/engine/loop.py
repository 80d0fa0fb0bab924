"""The incremental training loop: tasks > phases > epochs > steps. A step itself is cil/engine/step.py."""

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch

from cil.config.schema import RunConfig
from cil.data.loader import TrainBatch
from cil.data.stream import Task
from cil.data.training import TrainingData
from cil.data.views import EpochKey
from cil.distributed.ranks import from_first
from cil.distributed.share import WHOLE, Share
from cil.engine.divergence import Place
from cil.engine.epoch_stats import EpochStats
from cil.engine.evaluate import Evaluator
from cil.engine.gradient_share import gradient_share
from cil.engine.learning_speed import LearningSpeed
from cil.engine.mechanism import FIXED_EPOCH, mechanism
from cil.engine.observer import Observer, Progress, Record, State
from cil.engine.picture_data import PictureData
from cil.engine.step import Stepper
from cil.engine.task_end import TaskEnd
from cil.engine.training_set import TrainingSet
from cil.engine.view_bank import ViewBank
from cil.engine.workload import Workload
from cil.methods.base import Method
from cil.methods.phases import Phase

logger = logging.getLogger("cil")


@dataclass(frozen=True)
class _Stretch:
    """A phase of a task with its images; `start` is the phase's first epoch, counted in the task."""

    task: Task
    phase: Phase
    start: int
    images: tuple[np.ndarray, np.ndarray]
    """(indices, targets), int64."""


class Trainer:
    """Trains a method task by task and evaluates it after each.

    The cursor (`task`, `epoch`, `step`: those done, epochs counted through all phases of the task) and `begun` say
    exactly where the run is, so that `state_dict` at any step boundary is enough to continue with the next step.
    """

    def __init__(
        self, config: RunConfig, data: TrainingData, method: Method, device: torch.device, observer: Observer
    ) -> None:
        self.config = config
        self.data = data
        self.method = method
        self.device = device
        self.observer = observer
        self.tasks = data.stream.tasks[: config.trainer.max_tasks]
        # Gives the state to continue from if the run is stopped now.
        self._boundary: Callable[[], State] = self.state_dict
        self.stepper = Stepper(config, method, device)
        if config.trainer.cuda_graph_frozen and device.type != "cuda":
            logger.warning("trainer.cuda_graph_frozen: has no effect on a %s", device.type)
        evaluating, size = self.stepper.evaluating, config.trainer.eval_batch_size
        evaluator = Evaluator(data.loader, evaluating, size, lambda: observer.check(self._boundary))
        self.bank = ViewBank(config, method, data.loader, evaluating, evaluator.check)
        pictures = PictureData(config, data.loader, evaluating, evaluator.check)
        selection = config.memory.selection
        by_speed = selection is not None and selection.name == "speed"
        self.speed = LearningSpeed(len(data.raw.train), device) if by_speed else None
        self.task_end = TaskEnd(config, data, method, evaluator, pictures, self.speed)
        self.finished_tasks = self.epoch = self.step = self.global_epoch = self.begun_phases = 0
        self.task_seconds = 0.0
        self.stats = EpochStats()
        self.evaluating = False
        """At the end of a task, where memory depends on other settings."""
        self.training_set = TrainingSet(data, self.task_end.memory, method.all_data)
        batch_size, pairs = config.trainer.batch_size, config.augment.view_bank
        self.workload = Workload(self.tasks, method, batch_size, self.training_set.expected_targets, pairs)
        self.bank.look_ahead(config, self.tasks, len(self.training_set.expected_targets(self.tasks[-1])))

    @property
    def begun(self) -> bool:
        """Whether the task after the finished ones has been begun."""
        return self.begun_phases > 0

    @property
    def share_done(self) -> float:
        """Share of the run's training work that is done, in [0, 1]."""
        return self.workload.share_done(self.finished_tasks, self.epoch, self.step)

    def run(self) -> None:
        """Every task that is left, in turn."""
        for task in self.tasks[self.finished_tasks :]:
            self._run_task(task)

    def begin_task(self, task: Task, phases: int | None = 1) -> None:
        """Grow the method for `task`, and begin the first `phases` of its phases (None: all)."""
        self.method.begin_task(task)
        self._place_network()
        self.stepper.compiler.begin_task()
        self.begun_phases = 0
        for phase in self.method.phases(task)[:phases]:
            self._begin_phase(phase)

    def _begin_phase(self, phase: Phase) -> None:
        self.method.begin_phase(self.begun_phases)
        self._place_network()
        self.stepper.begin_phase(phase)
        self.bank.forget()
        self.begun_phases += 1

    def _place_network(self) -> None:
        """Have what was added to the network where, and as, the rest of it is."""
        self.method.network.to(self.device)
        if self.config.trainer.channels_last:
            self.method.network.to(memory_format=torch.channels_last)

    def _run_task(self, task: Task) -> None:
        started = time.monotonic() - self.task_seconds
        if not self.begun:
            self.begin_task(task)
        indices, targets = self.training_set.images(task)
        self.method.count_images(np.bincount(targets, minlength=task.known).tolist())
        start, record = 0, {}
        for number, phase in enumerate(self.method.phases(task)):
            if number >= self.begun_phases:
                self._begin_phase(phase)
            rows = phase.rows(targets)
            stretch = _Stretch(task, phase, start, (indices[rows], targets[rows]))
            for epoch in range(max(self.epoch, start), start + phase.epochs):
                record = self._run_epoch(stretch, epoch, started)
                if epoch + 1 < len(self.workload.steps[task.number]):
                    self._end_epoch(record)
            start += phase.epochs
        facts = {"train_images": len(indices), "train_seconds": time.monotonic() - started}
        facts |= self.stepper.compiler.facts(task.number)
        self._finish_task(task, record, facts)

    def _finish_task(self, task: Task, record: Record, facts: Record) -> None:
        """Evaluate, then move on. A run that is stopped in here continues from the last training step."""
        last_step = self.state_dict()
        # The gradients of the last step were finite, but nothing has looked at what it made of the weights.
        self.stepper.look_at_weights(Place(task.number, self.epoch + 1, self.step))
        self._boundary = lambda: last_step
        self.method.end_epoch(_by_group(record))
        self.evaluating = True
        task_record = self.task_end.finish(task, record, facts)
        self.evaluating = False
        self._boundary = self.state_dict
        self.observer.on_epoch(record)
        self.global_epoch += 1
        self.finished_tasks, self.begun_phases = task.number, 0
        self.bank.forget()
        self.epoch = self.step = 0
        self.stats, self.task_seconds = EpochStats(), 0.0
        if self.speed is not None:
            self.speed.reset()
        self.observer.on_task(task_record, self.state_dict)

    def _run_epoch(self, stretch: _Stretch, epoch: int, task_started: float) -> Record:
        """0-based epoch `epoch` of the task, the steps before the cursor left out; its record."""
        started, first_step = time.monotonic(), self.step
        task, phase, images = stretch.task, stretch.phase, stretch.images
        steps = self.workload.steps[task.number]
        rate = phase.rate(epoch - stretch.start)
        self.stepper.set_rate(rate)
        self.method.begin_epoch(epoch - stretch.start, phase.epochs)
        self.method.network.train()
        cost = self.workload.share(task.number)
        key = EpochKey(self.config.seed, task.number, epoch)
        self.bank.fill(images, key)
        for batch in self._batches(images, key, first_step):
            self.step += 1
            known = self.bank.known(batch, epoch)
            self.stats.add("", self.stepper(batch, Place(task.number, epoch + 1, self.step), known))
            if self.speed is not None and self.stepper.correct is not None:
                self.speed.add(batch.indices, self.stepper.correct)
            self.task_seconds = time.monotonic() - task_started
            progress = Progress(task.number, epoch + 1, len(steps), self.step, steps[epoch], cost)
            self.observer.on_step(progress, self.state_dict)
        self.stepper.guard.flush()
        # The method acts on them (the gap may cap a margin), so they must not differ in a bit between processes.
        means = from_first(self.stats.compute())
        seconds = time.monotonic() - started
        seen = (self.step - first_step) / self.step * len(images[0])
        record: Record = {"kind": "epoch", "task": task.number, "epoch": epoch + 1, "step": self.global_epoch + 1}
        record |= means | {"lr": rate, "time/epoch_seconds": seconds, "time/images_per_second": seen / seconds}
        every, last = self.config.trainer.eval_every, epoch + 1 == len(steps)
        if every and (epoch + 1) % every == 0 and not last:
            record |= self.task_end.classifier_accuracy(task)
        every = self.config.tracking.gradient_share_every
        if every and (epoch % every == 0 or last):
            record |= self._gradient_share(next(iter(self._batches(images, key, 0, WHOLE))), key)
        every = self.config.tracking.mechanism_every
        if every and (epoch % every == 0 or last):
            record |= self._mechanism(images, key)
        return record

    def _batches(
        self, images: tuple[np.ndarray, np.ndarray], key: EpochKey, first_step: int, share: Share | None = None
    ) -> Iterable[TrainBatch]:
        size, views = self.config.trainer.batch_size, self.method.views
        return self.data.loader.train_batches(*images, size, key, start_step=first_step, views=views, share=share)

    def _gradient_share(self, batch: TrainBatch, key: EpochKey) -> Record:
        """grad/* of a batch with the weights of now; empty if memory is too small for it."""
        scale = self.stepper.scaler.get_scale()
        try:
            return gradient_share(self.method, batch.views, batch.targets, self.stepper.autocast, scale)
        except torch.OutOfMemoryError:
            logger.warning("out of memory for the gradient share of task %d epoch %d", key.task, key.epoch + 1)
            return {}

    def _mechanism(self, images: tuple[np.ndarray, np.ndarray], key: EpochKey) -> Record:
        """mechanism/* of the task's fixed batch with the weights of now; empty if memory is too small for it."""
        scale = self.stepper.scaler.get_scale()
        batch = next(iter(self._batches(images, replace(key, epoch=FIXED_EPOCH), 0, WHOLE)))
        try:
            return mechanism(self.method, batch.views, batch.targets, self.stepper.autocast, scale)
        except torch.OutOfMemoryError:
            logger.warning("out of memory for the mechanism of task %d epoch %d", key.task, key.epoch + 1)
            return {}

    def _end_epoch(self, record: Record) -> None:
        """Move on to the next epoch. Until here the run can continue from the last step."""
        self.method.end_epoch(_by_group(record))
        self.observer.on_epoch(record)
        self.global_epoch += 1
        self.epoch, self.step, self.stats = self.epoch + 1, 0, EpochStats()

    def state_dict(self) -> State:
        """Everything the run is, as tensors and plain values. Tensors are the live ones: copy or save at once.

        Raises Diverged rather than give a state that training has already ruined.
        """
        self.stepper.guard.flush()
        optimizer = self.stepper.optimizer
        return {
            "cursor": self._cursor(),
            "method": self.method.state_dict(),
            "optimizer": optimizer.state_dict() if self.begun and optimizer else None,
            "scaler": self.stepper.scaler.state_dict(),
            "epoch_stats": self.stats.state_dict(),
            "task_end": self.task_end.state_dict(),
        } | ({} if self.speed is None else {"speed": self.speed.state_dict()})

    def load_state_dict(self, state: State) -> None:
        """Continue from `state`: the network is grown to its size first, then everything is loaded strictly."""
        cursor = state["cursor"]
        # Checkpoints of versions without phases do not count them.
        phases = cursor.get("begun_phases", int(cursor["begun"]))
        for task in self.tasks[: cursor["finished_tasks"] + cursor["begun"]]:
            self.begin_task(task, phases if task.number > cursor["finished_tasks"] else None)
        self.method.load_state_dict(state["method"])
        if cursor["begun"]:
            self.stepper.load_optimizer(state["optimizer"])
        if state["scaler"]:  # empty without fp16, which a branch may take up
            self.stepper.scaler.load_state_dict(state["scaler"])
        self.stats.load_state_dict(state["epoch_stats"])
        self.task_end.load_state_dict(state["task_end"], self.device)
        if self.speed is not None:
            self.speed.load_state_dict(state.get("speed", {}))
        self.begun_phases = phases
        self.stepper.load_micro_batches(cursor["micro_batches"], cursor["memory_events"])
        for name in _COUNTERS:  # and nothing else that a file from elsewhere may hold
            setattr(self, name, cursor[name])

    def _cursor(self) -> State:
        """Where the run is, and what it has become on the way."""
        return {name: getattr(self, name) for name in _COUNTERS} | {
            "begun": self.begun,
            "begun_phases": self.begun_phases,
            "micro_batches": self.stepper.micro_batches,
            "memory_events": list(self.stepper.memory_events),
        }


_COUNTERS = ("finished_tasks", "epoch", "step", "global_epoch", "task_seconds")


def _by_group(record: Record) -> Mapping[str, Mapping[str, float | None]]:
    """The means of an epoch as the method named them: group -> name -> value."""
    groups: dict[str, dict[str, float | None]] = {}
    for tag, value in record.items():
        group, slash, name = tag.partition("/")
        if slash:
            groups.setdefault(group, {})[name] = value
    return groups
