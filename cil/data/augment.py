"""Augmentation of whole batches on the training device.

Order: random crop of the padded image, flip, brightness, AutoAugment, cutout, normalisation; all but the last
on uint8 pixels. Every random number is drawn on the CPU first (`Augmenter.draw`), so that the result depends on
images and draws only: the same on any device, and nothing waits for the device.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from cil.config.schema import AugmentConfig
from cil.data import image_ops
from cil.data.autoaugment import POLICY_COUNT, AutoAugment
from cil.data.transfer import to_device


@dataclass(frozen=True)
class Draws:
    """The randomness of n images; CPU tensors. All is drawn whatever is switched on.

    crop: int64 [n, 2], top and left corner in the padded image, 0..2 * crop_padding.
    flip: bool [n].
    brightness: float64 [n], factor.
    policy: int64 [n], AutoAugment's sub-policy; chance: float64 [n, 2] and negative: bool [n, 2] for its two steps.
    cutout: int64 [n, 2], row and column of the centre.
    """

    crop: Tensor
    flip: Tensor
    brightness: Tensor
    policy: Tensor
    chance: Tensor
    negative: Tensor
    cutout: Tensor

    def __len__(self) -> int:
        return len(self.flip)

    def rows(self, chosen: Tensor) -> "Draws":
        """Those of the images at `chosen`, int64 [m]."""
        return Draws(**{name: values[chosen] for name, values in vars(self).items()})


class Augmenter:
    """The augmentation of one configuration for image_size x image_size images."""

    def __init__(self, cfg: AugmentConfig, image_size: int) -> None:
        self._cfg = cfg
        self._size = image_size
        self._auto_augment = None
        if cfg.auto_augment.name != "none":
            assert cfg.auto_augment_ops is not None, "null only without AutoAugment (cil/config/schema.py)"
            self._auto_augment = AutoAugment(cfg.auto_augment.name, image_size, cfg.auto_augment_ops.name)
        self._scale: dict[torch.device, tuple[Tensor, Tensor]] = {}

    def draw(self, n: int, generator: torch.Generator) -> Draws:
        """Draw for n images from a CPU generator. A row takes the same numbers whatever is switched on."""
        uniform = torch.rand((n, 11), generator=generator, dtype=torch.float64)
        low = max(0.0, 1.0 - self._cfg.brightness)
        high = 1.0 + self._cfg.brightness
        return Draws(
            crop=(uniform[:, 0:2] * (2 * self._cfg.crop_padding + 1)).to(torch.int64),
            flip=uniform[:, 2] < 0.5,
            brightness=low + (high - low) * uniform[:, 3],
            policy=(uniform[:, 4] * POLICY_COUNT).to(torch.int64),
            chance=uniform[:, 5:7],
            negative=uniform[:, 7:9] < 0.5,
            cutout=(uniform[:, 9:11] * self._size).to(torch.int64),
        )

    def train(self, images: Tensor, draws: Draws) -> Tensor:
        """Augment and normalise: uint8 [n, 3, size, size] on any device -> float32 of the same shape.

        The input is not changed. Raises ValueError if the shape does not fit the draws.
        """
        if images.shape[0] != len(draws) or images.shape[-2:] != (self._size, self._size):
            raise ValueError(f"{len(draws)} draws for {self._size} pixels, but images {tuple(images.shape)}")
        cfg, device = self._cfg, images.device
        if not len(images):  # a process's share of a batch smaller than the number of processes
            return self._normalise(images)
        if cfg.crop_padding:
            images = image_ops.random_crop(images, to_device(draws.crop, device), cfg.crop_padding)
        if cfg.flip:
            images = image_ops.flip_rows(images, to_device(draws.flip.nonzero()[:, 0], device))
        if cfg.brightness:
            factor = draws.brightness.to(torch.float32)[:, None]
            images = image_ops.brightness(images, to_device(factor, device))
        if self._auto_augment is not None:
            images = self._auto_augment(images, draws.policy, draws.chance, draws.negative)
        if cfg.cutout:
            images = image_ops.cutout(images, to_device(draws.cutout, device), cfg.cutout)
        return self._normalise(images)

    def evaluate(self, images: Tensor) -> Tensor:
        """Normalise only: uint8 [n, 3, H, W] on any device -> float32 of the same shape."""
        return self._normalise(images)

    def _normalise(self, images: Tensor) -> Tensor:
        """(pixel / 255 - mean) / std of each channel."""
        if images.device not in self._scale:
            offset, factor = normalisation(self._cfg)
            self._scale[images.device] = to_device(offset, images.device), to_device(factor, images.device)
        offset, factor = self._scale[images.device]
        return images.to(torch.float32).sub_(offset).mul_(factor)


def normalisation(cfg: AugmentConfig) -> tuple[Tensor, Tensor]:
    """(offset, factor), float32 [3, 1, 1]: a pixel in 0..255 is normalised as (pixel - offset) * factor."""
    mean = torch.tensor(cfg.mean, dtype=torch.float64)[:, None, None]
    std = torch.tensor(cfg.std, dtype=torch.float64)[:, None, None]
    return (255 * mean).to(torch.float32), (1 / (255 * std)).to(torch.float32)
