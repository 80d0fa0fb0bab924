"""A pack whose training images live on the device, task by task, and are cropped there; and which loader is taken."""

import logging
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from cil.config.schema import AugmentConfig, DatasetConfig
from cil.data.base import RawDataset
from cil.data.crops import random_boxes
from cil.data.device_crops import crops
from cil.data.loader import (
    BatchLoader,
    DecodingLoader,
    ResidentLoader,
    TrainBatch,
    shuffled_steps,
)
from cil.data.pack import PackedImages, mapped
from cil.data.transfer import to_device
from cil.data.views import BatchPlan, EpochKey, Views
from cil.distributed.ranks import own_share
from cil.distributed.share import Share
from cil.seeding import StreamKey

logger = logging.getLogger("cil")
GB = 10**9
_COPIED_AT_ONCE = 2**27


class DevicePackLoader:
    """Holds the images of a task on the device where they fit, else leaves it to the worker processes.

    Either way the batches are the same, bit for bit. budget: bytes of device memory for images. others: the loader for
    what does not fit, and for evaluation.
    """

    def __init__(
        self, packed: PackedImages, augment: AugmentConfig, image_size: int, others: DecodingLoader, budget: float
    ) -> None:
        self._packed = packed
        self._size = image_size
        self._others = others
        self._device = others.device
        self._budget = budget
        self._views = Views(augment, image_size, len(packed))
        self._flat = torch.empty(0, dtype=torch.uint8, device=self._device)
        self._starts = np.full(len(packed), -1, dtype=np.int64)
        self._too_many = np.empty(0, dtype=np.int64)
        """The images that did not fit and were told of."""

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
        if not self._holds(indices):
            yield from self._others.train_batches(indices, targets, batch_size, key, start_step, views, share)
            return
        for number, chosen, labels in shuffled_steps(indices, targets, batch_size, key, start_step):
            step = BatchPlan(key, number, chosen, views, share)
            augmented = self._views.augmented(self._crops(step.own, self._views.crop_streams(step), views), step)
            yield TrainBatch(augmented, to_device(torch.from_numpy(labels), self._device), torch.from_numpy(chosen))

    def eval_batches(self, subset: str, indices: np.ndarray, batch_size: int) -> Iterator[Tensor]:
        """See BatchLoader."""
        return self._others.eval_batches(subset, indices, batch_size)

    def close(self) -> None:
        """Stop the worker processes; the images stay."""
        self._others.close()

    def _crops(self, chosen: np.ndarray, streams: tuple[StreamKey, list[int]], views: int) -> Tensor:
        """Random crops uint8 [views * B, 3, S, S] of the images `chosen`, first views, then second views."""
        if not len(chosen):
            return torch.empty((0, 3, self._size, self._size), dtype=torch.uint8, device=self._device)
        key, lasts = streams
        widths, heights = self._packed.widths[chosen], self._packed.heights[chosen]
        boxes = [
            random_boxes(int(width), int(height), (*key, last), views)
            for last, width, height in zip(lasts, widths, heights, strict=True)
        ]
        inside = torch.tensor(boxes, dtype=torch.int64).transpose(0, 1).reshape(-1, 4)
        starts = torch.from_numpy(np.tile(self._starts[chosen], views))
        across = torch.from_numpy(np.tile(widths.astype(np.int64), views))
        return crops(self._flat, to_device(starts, self._device), to_device(across, self._device), inside, self._size)

    def _holds(self, indices: np.ndarray) -> bool:
        """Whether these images are on the device. Puts them there, in place of the others, if they fit."""
        if not len(indices):
            return False
        if (self._starts[indices] >= 0).all():
            return True
        wanted = np.unique(indices)
        size = int(self._packed.sizes[wanted].sum())
        self._starts[:] = -1
        self._flat = torch.empty(0, dtype=torch.uint8, device=self._device)  # free the old ones first
        if size > self._budget:
            if not np.array_equal(wanted, self._too_many):
                text = "%d images of %.2f GB are more than dataset.resident_gb: workers crop"
                logger.info(text, len(wanted), size / GB)
            self._too_many = wanted
            return False
        self._flat = _copied(self._packed, wanted, size, self._device)
        sizes = self._packed.sizes[wanted]
        self._starts[wanted] = np.cumsum(sizes) - sizes
        logger.info("%d images of %.2f GB are in the device's memory and cropped there", len(wanted), size / GB)
        return True


def _copied(packed: PackedImages, wanted: np.ndarray, size: int, device: torch.device) -> Tensor:
    """The bytes of the images `wanted` one after the other, uint8 [size], on the device."""
    flat = torch.empty(size, dtype=torch.uint8, device=device)
    data = mapped(packed.file)
    offsets, sizes = packed.offsets[wanted], packed.sizes[wanted]
    # Images of a class lie side by side in the file: they are copied in long runs.
    breaks = np.flatnonzero(offsets[1:] != offsets[:-1] + sizes[:-1]) + 1
    place = 0
    for run in np.split(np.arange(len(wanted)), breaks):
        first, length = int(offsets[run[0]]), int(sizes[run].sum())
        for start in range(0, length, _COPIED_AT_ONCE):
            part = data[first + start : first + min(start + _COPIED_AT_ONCE, length)]
            flat[place : place + len(part)].copy_(torch.from_numpy(part))
            place += len(part)
    return flat


def make_loader(raw: RawDataset, augment: AugmentConfig, dataset: DatasetConfig, device: torch.device) -> BatchLoader:
    """The loader that fits the data set.

    ResidentLoader for decoded pixels, DecodingLoader for image files and packs; with `dataset.resident_gb` and a GPU,
    DevicePackLoader for packs. On a CPU workers read the pack from the memory that the system keeps files in anyway.
    """
    if raw.train.pixels is not None:
        return ResidentLoader(raw, augment, dataset.image_size, device)
    loader = DecodingLoader(raw, augment, dataset.image_size, device, dataset.num_workers)
    if raw.train.packed is None or not dataset.resident_gb or device.type == "cpu":
        return loader
    return DevicePackLoader(raw.train.packed, augment, dataset.image_size, loader, dataset.resident_gb * GB)
