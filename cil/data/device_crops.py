"""Random resized crops of many images at once, on the device that their pixels live on.

The resampling is torch's for 8 bits (`F.interpolate(mode="bilinear", antialias=True)` on uint8, which is Pillow's
filter with weights of 15 bits): per axis, an output pixel is the sum of its input pixels times whole-numbered weights,
rounded to 8 bits; first along rows, then along columns. Every step here is on whole numbers that float32 holds exactly,
so the result is the same on any device, in any order of summation, and the same as `cut_torch` gives for each crop.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from cil.data.transfer import to_device

_CHUNK = 64
"""Crops at once: a few hundred MB of float32."""
_LOW_BITS = 11
"""Weights are multiplied in two halves of so many bits: products with pixels stay exact, even in TF32."""


def crops(flat: Tensor, starts: Tensor, widths: Tensor, boxes: Tensor, size: int) -> Tensor:
    """Cut boxes out of images and resize them: uint8 [n, 3, size, size].

    flat: uint8, the bytes of all images, each row by row, RGB. starts: int64 [n], first byte of each crop's image;
    widths: int64 [n], of the image; boxes: int64 [n, 4], left, top, right, bottom. All but `boxes` on one device;
    `boxes` on the CPU, since the shapes of the work depend on it.
    """
    pieces = []
    for rows in _chunks(len(boxes)):
        inside = boxes[rows]
        extent = inside[:, 2:] - inside[:, :2]
        wide, high = (int(side) for side in extent.max(0).values)
        on_device = to_device(inside, flat.device)
        pixels = _gathered(flat, starts[rows], widths[rows], on_device, (high, wide))
        sides = to_device(extent, flat.device)
        along_rows = _resampled(pixels.flatten(1, 2), *_weights(sides[:, 0], wide, size)).unflatten(1, (3, high))
        columns = along_rows.transpose(2, 3).flatten(1, 2)
        along_columns = _resampled(columns, *_weights(sides[:, 1], high, size)).unflatten(1, (3, size))
        pieces.append(along_columns.transpose(2, 3).to(torch.uint8))
    return torch.cat(pieces) if pieces else flat.new_empty((0, 3, size, size))


def _chunks(count: int) -> Iterator[slice]:
    for start in range(0, count, _CHUNK):
        yield slice(start, start + _CHUNK)


def _gathered(flat: Tensor, starts: Tensor, widths: Tensor, boxes: Tensor, shape: tuple[int, int]) -> Tensor:
    """The pixels of boxes, float32 [n, 3, high, wide]; outside a smaller box any byte (its weight is 0)."""
    high, wide = shape
    rows = boxes[:, 1, None] + torch.arange(high, device=flat.device)
    columns = boxes[:, 0, None] + torch.arange(wide, device=flat.device)
    place = (rows * widths[:, None])[:, :, None] + columns[:, None, :]
    first = starts[:, None, None] + 3 * place
    channels = [flat[(first + channel).clamp_(max=len(flat) - 1)] for channel in range(3)]
    return torch.stack(channels, 1).to(torch.float32)


def _weights(sides: Tensor, longest: int, size: int) -> tuple[Tensor, Tensor]:
    """Whole-numbered weights int64 [n, longest, size] from `sides` pixels to `size`, and their bits int64 [n].

    In float64, in the order in which torch computes them (aten/src/ATen/native/cpu/UpSampleKernel.cpp).
    """
    scale = (sides.to(torch.float64) / size)[:, None]
    support = scale.clamp(min=1.0)
    inverse = 1.0 / support
    centre = scale * (torch.arange(size, device=sides.device, dtype=torch.float64) + 0.5)
    low = (centre - support + 0.5).to(torch.int64).clamp_(min=0)
    high = torch.minimum((centre + support + 0.5).to(torch.int64), sides[:, None])
    taps = 2 * -(-longest // size) + 1
    values, total = [], torch.zeros_like(centre)
    for tap in range(taps):
        distance = ((low + tap) - centre + 0.5) * inverse
        value = (1.0 - distance.abs()).clamp_(min=0.0) * (low + tap < high)
        values.append(value)
        total = total + value
    shares = torch.stack(values) / total
    bits = _bits(shares.amax((0, 2)))
    whole = (0.5 + shares * (1 << bits).to(torch.float64)[:, None]).to(torch.int64)
    columns = torch.arange(longest, device=sides.device)[None, :, None]
    dense = torch.zeros((len(sides), longest, size), dtype=torch.int64, device=sides.device)
    for tap in range(taps):
        dense += (columns == (low + tap)[:, None, :]) * whole[tap][:, None, :]
    return dense, bits


def _bits(largest: Tensor) -> Tensor:
    """The most bits, at most 22, with which the largest weight, float64 [n], still fits into 15; int64 [n]."""
    bits = torch.zeros(len(largest), dtype=torch.int64, device=largest.device)
    for candidate in range(1, 23):
        bits = torch.where((0.5 + largest * (1 << candidate)).to(torch.int64) < (1 << 15), candidate, bits)
    return bits


def _resampled(pixels: Tensor, weights: Tensor, bits: Tensor) -> Tensor:
    """float32 [n, rows, longest] times weights [n, longest, size], rounded to 0..255: float32 [n, rows, size]."""
    upper = torch.bmm(pixels, (weights >> _LOW_BITS).to(torch.float32))
    lower = torch.bmm(pixels, (weights & ((1 << _LOW_BITS) - 1)).to(torch.float32))
    total = (upper.to(torch.int64) << _LOW_BITS) + lower.to(torch.int64)
    shift = bits[:, None, None]
    return ((total + (1 << (shift - 1))) >> shift).clamp_(0, 255).to(torch.float32)
