"""Shears, translations and rotation of image batches as Pillow's Image.transform and Image.rotate do them.

Kernels as in image_ops.py. Pillow decides in float64 or 16.16 fixed point which source pixel an output pixel
shows; here the same decisions are integer arithmetic, so that every device makes them alike. Pixel (x, y) has its
centre at (x + 1/2, y + 1/2), from the top left corner. Outside pixels are grey.
"""

import math
from fractions import Fraction

import torch
from torch import Tensor

from cil.data.image_ops import take_pixels, to_uint8

GREY = 128
"""Every channel of pixels outside the source."""
_ONE = 65536
"""1 in Pillow's 16.16 fixed point."""


def shear_x(images: Tensor, parameters: Tensor) -> Tensor:
    """Show the source (x + m y, y), bicubic along the row, with m = p0 / p1; both are whole numbers.

    The row of the source is met exactly, so Pillow's 4 x 4 taps come down to four along the row. The taps of one
    row are neighbours that move with y alone: one gather fetches them for the whole row.
    """
    height, width = images.shape[-2:]
    device = images.device
    x = torch.arange(width, dtype=torch.int32, device=device)
    y = torch.arange(height, dtype=torch.int32, device=device)
    numerator, denominator = (parameters[:, index, None].to(torch.int32) for index in (0, 1))
    unit = 2 * denominator  # Positions are whole multiples of 1 / unit pixel: ties with the border stay ties.
    moved = numerator * (2 * y + 1)  # [m, H]
    whole = moved.div(unit, rounding_mode="floor")
    fraction = (moved - whole * unit).to(torch.float32) / unit
    position = (unit * x + denominator)[:, None] + moved[:, :, None]  # [m, H, W]
    inside = (position >= 0) & (position < (unit * width)[:, :, None])

    window = torch.arange(-1, width + 2, dtype=torch.int32, device=device)
    index = (whole[:, :, None] + window).clamp_(0, width - 1).to(torch.int64)
    taps = images.gather(3, index[:, None].expand(-1, images.shape[1], -1, -1)).to(torch.float32)
    values = _cubic(taps, fraction[:, None, :, None])
    return torch.where(inside[:, None], to_uint8(values), GREY)


def shear_y(images: Tensor, parameters: Tensor) -> Tensor:
    """Show the source (x, y + m x), bicubic along the column, with m = p0 / p1; both are whole numbers."""
    return shear_x(images.mT, parameters).mT


def _cubic(taps: Tensor, fraction: Tensor) -> Tensor:
    """Keys' cubic convolution with a = -1 (not the -1/2 of Pillow's resize) between the inner two of four taps.

    taps: [..., W + 3], the first tap of output pixel 0 foremost. fraction: where between them, in [0, 1).
    """
    width = taps.shape[-1] - 3
    before, left, right, after = (taps[..., start : start + width] for start in range(4))
    rise, fall = before - left, right - after
    # left + f (right - before + f (2 rise + fall - f (rise + fall)))
    total = rise + fall
    return (rise + total).sub_(total.mul_(fraction)).mul_(fraction).add_(right - before).mul_(fraction).add_(left)


def move(images: Tensor, parameters: Tensor) -> Tensor:
    """Show the nearest source pixel of a rotation and a translation, in 16.16 fixed point.

    p0, p1: cosine and sine. (p2 + p3, p4 + p5) is the source of the centre of pixel (0, 0), each the sum of whole
    pixels and a fraction, since float32 would not hold both at once. All but the pixels are in units of 1 / 65536.
    """
    height, width = images.shape[-2:]
    x = torch.arange(width, dtype=torch.int32, device=images.device)
    y = torch.arange(height, dtype=torch.int32, device=images.device)[:, None]
    cosine, sine, x_whole, x_part, y_whole, y_part = parameters.to(torch.int32)[:, :, None, None].unbind(1)
    source_x = x * cosine + (y * sine + (x_whole * _ONE + x_part))
    source_y = y * cosine + (x * -sine + (y_whole * _ONE + y_part))
    return take_pixels(images, source_x >> 16, source_y >> 16, GREY)


def shear(tangent: float, _size: int) -> list[float]:
    """Parameters of shear_x and shear_y. The tangent is taken for the nearest fraction with at most three digits."""
    fraction = Fraction(tangent).limit_denominator(999)
    return [float(fraction.numerator), float(fraction.denominator)]


def translate_x(distance: float, _size: int) -> list[float]:
    """Parameters of `move`: pixel (x, y) shows the source pixel that contains (x + 1/2 + distance, y + 1/2)."""
    return [float(_ONE), 0.0, float(math.floor(distance + 0.5)), _ONE / 2, 0.0, _ONE / 2]


def translate_y(distance: float, _size: int) -> list[float]:
    """Parameters of `move`: pixel (x, y) shows the source pixel that contains (x + 1/2, y + 1/2 + distance)."""
    return [float(_ONE), 0.0, 0.0, _ONE / 2, float(math.floor(distance + 0.5)), _ONE / 2]


def rotate(degrees: float, size: int) -> list[float]:
    """Parameters of `move`: about the centre of size x size images, positive counter-clockwise."""
    angle = -math.radians(degrees)
    cosine, sine = round(math.cos(angle), 15), round(math.sin(angle), 15)  # Pillow drops the last digit.
    centre, corner = size / 2, 0.5 - size / 2
    x = _fixed(centre + cosine * corner + sine * corner)
    y = _fixed(centre - sine * corner + cosine * corner)
    parts = [number for value in (x, y) for number in divmod(value, _ONE)]
    return [float(number) for number in (_fixed(cosine), _fixed(sine), *parts)]


def _fixed(value: float) -> int:
    return math.floor(value * _ONE + 0.5)
