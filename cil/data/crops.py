"""Random resized crops: which box of an image, and how it is resized.

The boxes of an image are drawn from a stream of its own: neither the number of workers nor where the crop is cut can
change them.
"""

import math
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from cil.seeding import StreamKey, generator

CROP_AREA = (0.08, 1.0)
"""Smallest and largest share of the image's area in a random resized crop."""
CROP_ASPECT = (3 / 4, 4 / 3)
"""Smallest and largest ratio of width to height of the crop."""
_ATTEMPTS = 10
Box = tuple[int, int, int, int]
"""Left, top, right, bottom, in pixels."""
Picture = Image.Image | np.ndarray
"""An RGB image, of Pillow or as uint8 [H, W, 3]."""


def random_box(width: int, height: int, uniform: np.ndarray) -> Box:
    """The crop of a random resized crop: area uniform in CROP_AREA, logarithm of the aspect uniform.

    uniform: [10, 4] numbers in [0, 1): ten attempts. If none fits, the largest central crop of allowed aspect.
    """
    low, high = (math.log(value) for value in CROP_ASPECT)
    for share, stretch, right, down in uniform.tolist():
        area = width * height * (CROP_AREA[0] + (CROP_AREA[1] - CROP_AREA[0]) * share)
        aspect = math.exp(low + (high - low) * stretch)
        w, h = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if 0 < w <= width and 0 < h <= height:
            left, top = int(right * (width - w + 1)), int(down * (height - h + 1))
            return left, top, left + w, top + h
    w = min(width, max(1, round(height * CROP_ASPECT[1])))
    h = min(height, max(1, round(width / CROP_ASPECT[0])))
    left, top = (width - w) // 2, (height - h) // 2
    return left, top, left + w, top + h


def random_boxes(width: int, height: int, key: StreamKey, views: int) -> list[Box]:
    """The boxes of the first `views` of two crops. key: see cil/data/views.py."""
    seed, *place = key
    stream = generator(int(seed), "crop", *place)
    uniform = torch.rand((2, _ATTEMPTS, 4), generator=stream, dtype=torch.float64).numpy()
    return [random_box(width, height, view) for view in uniform[:views]]


def size_of(picture: Picture) -> tuple[int, int]:
    """(width, height)."""
    return picture.size if isinstance(picture, Image.Image) else (picture.shape[1], picture.shape[0])


def as_image(picture: Picture) -> Image.Image:
    """The image as Pillow has it."""
    return picture if isinstance(picture, Image.Image) else Image.fromarray(picture)


def to_tensor(image: Image.Image) -> Tensor:
    """RGB image -> uint8 [3, H, W], a view of pixels that lie row by row."""
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)


def cut_pillow(picture: Picture, box: Box, out: Tensor) -> None:
    """Pillow's bilinear filter with its support widened where it shrinks, in fixed point, rounded after each axis.

    Its last digit depends on Pillow's version (13 shrinks the axis first that makes less work). out: uint8 [3, S, S].
    """
    left, top, right, bottom = box
    part = picture.crop(box) if isinstance(picture, Image.Image) else Image.fromarray(picture[top:bottom, left:right])
    out.copy_(to_tensor(part.resize((out.shape[2], out.shape[1]), Image.Resampling.BILINEAR)))


def cut_torch(picture: Picture, box: Box, out: Tensor) -> None:
    """The same filter as torch has it for 8 bits: weights of 15 bits, first along rows. out: uint8 [3, S, S].

    cil/data/device_crops.py computes the same integers for many crops at once.
    """
    left, top, right, bottom = box
    part = np.array(picture.crop(box)) if isinstance(picture, Image.Image) else picture[top:bottom, left:right]
    pixels = torch.from_numpy(part).permute(2, 0, 1)[None]
    out.copy_(F.interpolate(pixels, size=out.shape[1:], mode="bilinear", antialias=True)[0])


CUTS: dict[str, Callable[[Picture, Box, Tensor], None]] = {"pillow": cut_pillow, "torch": cut_torch}
"""By `augment.crop_resampling`: cuts a box out of an image, resizes it and writes it into `out`."""
