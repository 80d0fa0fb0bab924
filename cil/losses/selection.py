"""Order statistics and masks of the largest values, without sorting everything and without synchronising."""

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

_TIE_BITS = {torch.float32: 22, torch.float64: 40}


def order_statistics(values: Tensor, indices: list[int]) -> Tensor:
    """What an ascending sort of the last dimension of `values` [..., N] has at the ascending `indices`: [..., I].

    `values` are float32 or float64 without gradient. On the CPU numpy's partition is up to seven times as fast as
    torch.topk, and this is the most expensive part of the statistics.
    """
    if values.device.type == "cpu":
        first = indices[0]
        top = np.partition(values.numpy(), first, axis=-1)[..., first:]
        offsets = [index - first for index in indices]
        return torch.from_numpy(np.partition(top, offsets, axis=-1)[..., offsets])
    return order_statistics_by_topk(values, indices)


def order_statistics_by_topk(values: Tensor, indices: list[int]) -> Tensor:
    """The same with torch alone, for devices that numpy cannot reach; cheap if all `indices` are near the top."""
    size = values.shape[-1]
    top = values.topk(size - indices[0]).values
    return torch.stack([top[..., size - 1 - index] for index in indices], -1)


def quantiles(values: Tensor, shares: tuple[float, ...]) -> list[Tensor]:
    """The quantiles of all `values` for ascending `shares` in [0, 1], with linear interpolation, each 0-d.

    torch.quantile would sort everything, and refuses more than 16 million values in many versions.
    """
    return interpolated(lambda indices: order_statistics(values.flatten(), indices), values.numel(), shares)


def interpolated(statistics: Callable[[list[int]], Tensor], count: int, shares: tuple[float, ...]) -> list[Tensor]:
    """The quantiles of `count` values whose order statistics at ascending indices `statistics` gives, [I]."""
    positions = [share * (count - 1) for share in shares]
    indices = [index for position in positions for index in (math.floor(position), math.ceil(position))]
    found = statistics(indices)
    fractions = [position - math.floor(position) for position in positions]
    return [torch.lerp(found[2 * i], found[2 * i + 1], fraction) for i, fraction in enumerate(fractions)]


def largest(values: Tensor, count: int) -> Tensor:
    """Mask [..., N] with exactly `count` True in each row of `values` [..., N]: the largest, of equal ones the last.

    Equal are those of one rank.
    """
    ranks = ranked(values)
    threshold = order_statistics(ranks, [ranks.shape[-1] - count])
    reached = ranks >= threshold
    # Counted in int32: the default of int64 would take twice the memory of the values themselves.
    surplus = reached.sum(-1, keepdim=True, dtype=torch.int32) - count
    return without_first_tied(reached, ranks == threshold, surplus)


def ranked(values: Tensor) -> Tensor:
    """Whole numbers in the order of `values`: those closer than 2**-22 (float64: 2**-40) count as equal.

    In a batch compared with itself each similarity occurs twice, and the rounding of a matrix product must not decide
    which of the two is taken.
    """
    return (values * 2.0 ** _TIE_BITS[values.dtype]).round()


def without_first_tied(reached: Tensor, tied: Tensor, surplus: Tensor) -> Tensor:
    """The mask `reached` [..., N] without the first `surplus` [..., 1] of the `tied` [..., N] of each row."""
    return reached & ~(tied & (tied.cumsum(-1, dtype=torch.int32) <= surplus))
