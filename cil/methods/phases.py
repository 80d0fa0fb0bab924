"""Phases: how a task is trained. Most methods have one; some add a second one on a balanced or held-out set."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from cil.config.schema import RunConfig
from cil.seeding import stream_seed

Selection = Callable[[np.ndarray], np.ndarray]
"""From the targets int64 [N] of a task's training images (its own first, then the exemplars) to the rows used."""


@dataclass(frozen=True)
class Phase:
    """Epochs with an optimiser and a learning-rate schedule of their own."""

    epochs: int
    lr: float
    weight_decay: float
    milestones: tuple[int, ...] = ()
    """0-based epochs of the phase from which the rate is multiplied by `gamma` once more."""
    gamma: float = 0.1
    select: Selection | None = None
    """Which of the task's training images are used; None: all."""

    def rate(self, epoch: int) -> float:
        """Learning rate of 0-based `epoch`: a function of the epoch alone, so a resumed run needs no scheduler."""
        return self.lr * self.gamma ** sum(milestone <= epoch for milestone in self.milestones)

    def rows(self, targets: np.ndarray) -> np.ndarray:
        """Rows of the task's training images that this phase uses, int64."""
        return np.arange(len(targets)) if self.select is None else self.select(targets)


def main_phase(config: RunConfig, first: bool) -> Phase:
    """The phase that `trainer` and `optimizer` describe, for the first task or for a later one."""
    optimizer, trainer = config.optimizer, config.trainer
    return Phase(
        epochs=trainer.init_epochs if first else trainer.inc_epochs,
        lr=optimizer.lr,
        weight_decay=optimizer.init_weight_decay if first else optimizer.inc_weight_decay,
        milestones=tuple(optimizer.init_milestones if first else optimizer.inc_milestones),
        gamma=optimizer.gamma,
    )


def balanced(seed: int, task: int) -> Selection:
    """A selection of equally many images of each class, as many as the smallest has, drawn at random."""

    def select(targets: np.ndarray) -> np.ndarray:
        classes, counts = np.unique(targets, return_counts=True)
        draw = np.random.default_rng(stream_seed(seed, "balanced", task))
        chosen = [draw.permutation(np.flatnonzero(targets == c))[: counts.min()] for c in classes]
        return np.sort(np.concatenate(chosen))

    return select
