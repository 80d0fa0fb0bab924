"""The numbers behind the figures of a task: small, plain, and never part of a result."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from cil.config.schema import RunConfig
from cil.data.loader import BatchLoader, TrainBatch
from cil.data.stream import Task
from cil.data.views import EpochKey
from cil.distributed.share import WHOLE
from cil.engine.evaluate import Scores
from cil.engine.metrics import by_task
from cil.methods.base import Method

BINS = 80
"""Of a similarity histogram, over [-1, 1]."""
PROBE_BATCHES = 4
"""Training batches that a similarity histogram looks at."""
PROBE_EPOCH = -1
"""The epoch that the probe's random streams are named after: one that no training has."""
MAX_CLASSES = 200
"""Up to this many classes a confusion matrix shows classes, above it tasks."""


@dataclass(frozen=True)
class PictureData:
    """Collects what is to be drawn after a task. Uses random streams of its own and leaves the method as it was."""

    config: RunConfig
    loader: BatchLoader
    autocast: Callable[[], AbstractContextManager]
    check: Callable[[], None]
    """May raise between batches."""

    def collect(
        self, method: Method, tasks: Sequence[Task], scores: Scores, indices: np.ndarray, targets: np.ndarray
    ) -> dict[str, Any]:
        """Plain values by figure; without those that are switched off.

        tasks: those so far. indices, targets: int64 [N], the training images that are at hand, old ones included.
        """
        tracking = self.config.tracking
        figures: dict[str, Any] = {}
        if not tracking.tensorboard:
            return figures
        if tracking.confusion_matrix:
            figures["confusion"] = confusion(scores.confusion, tasks)
        if tracking.similarity_histogram:
            size = self.config.trainer.batch_size
            chosen = np.linspace(0, len(indices) - 1, min(len(indices), PROBE_BATCHES * size)).astype(np.int64)
            key = EpochKey(self.config.seed, tasks[-1].number, PROBE_EPOCH)
            # Similarities are between the rows of a whole batch: every process looks at all of them.
            batches = self.loader.train_batches(indices[chosen], targets[chosen], size, key, share=WHOLE)
            histogram = similarity_histogram(method, batches, self.autocast, self.check)
            if histogram is not None:
                figures["similarity"] = histogram
        return figures


def confusion(counts: np.ndarray, tasks: Sequence[Task]) -> dict[str, Any]:
    """Counts int64 [C, C] as a list of rows; summed to tasks where there are too many classes to be drawn."""
    starts = [task.first for task in tasks]
    if len(counts) > MAX_CLASSES:
        return {"unit": "task", "starts": list(range(len(tasks))), "counts": by_task(counts, starts).tolist()}
    return {"unit": "class", "starts": starts, "counts": counts.tolist()}


def similarity_histogram(
    method: Method,
    batches: Iterator[TrainBatch],
    autocast: Callable[[], AbstractContextManager],
    check: Callable[[], None],
) -> dict[str, Any] | None:
    """Counts of positive and negative similarities in BINS bins, and their means; None without contrastive branch.

    The network is in eval mode meanwhile: its batch-norm statistics must not move.
    """
    sums = {"pos": np.zeros(BINS, dtype=np.int64), "neg": np.zeros(BINS, dtype=np.int64)}
    totals = {"pos": 0.0, "neg": 0.0}
    was_training = method.network.training
    method.network.eval()
    try:
        for batch in batches:
            check()
            with torch.no_grad(), autocast():
                pairs = method.similarities(batch.views)
            if pairs is None:
                return None
            for name, values in zip(sums, pairs, strict=True):
                found = values.double().cpu().numpy().ravel()
                sums[name] += np.histogram(found.clip(-1, 1), BINS, (-1, 1))[0]
                totals[name] += float(found.sum())
    finally:
        method.network.train(was_training)
    means = {f"{name}_mean": totals[name] / count if (count := int(sums[name].sum())) else None for name in sums}
    return {name: counts.tolist() for name, counts in sums.items()} | means
