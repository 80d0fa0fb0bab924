"""The random views of training images: which numbers they are drawn with.

Usually those of the step, by row of the batch: an image is never seen twice in the same view. With a view bank
(`augment.view_bank: k`) those of the image: epoch e has pair e mod k, and every image k pairs of views in a task.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from cil.config.schema import AugmentConfig
from cil.data.augment import Augmenter, Draws
from cil.distributed.share import Share
from cil.seeding import StreamKey, generator


@dataclass(frozen=True)
class EpochKey:
    """Names the random streams of an epoch. task: 1-based; epoch: 0-based within the task."""

    seed: int
    task: int
    epoch: int


@dataclass(frozen=True)
class BatchPlan:
    """A training batch, of which one process makes the rows of its share.

    number: 0-based in the epoch; chosen: int64 [B], places of all its images in the train set; views: 1 or 2.
    """

    key: EpochKey
    number: int
    chosen: np.ndarray
    views: int
    share: Share

    @property
    def rows(self) -> slice:
        """The own rows of the batch."""
        return self.share.rows(len(self.chosen))

    @property
    def own(self) -> np.ndarray:
        """Places of the own images in the train set."""
        return self.chosen[self.rows]


class Views:
    """Augments training batches of one configuration; images: size of the train set."""

    def __init__(self, cfg: AugmentConfig, image_size: int, images: int) -> None:
        self.augmenter = Augmenter(cfg, image_size)
        self._pairs = cfg.view_bank
        self._images = images
        self._table: tuple[StreamKey, Draws] | None = None
        """The draws of both views of every image, of the pair used last."""

    def crop_streams(self, step: BatchPlan) -> tuple[StreamKey, list[int]]:
        """(what the streams of the crops' boxes have in common, their last number for each own image)."""
        if self._pairs is None:
            key = (step.key.seed, step.key.task, step.key.epoch, step.number)
            return key, list(range(len(step.chosen))[step.rows])
        return self._pair(step.key), step.own.tolist()

    def augmented(self, pixels: Tensor, step: BatchPlan) -> Tensor:
        """uint8 [views * own, 3, H, W] on any device, first views, then second ones -> augmented and normalised."""
        # Drawn for all rows, so that an image's numbers do not depend on how many processes share the batch.
        if self._pairs is None:
            key, size = step.key, len(step.chosen)
            stream = generator(key.seed, "augment", key.task, key.epoch, step.number)
            draws = self.augmenter.draw(step.views * size, stream)
            own = torch.arange(size)[step.rows]
        else:
            draws, size, own = self._drawn(self._pair(step.key)), self._images, torch.from_numpy(step.own)
        chosen = torch.cat([own + view * size for view in range(step.views)])
        return self.augmenter.train(pixels, draws.rows(chosen))

    def _pair(self, key: EpochKey) -> StreamKey:
        """Names the pair that an epoch uses. One below 0, which is no epoch of training, has a pair of its own."""
        assert self._pairs is not None
        return key.seed, "view_bank", key.task, key.epoch % self._pairs if key.epoch >= 0 else key.epoch

    def _drawn(self, pair: StreamKey) -> Draws:
        """Those of the whole train set, kept until another pair comes: some 140 bytes an image."""
        if self._table is None or self._table[0] != pair:
            seed, *place = pair
            self._table = pair, self.augmenter.draw(2 * self._images, generator(int(seed), "augment", *place))
        return self._table[1]
