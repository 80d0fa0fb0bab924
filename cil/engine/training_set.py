"""Which images a task is trained on."""

from dataclasses import dataclass

import numpy as np

from cil.data.memory import ExemplarMemory
from cil.data.stream import Task
from cil.data.training import TrainingData


@dataclass(frozen=True)
class TrainingSet:
    """A task's own images and all exemplars of earlier tasks, or all images of the classes so far (`all_data`)."""

    data: TrainingData
    memory: ExemplarMemory
    all_data: bool

    def images(self, task: Task) -> tuple[np.ndarray, np.ndarray]:
        """(indices, targets) int64 [N], the task's own images first."""
        new, targets = self.data.indices("train", task.first, task.known)
        old, old_targets = self._old(task)
        return np.concatenate([new, old]), np.concatenate([targets, old_targets])

    def _old(self, task: Task) -> tuple[np.ndarray, np.ndarray]:
        if self.all_data:
            return self.data.indices("train", 0, task.first)
        exemplars = self.memory.all_indices()
        return exemplars, self.data.stream.positions(self.data.raw.train.labels[exemplars])

    def expected_targets(self, task: Task) -> np.ndarray:
        """The targets of `images`, exact before any exemplar has been chosen."""
        _, targets = self.data.indices("train", task.first, task.known)
        if self.all_data:
            return np.concatenate([targets, self.data.indices("train", 0, task.first)[1]])
        if not task.first or not self.memory.wanted:
            return targets
        old = self.data.indices("train", 0, task.first)[1]
        counts = np.minimum(np.bincount(old, minlength=task.first), self.memory.quota(task.first))
        return np.concatenate([targets, np.repeat(np.arange(task.first), counts)])
