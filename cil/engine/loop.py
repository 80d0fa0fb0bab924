"""The incremental training loop: tasks > epochs > steps."""

import logging
import time
from collections.abc import Callable
from contextlib import AbstractContextManager

import numpy as np
import torch

from cil.config.schema import OnOom, Precision, RunConfig
from cil.data.loader import EpochKey, TrainBatch
from cil.data.stream import Task
from cil.data.training import TrainingData
from cil.engine.accumulate import backward_in_parts
from cil.engine.divergence import DivergenceGuard, Place, gradient_norm
from cil.engine.epoch_stats import EpochStats
from cil.engine.evaluate import Evaluator
from cil.engine.gradient_share import gradient_share
from cil.engine.observer import Observer, Progress, Record, State
from cil.engine.optim import learning_rate, make_optimizer
from cil.engine.picture_data import FigureData
from cil.engine.precision import autocast
from cil.engine.task_end import TaskEnd
from cil.losses.base import Stat
from cil.methods.base import Method, StepOutput

logger = logging.getLogger("cil")
MAX_SKIPPED = 40
"""So many skipped steps in a row are no search for a scale: 2^16 halved 40 times fits every finite gradient."""


class Trainer:
    """Trains a method task by task and evaluates it after each.

    The cursor (`task`, `epoch`, `step`: those done) and `begun` say exactly where the run is, so that
    `state_dict` at any step boundary is enough to continue with the very next step.
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
        evaluator = Evaluator(
            data.loader, self._autocast, config.trainer.eval_batch_size, lambda: observer.check(self._boundary)
        )
        figures = FigureData(config, data.loader, self._autocast, evaluator.check)
        self.task_end = TaskEnd(config.memory, data, evaluator, figures)
        self.finished_tasks = self.epoch = self.step = self.global_epoch = 0
        self.begun = False
        self.task_seconds = 0.0
        self.micro_batches = 1
        self.memory_events: list[dict[str, int]] = []
        """Where memory ran out, and into how many micro-batches a batch is split since then."""
        self.stats = EpochStats()
        self.guard = DivergenceGuard(config.trainer.check_every)
        self.optimizer: torch.optim.SGD | None = None
        self.scaler = torch.amp.GradScaler(device.type, enabled=config.trainer.precision is Precision.fp16)
        self._skipped = torch.zeros((), device=device)
        """Steps in a row that the fp16 scaler has skipped, counted on the device."""
        self.evaluating = False
        """At the end of a task, where memory depends on other settings."""
        self._total_cost = sum(map(self._cost, self.tasks))

    @property
    def share_done(self) -> float:
        """Share of the run's training work that is done, in [0, 1]."""
        done = sum(map(self._cost, self.tasks[: self.finished_tasks]))
        if self.begun:
            task = self.tasks[self.finished_tasks]
            done += self.method.step_cost(task.number) * (self.epoch * self._steps(task) + self.step)
        return done / self._total_cost

    def run(self) -> None:
        """Every task that is left, in turn."""
        for task in self.tasks[self.finished_tasks :]:
            self._run_task(task)

    def _run_task(self, task: Task) -> None:
        started = time.monotonic() - self.task_seconds
        if not self.begun:
            self._begin_task(task)
        indices, targets = self._training_set(task)
        epochs = self._epochs(task)
        record: Record = {}
        for epoch in range(self.epoch, epochs):
            record = self._run_epoch(task, epoch, indices, targets, started)
            if epoch + 1 < epochs:
                self._end_epoch(record)
        facts = {"train_images": len(indices), "train_seconds": time.monotonic() - started}
        self._finish_task(task, record, facts)

    def _finish_task(self, task: Task, record: Record, facts: Record) -> None:
        """Evaluate, then move on. A run that is stopped in here continues from the last training step."""
        last_step = self.state_dict()
        # The gradients of the last step were finite, but nothing has looked at what it made of the weights.
        self.guard.watch(
            Place(task.number, self.epoch + 1, self.step),
            {"norm of the weights": torch.nn.utils.get_total_norm(list(self.method.network.parameters()))},
        )
        self.guard.flush()
        self._boundary = lambda: last_step
        self.evaluating = True
        task_record = self.task_end.finish(self.method, task, record, facts)
        self.evaluating = False
        self._boundary = self.state_dict
        self.method.end_epoch(record)
        self.observer.on_epoch(record)
        self.global_epoch += 1
        self.finished_tasks, self.begun = task.number, False
        self.epoch = self.step = 0
        self.stats, self.task_seconds = EpochStats(), 0.0
        self.observer.on_task(task_record, self.state_dict)

    def _begin_task(self, task: Task) -> None:
        self.method.begin_task(task)
        self.method.network.to(self.device)
        self.optimizer = make_optimizer(self.config.optimizer, self.method.network.parameters(), task.number == 1)
        self.begun = True

    def _training_set(self, task: Task) -> tuple[np.ndarray, np.ndarray]:
        """The task's images plus all exemplars of earlier tasks."""
        new, targets = self.data.indices("train", task.first, task.known)
        old = self.task_end.memory.all_indices()
        old_targets = self.data.stream.positions(self.data.raw.train.labels[old])
        return np.concatenate([new, old]), np.concatenate([targets, old_targets])

    def _run_epoch(
        self, task: Task, epoch: int, indices: np.ndarray, targets: np.ndarray, task_started: float
    ) -> Record:
        assert self.optimizer is not None
        started, first_step = time.monotonic(), self.step
        epochs, steps = self._epochs(task), self._steps(task)
        rate = learning_rate(self.config.optimizer, epoch, task.number == 1)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.method.begin_epoch(epoch, epochs)
        self.method.network.train()
        cost = self.method.step_cost(task.number) / self._total_cost
        key = EpochKey(self.config.seed, task.number, epoch)
        batches = self.data.loader.train_batches(
            indices, targets, self.config.trainer.batch_size, key, start_step=first_step
        )
        for batch in batches:
            self.step += 1
            self._step(batch, Place(task.number, epoch + 1, self.step))
            self.task_seconds = time.monotonic() - task_started
            progress = Progress(task.number, epoch + 1, epochs, self.step, steps, cost)
            self.observer.on_step(progress, self.state_dict)
        self.guard.flush()
        means = self.stats.compute()
        seconds = time.monotonic() - started
        images = (self.step - first_step) / self.step * len(indices)
        record: Record = {"kind": "epoch", "task": task.number, "epoch": epoch + 1, "step": self.global_epoch + 1}
        record |= means | {"lr": rate, "time/epoch_seconds": seconds, "time/images_per_second": images / seconds}
        every = self.config.trainer.eval_every
        if every and (epoch + 1) % every == 0 and epoch + 1 < epochs:
            record |= self.task_end.classifier_accuracy(self.method, task)
        every = self.config.tracking.gradient_share_every
        if every and (epoch % every == 0 or epoch + 1 == epochs):
            record |= self._gradient_share(indices, targets, key)
        return record

    def _gradient_share(self, indices: np.ndarray, targets: np.ndarray, key: EpochKey) -> Record:
        """grad/* of the epoch's first batch, with the weights at its end; empty if memory is too small for it."""
        batch = next(iter(self.data.loader.train_batches(indices, targets, self.config.trainer.batch_size, key)))
        try:
            return gradient_share(self.method, batch.views, batch.targets, self._autocast, self.scaler.get_scale())
        except torch.OutOfMemoryError:
            logger.warning("out of memory for the gradient share of task %d epoch %d", key.task, key.epoch + 1)
            return {}

    def _end_epoch(self, record: Record) -> None:
        """Move on to the next epoch. Until here the run can continue from the last step."""
        self.method.end_epoch(record)
        self.observer.on_epoch(record)
        self.global_epoch += 1
        self.epoch, self.step, self.stats = self.epoch + 1, 0, EpochStats()

    def _step(self, batch: TrainBatch, place: Place) -> None:
        """One optimiser step. Nothing in here waits for the device. Raises Diverged for an earlier step."""
        assert self.optimizer is not None
        trained = [p for group in self.optimizer.param_groups for p in group["params"]]
        self.optimizer.zero_grad(set_to_none=True)
        output = self._backward(batch)
        self.scaler.unscale_(self.optimizer)
        norm = gradient_norm(trained)
        if self.config.trainer.grad_clip_norm is not None:
            torch.nn.utils.clip_grads_with_norm_(trained, self.config.trainer.grad_clip_norm, norm)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        losses = {"loss/total": output.total.detach()} | {f"loss/{name}": t for name, t in output.terms.items()}
        stats = {tag: Stat(value, 1) for tag, value in losses.items()} | output.stats
        if self.scaler.is_enabled():
            # The scaler skips a step whose gradients overflow; that is its way of finding the scale.
            stats["train/skipped_share"] = Stat(1 - norm.isfinite().float(), 1)
            self._skipped = torch.where(norm.isfinite(), 0.0, self._skipped + 1)
            losses["gradient norm"] = torch.where(self._skipped < MAX_SKIPPED, 0.0, norm)
        else:
            losses["gradient norm"] = norm
        self.guard.watch(place, losses)
        self.stats.add("", stats)

    def _backward(self, batch: TrainBatch) -> StepOutput:
        """Loss and gradients of a batch, in micro-batches once memory has run out (trainer.on_oom)."""
        # The forward pass of a step that fails has moved the running statistics already.
        buffers = self._copied_buffers() if self.config.trainer.on_oom is OnOom.accumulate else []
        while True:
            try:
                if self.micro_batches > 1:
                    return backward_in_parts(
                        self.method, batch.views, batch.targets, self.micro_batches, self._autocast, self.scaler.scale
                    )
                with self._autocast():
                    output = self.method.loss(self.method.network(batch.views), batch.targets)
                self.scaler.scale(output.total).backward()
                return output
            except torch.OutOfMemoryError:
                if self.config.trainer.on_oom is OnOom.fail or self.micro_batches >= len(batch.targets):
                    raise
            # Outside the except block, where the traceback would keep the failed step's tensors alive.
            for buffer, value in zip(self.method.network.buffers(), buffers, strict=True):
                buffer.copy_(value)
            self._split_further()

    def _copied_buffers(self) -> list[torch.Tensor]:
        return [buffer.clone() for buffer in self.method.network.buffers()]

    def _split_further(self) -> None:
        """Continue with micro-batches of half the size, and record it."""
        self.micro_batches *= 2
        assert self.optimizer is not None
        self.optimizer.zero_grad(set_to_none=True)
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        place = {"task": self.finished_tasks + 1, "epoch": self.epoch + 1, "step": self.step}
        self.memory_events.append(place | {"micro_batches": self.micro_batches})
        logger.warning("out of memory at %s: continuing with %d micro-batches", place, self.micro_batches)

    def state_dict(self) -> State:
        """Everything the run is, as tensors and plain values. Tensors are the live ones: copy or save at once.

        Raises Diverged rather than give a state that training has already ruined.
        """
        self.guard.flush()
        return {
            "cursor": self._cursor(),
            "method": self.method.state_dict(),
            "optimizer": self.optimizer.state_dict() if self.begun and self.optimizer else None,
            "scaler": self.scaler.state_dict(),
            "epoch_stats": self.stats.state_dict(),
            "task_end": self.task_end.state_dict(),
        }

    def load_state_dict(self, state: State) -> None:
        """Continue from `state`: the network is grown to its size first, then everything is loaded strictly."""
        cursor = state["cursor"]
        for task in self.tasks[: cursor["finished_tasks"] + cursor["begun"]]:
            self._begin_task(task)
        self.method.load_state_dict(state["method"])
        if cursor["begun"] and self.optimizer is not None:
            fused = [group["fused"] for group in self.optimizer.param_groups]
            self.optimizer.load_state_dict(state["optimizer"])
            # The stored flag is that of the device the run was on.
            for group, flag in zip(self.optimizer.param_groups, fused, strict=True):
                group["fused"] = flag
        self.scaler.load_state_dict(state["scaler"])
        self.stats.load_state_dict(state["epoch_stats"])
        self.task_end.load_state_dict(state["task_end"], self.device)
        for name in self._cursor():  # and nothing else that a file from elsewhere may hold
            setattr(self, name, cursor[name])

    def _cursor(self) -> State:
        """Where the run is, and what it has become on the way: attributes by name."""
        return {
            "finished_tasks": self.finished_tasks,
            "begun": self.begun,
            "epoch": self.epoch,
            "step": self.step,
            "global_epoch": self.global_epoch,
            "task_seconds": self.task_seconds,
            "micro_batches": self.micro_batches,
            "memory_events": list(self.memory_events),
        }

    def _autocast(self) -> AbstractContextManager:
        return autocast(self.config.trainer.precision, self.device)

    def _cost(self, task: Task) -> float:
        return self._steps(task) * self._epochs(task) * self.method.step_cost(task.number)

    def _epochs(self, task: Task) -> int:
        return self.config.trainer.init_epochs if task.number == 1 else self.config.trainer.inc_epochs

    def _steps(self, task: Task) -> int:
        """Training steps of an epoch of `task`; exact before any exemplar has been chosen."""
        images = len(self.data.indices("train", task.first, task.known)[0])
        images += self.task_end.exemplars_for(task)
        return -(-images // self.config.trainer.batch_size)
