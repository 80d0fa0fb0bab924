"""What is measured: a run's trainer, its network grown task by task as the run grows it, and its training steps."""

from collections.abc import Iterator
from dataclasses import fields
from itertools import count

import torch
from torch import Tensor

from cil.config.schema import RunConfig
from cil.data.loader import TrainBatch
from cil.data.stream import Task
from cil.data.training import TrainingData
from cil.data.views import EpochKey
from cil.engine.build import build_trainer
from cil.engine.divergence import Place
from cil.seeding import generator


class Subject:
    """A trainer that stands in one task after the other, ready for its first phase; it never learns anything."""

    def __init__(self, config: RunConfig, data: TrainingData) -> None:
        self.config = config
        self.data = data
        self.trainer = build_trainer(config, data)
        self.method = self.trainer.method
        self.device = self.trainer.device
        self.task: Task | None = None
        self._steps = count(1)

    def grow(self, number: int) -> Task:
        """Go on to task `number`, through those before it."""
        for task in self.trainer.tasks[self.task.number if self.task else 0 : number]:
            self._leave()
            self.trainer.begin_task(task)
            self.task = task
        assert self.task is not None and self.task.number == number, "tasks are measured in order, each once"
        self.trainer.finished_tasks = number - 1
        phase = self.method.phases(self.task)[0]
        self.method.begin_epoch(0, phase.epochs)
        self.method.network.train()
        self.trainer.stepper.set_rate(0.0)  # what is measured last is then the same network as at first
        return self.task

    def _leave(self) -> None:
        """What a run does between two tasks, as far as the next one depends on it: phases and exemplars."""
        if self.task is None:
            return
        for phase in range(self.trainer.begun_phases, len(self.method.phases(self.task))):
            self.method.begin_phase(phase)
        memory = self.trainer.task_end.memory
        if not memory.wanted:
            return
        quota = memory.quota(self.task.known)
        memory.shrink(quota)
        for position in range(self.task.first, self.task.known):
            memory.add(position, self.data.indices("train", position, position + 1)[0][:quota].tolist())
        width = self.config.backbone.projector_out
        if width is not None:
            self.method.remember(self.unit_rows("prototypes", self.task.known, width))

    def unit_rows(self, name: str, rows: int, width: int) -> Tensor:
        """Made-up embeddings [rows, width] of length 1, on the device."""
        drawn = torch.randn((rows, width), generator=generator(self.config.seed, "bench", name))
        return torch.nn.functional.normalize(drawn, dim=1).to(self.device)

    def batches(self) -> Iterator[TrainBatch]:
        """The task's training batches without end, all of one size."""
        assert self.task is not None
        indices, targets = self.trainer.training_set.images(self.task)
        self.method.count_images(torch.bincount(torch.from_numpy(targets), minlength=self.task.known).tolist())
        rows = self.method.phases(self.task)[0].rows(targets)
        size = min(self.config.trainer.batch_size, len(rows))
        for epoch in count():
            key = EpochKey(self.config.seed, self.task.number, epoch)
            made = self.data.loader.train_batches(indices[rows], targets[rows], size, key, views=self.method.views)
            yield from (batch for batch in made if len(batch.targets) == size)

    def step(self, batch: TrainBatch) -> None:
        """A training step of the run."""
        assert self.task is not None
        self.trainer.stats.add("", self.trainer.stepper(batch, Place(self.task.number, 1, next(self._steps))))

    def bare(self, views: Tensor) -> None:
        """Forward and backward pass of the networks alone: no loss, no update, no look at any figure."""
        network = self.method.network
        with self.trainer.stepper.autocast():
            outputs = network(views)
        backward(outputs)
        network.zero_grad(set_to_none=True)


def backward(outputs: object) -> None:
    """Differentiate the outputs of a network (a dataclass) with ones in place of a loss's gradient."""
    assert hasattr(outputs, "__dataclass_fields__")
    values = [getattr(outputs, field.name) for field in fields(outputs)]  # type: ignore[arg-type]
    tensors = [value for value in values if isinstance(value, Tensor) and value.requires_grad]
    torch.autograd.backward(tensors, [torch.ones_like(tensor) for tensor in tensors])
