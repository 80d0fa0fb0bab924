"""Images where none are given: made up, in a data set's shape and numbers, few of them many times over."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from cil.config.schema import DatasetConfig, RunConfig
from cil.data.base import ImageSet, RawDataset
from cil.data.loader import ResidentLoader, TrainBatch
from cil.data.stream import TaskStream, class_order, task_sizes
from cil.data.training import TrainingData
from cil.data.views import EpochKey
from cil.distributed.share import Share
from cil.errors import ConfigError
from cil.seeding import generator

IMAGES = {"cifar10": (5000, 1000), "cifar100": (500, 100), "imagenet100": (1300, 50), "tiny_imagenet": (500, 50)}
"""Train and test images of a class, by data set."""
POOL = 256
"""Different images; all others are these again."""


class PoolLoader:
    """A data set of any size whose image i is image i modulo POOL of a small one on the device."""

    def __init__(self, loader: ResidentLoader) -> None:
        self._loader = loader

    def train_batches(
        self,
        indices: np.ndarray,
        targets: np.ndarray,
        batch_size: int,
        key: EpochKey,
        start_step: int = 0,
        views: int = 2,
        share: Share | None = None,
    ) -> Iterator[TrainBatch]:
        """See BatchLoader; `indices` of a batch count in the pool."""
        return self._loader.train_batches(indices % POOL, targets, batch_size, key, start_step, views, share)

    def eval_batches(self, subset: str, indices: np.ndarray, batch_size: int) -> Iterator[Tensor]:
        """See BatchLoader."""
        return self._loader.eval_batches(subset, indices % POOL, batch_size)

    def close(self) -> None:
        """Nothing to stop."""


def made_up(config: RunConfig, device: torch.device) -> tuple[RunConfig, TrainingData]:
    """The images, and the settings that they are trained with: no crops that only image files have.

    Raises ConfigError for a data set whose size is not known.
    """
    dataset = config.dataset
    if dataset.name not in IMAGES or dataset.classes is None:
        raise ConfigError(
            f"dataset.root: the size of {dataset.name} is not known; give dataset.root=DIR, or one of "
            f"dataset={', '.join(IMAGES)} without"
        )
    config = replace(config, augment=replace(config.augment, resized_crop=False))
    train, test = _labels(dataset)
    names = tuple(str(number) for number in range(dataset.classes))
    order = class_order(config.class_order, config.class_order_seed, dataset.classes)
    stream = TaskStream(order, task_sizes(config.split, dataset.classes), list(names))
    pool = ImageSet(np.zeros(POOL, dtype=np.int64), pixels=_pixels(dataset.image_size, config.seed))
    loader = ResidentLoader(RawDataset(dataset.name, names, pool, pool), config.augment, dataset.image_size, device)
    raw = RawDataset(dataset.name, names, ImageSet(train), ImageSet(test))
    return config, TrainingData(raw, PoolLoader(loader), stream, "made up")


def _labels(dataset: DatasetConfig) -> tuple[np.ndarray, np.ndarray]:
    """Labels int64 of the train and the test images, as many as the keys leave. Raises ConfigError if none is left."""
    assert dataset.classes is not None
    train, test = IMAGES[dataset.name]
    train -= dataset.holdout_per_class or 0
    if train < 1:
        raise ConfigError(f"dataset.holdout_per_class: {dataset.holdout_per_class} leaves no train image")
    train, test = min(train, dataset.max_train_per_class or train), min(test, dataset.max_test_per_class or test)
    classes = np.arange(dataset.classes, dtype=np.int64)
    return np.repeat(classes, train), np.repeat(classes, test)


def _pixels(side: int, seed: int) -> np.ndarray:
    """uint8 [POOL, 3, side, side], smooth: noise would make operations on histograms untypical."""
    coarse = torch.rand((POOL, 3, 8, 8), generator=generator(seed, "bench", "images"))
    smooth = torch.nn.functional.interpolate(coarse, size=side, mode="bilinear")
    return (smooth * 255).to(torch.uint8).numpy()
