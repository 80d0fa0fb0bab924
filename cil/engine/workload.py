"""How much work a run is: the steps of every epoch, and what share of the whole a step of each task costs."""

from collections.abc import Callable, Sequence

import numpy as np

from cil.data.stream import Task
from cil.errors import DataError
from cil.methods.base import Method


class Workload:
    """The training work of a run's tasks, known before any exemplar has been chosen.

    targets: gives the targets int64 [N] of a task's training images, in the order of training. Which images the
    exemplars will be does not matter here, only how many there are of each class. Raises DataError where a phase has
    none. view_bank: pairs of views, each of which the frozen networks see once.
    """

    def __init__(
        self,
        tasks: Sequence[Task],
        method: Method,
        batch_size: int,
        targets: Callable[[Task], np.ndarray],
        view_bank: int | None = None,
    ) -> None:
        self.steps: dict[int, list[int]] = {}
        """By task number: training steps of each of its epochs, through all phases."""
        self._unit: dict[int, float] = {}
        for task in tasks:
            found = targets(task)
            phases = method.phases(task)
            sizes = [-(-len(phase.rows(found)) // batch_size) for phase in phases]
            if 0 in sizes:
                raise DataError(
                    f"task {task.number}: no image is left for phase {sizes.index(0) + 1} of {len(sizes)} of the "
                    "method; a class has too few images or exemplars (dataset.max_train_per_class, memory.size)"
                )
            self.steps[task.number] = [n for n, phase in zip(sizes, phases, strict=True) for _ in range(phase.epochs)]
            computed = 1.0 if view_bank is None else min(1.0, view_bank / phases[0].epochs)
            self._unit[task.number] = method.step_cost(task.number, computed)
        self._total = sum(sum(steps) * self._unit[number] for number, steps in self.steps.items())

    def share(self, task: int, steps: int = 1) -> float:
        """Share of the run's work, in [0, 1], that `steps` training steps of a task are."""
        return steps * self._unit[task] / self._total

    def share_done(self, finished_tasks: int, epoch: int, step: int) -> float:
        """Share that is done after `finished_tasks` tasks, and `epoch` epochs and `step` steps of the next one."""
        done = sum(self.share(number, sum(self.steps[number])) for number in range(1, finished_tasks + 1))
        if finished_tasks < len(self.steps):
            number = finished_tasks + 1
            done += self.share(number, sum(self.steps[number][:epoch]) + step)
        return done
