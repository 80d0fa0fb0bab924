"""Batches for training and evaluation, on the training device.

What a batch holds depends on (seed, task, epoch, step) only: not on the device, the number of workers, or
where an interrupted epoch was taken up again. Where several processes work on a batch, each makes its share of the
rows, as they are in the whole batch.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from cil.config.schema import AugmentConfig, CropResampling
from cil.data.base import ImageSet, RawDataset
from cil.data.decoding import BatchDecoder, BatchRequest, DecoderPool, Item
from cil.data.image_files import evaluation_side
from cil.data.transfer import to_device
from cil.data.views import BatchPlan, EpochKey, Views
from cil.distributed.launch import launched
from cil.distributed.ranks import own_share
from cil.distributed.share import Share
from cil.errors import ConfigError
from cil.seeding import generator


@dataclass(frozen=True)
class TrainBatch:
    """B images in one or two views.

    views: float32 [views * B, 3, H, W] on the device, first views, then second views. targets: int64 [B] on the device.
    indices: int64 [B] on the CPU, places in the train set. Where several processes share the batch, targets and indices
    are those of all B images, and views has the rows of this process's images alone.
    """

    views: Tensor
    targets: Tensor
    indices: Tensor


class BatchLoader(Protocol):
    """Feeds one data set to the engine."""

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
        """One epoch over the train images at `indices` (int64 [n]), shuffled; a last short batch is kept.

        targets: int64 [n], aligned with indices. start_step: batches before it are skipped without being made.
        views: 1 or 2; one view is the first of the two that there would be. share: of each batch; this process's own if
        None.
        """
        ...

    def eval_batches(self, subset: str, indices: np.ndarray, batch_size: int) -> Iterator[Tensor]:
        """The images at `indices` of "train", "test" or "val", in order, as float32 [b, 3, H, W] on the device.

        Of each batch this process's share, which may be no image at all.
        """
        ...

    def close(self) -> None:
        """Stop worker processes, if there are any; a later call starts them anew."""
        ...


def shuffled_steps(
    indices: np.ndarray, targets: np.ndarray, batch_size: int, key: EpochKey, start_step: int
) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """(step, indices, targets) of each batch of an epoch from start_step on."""
    if len(indices) != len(targets):
        raise ValueError(f"{len(indices)} indices but {len(targets)} targets")
    order = torch.randperm(len(indices), generator=generator(key.seed, "order", key.task, key.epoch)).numpy()
    for step, start in enumerate(range(0, len(order), batch_size)):
        if step >= start_step:
            rows = order[start : start + batch_size]
            yield step, indices[rows], targets[rows]


def _subset(raw: RawDataset, name: str) -> ImageSet:
    sets = {"train": raw.train, "test": raw.test, "val": raw.val}
    chosen = sets[name]
    if chosen is None:
        raise ValueError(f"data set {raw.name} has no subset {name!r}")
    return chosen


class ResidentLoader:
    """All pixels live on the device as uint8; a step gathers and augments there.

    Raises ConfigError if image_size is not the pixels' own, or for augmentation that needs image files.
    """

    def __init__(self, raw: RawDataset, augment: AugmentConfig, image_size: int, device: torch.device) -> None:
        if augment.resized_crop:
            raise ConfigError(f"augment.resized_crop needs image files; {raw.name} is held in memory: set it to false")
        self._raw = raw
        self._device = device
        self._views = Views(augment, image_size, len(raw.train))
        self._pixels = {}
        for name in ("train", "test", "val"):
            if name != "val" or raw.val is not None:
                self._pixels[name] = self._load(_subset(raw, name), image_size)

    def _load(self, images: ImageSet, image_size: int) -> Tensor:
        assert images.pixels is not None, "ResidentLoader needs decoded images"
        if images.pixels.shape[1:] != (3, image_size, image_size):
            found = "x".join(str(side) for side in images.pixels.shape[2:])
            raise ConfigError(f"dataset.image_size={image_size}, but the images of {self._raw.name} are {found}")
        # Shared with the array on the CPU; nothing here writes to it. torch warns about read-only arrays.
        return torch.from_numpy(np.require(images.pixels, requirements=["C", "W"])).to(self._device)

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
        """See BatchLoader."""
        share = share or own_share()
        for number, chosen, labels in shuffled_steps(indices, targets, batch_size, key, start_step):
            step = BatchPlan(key, number, chosen, views, share)
            rows = to_device(torch.from_numpy(np.tile(step.own, views)), self._device)
            augmented = self._views.augmented(self._pixels["train"].index_select(0, rows), step)
            yield TrainBatch(augmented, to_device(torch.from_numpy(labels), self._device), torch.from_numpy(chosen))

    def eval_batches(self, subset: str, indices: np.ndarray, batch_size: int) -> Iterator[Tensor]:
        """See BatchLoader."""
        _subset(self._raw, subset)
        for start in range(0, len(indices), batch_size):
            batch = indices[start : start + batch_size]
            chosen = to_device(torch.from_numpy(batch[own_share().rows(len(batch))]), self._device)
            yield self._views.augmenter.evaluate(self._pixels[subset].index_select(0, chosen))

    def close(self) -> None:
        """Nothing to stop."""


def _processors() -> int:
    """Processors this process may use: those of the machine, shared out among the processes of the run."""
    found = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    launch = launched()
    return found if launch is None else max(1, found // launch.local_processes)


class DecodingLoader:
    """Image files or a pack: worker processes read and crop; the device does the rest of the augmentation.

    num_workers: worker processes, at most one a processor; 0: this process decodes.
    Raises ConfigError if the test images are resized to less than image_size.
    """

    def __init__(
        self, raw: RawDataset, augment: AugmentConfig, image_size: int, device: torch.device, num_workers: int
    ) -> None:
        test_resize = evaluation_side(augment, image_size)
        if test_resize < image_size:
            raise ConfigError(f"augment.test_resize={test_resize} is less than dataset.image_size={image_size}")
        self._raw = raw
        self.device = self._device = device
        self._random_crops = augment.resized_crop
        self._views = Views(augment, image_size, len(raw.train))
        resampling = augment.crop_resampling or CropResampling.pillow  # null without random crops
        decoder = BatchDecoder(image_size, augment.resized_crop, test_resize, resampling)
        pin = device.type == "cuda"
        num_workers = min(num_workers, _processors())
        # One pool each: an evaluation in the middle of an epoch must not end it.
        self._train_pool = DecoderPool(decoder, num_workers, pin)
        self._eval_pool = DecoderPool(decoder, num_workers, pin)

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
        """See BatchLoader. Raises DataError for an image that cannot be read."""
        images = _subset(self._raw, "train")
        share = share or own_share()
        batches = list(shuffled_steps(indices, targets, batch_size, key, start_step))
        steps = [BatchPlan(key, number, chosen, views, share) for number, chosen, _ in batches]
        requests = (BatchRequest(_items(images, step.own), self._views.crop_streams(step), views) for step in steps)
        decoded_steps = zip(steps, batches, self._train_pool.run(requests), strict=True)
        for step, (_, chosen, labels), decoded in decoded_steps:
            pixels = to_device(decoded, self._device)
            if views == 2 and not self._random_crops:
                pixels = torch.cat([pixels, pixels])
            augmented = self._views.augmented(pixels, step)
            yield TrainBatch(augmented, to_device(torch.from_numpy(labels), self._device), torch.from_numpy(chosen))

    def eval_batches(self, subset: str, indices: np.ndarray, batch_size: int) -> Iterator[Tensor]:
        """See BatchLoader. Raises DataError for an image that cannot be read."""
        images = _subset(self._raw, subset)
        batches = [indices[start : start + batch_size] for start in range(0, len(indices), batch_size)]
        requests = (BatchRequest(_items(images, batch[own_share().rows(len(batch))]), None) for batch in batches)
        for decoded in self._eval_pool.run(requests):
            yield self._views.augmenter.evaluate(to_device(decoded, self._device))

    def close(self) -> None:
        """Stop the worker processes; the next batch starts new ones."""
        self._train_pool.close()
        self._eval_pool.close()


def _items(images: ImageSet, indices: np.ndarray) -> list[Item]:
    """What a worker has to know of the images at `indices`."""
    if images.packed is not None:
        return [*images.packed.at(indices)]
    assert images.paths is not None, "decoded images need no worker"
    return [*images.paths[indices].tolist()]
