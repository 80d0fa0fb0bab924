"""Phases: how a task is trained. Most methods have one; some add a second one on a balanced or held-out set."""

import math
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
    cosine: bool = False
    """The rate falls from `lr` towards 0 along half a cosine; milestones are left aside."""
    select: Selection | None = None
    """Which of the task's training images are used; None: all."""

    def rate(self, epoch: int) -> float:
        """Learning rate of 0-based `epoch`: a function of the epoch alone, so a resumed run needs no scheduler."""
        if self.cosine:
            return self.lr * (1 + math.cos(math.pi * epoch / self.epochs)) / 2
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


def kept_apart(first: int, share: float) -> tuple[Selection, Selection]:
    """Two selections that part a task's images: those to train with, and as many of each class that are held out.

    Held out are the last ones of each class, `share` of the exemplars of the old class (position below `first`) that
    has fewest, and at most half of the smallest class.
    """

    def held(targets: np.ndarray) -> np.ndarray:
        counts = np.bincount(targets)
        # Never more than half of a class that is smaller than the exemplars of others.
        count = min(int(share * counts[:first].min() + 1e-9), int(counts.min()) // 2)
        classes = (np.flatnonzero(targets == c) for c in np.unique(targets))
        return np.sort(np.concatenate([rows[len(rows) - count :] for rows in classes]))

    return lambda targets: np.setdiff1d(np.arange(len(targets)), held(targets)), held


def balanced(seed: int, task: int) -> Selection:
    """A selection of equally many images of each class, as many as the smallest has, drawn at random."""

    def select(targets: np.ndarray) -> np.ndarray:
        classes, counts = np.unique(targets, return_counts=True)
        draw = np.random.default_rng(stream_seed(seed, "balanced", task))
        chosen = [draw.permutation(np.flatnonzero(targets == c))[: counts.min()] for c in classes]
        return np.sort(np.concatenate(chosen))

    return select
