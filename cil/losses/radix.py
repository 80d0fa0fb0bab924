"""Order statistics of more values than lie in memory at once, exact: radix selection, as GPUs select (Alabi et al.,
"Fast k-selection algorithms for graphics processing units", ACM JEA 17, 2012).

The bits of a floating-point number, read as an integer, order as the numbers do. Each pass over all values finds 16
more bits of every statistic: in a histogram of the next 16 bits of the values that share the bits found so far, the
rank falls into one bin. Two passes for float32, four for float64, 512 kB a statistic, and nothing waits for the device.
"""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor

DIGIT = 16
BINS = 1 << DIGIT
_INTEGERS = {torch.float32: torch.int32, torch.float64: torch.int64}

Pieces = Callable[[], Iterable[Tensor]]
"""Gives all the values, in pieces of any shape, each time the same."""


def order_statistics_in_passes(pieces: Pieces, indices: list[int]) -> Tensor:
    """What an ascending sort of all values of `pieces`, float32 or float64, has at `indices`: [I]."""
    digits, found, rank, dtype = 0, torch.empty(0), torch.empty(0), torch.float32
    bits = DIGIT
    while digits * DIGIT < bits:
        counts: list[Tensor] = []
        for values in pieces():
            if not digits and not counts:
                dtype, bits = values.dtype, 8 * values.element_size()
                found = torch.zeros(len(indices), dtype=torch.int64, device=values.device)
                rank = torch.tensor(indices).to(values.device, non_blocking=True)
            new = _next_digits(_ordered(values), found, digits, bits)
            counts = new if not counts else [total.add_(more) for total, more in zip(counts, new, strict=True)]
        sums = torch.stack(counts).cumsum(-1).expand(len(indices), BINS)
        digit = (sums <= rank[:, None]).sum(-1)
        before = torch.where(digit > 0, sums.gather(-1, (digit - 1).clamp_min(0)[:, None])[:, 0], 0)
        # The first digit holds the sign: bin 0 is that of the most negative numbers.
        found = (found << DIGIT) + digit if digits else digit - BINS // 2
        rank = rank - before
        digits += 1
    return _values(found, dtype)


def _ordered(values: Tensor) -> Tensor:
    """Integers, flat, that order as the values do."""
    bits = values.detach().flatten().view(_INTEGERS[values.dtype])
    return bits ^ ((bits >> (8 * bits.element_size() - 1)) & torch.iinfo(bits.dtype).max)


def _values(ordered: Tensor, dtype: torch.dtype) -> Tensor:
    """The inverse of `_ordered`, which it is itself."""
    integers = ordered.to(_INTEGERS[dtype])
    return _ordered(integers.view(dtype)).view(dtype)


def _next_digits(keys: Tensor, found: Tensor, digits: int, bits: int) -> list[Tensor]:
    """Histograms of the digit after the first `digits` ones: of all keys, or for each of `found` of those that have
    these bits in front.
    """
    shift = bits - (digits + 1) * DIGIT
    if digits == 0:
        return [histogram((keys >> shift) + BINS // 2, None)]
    here, front = (keys >> shift) & (BINS - 1), keys >> (shift + DIGIT)
    return [histogram(here, front == one) for one in found]


def histogram(digits: Tensor, mask: Tensor | None) -> Tensor:
    """How often each of 0..BINS-1 is among `digits` [N], where the mask [N] is True: int64 [BINS]."""
    if digits.device.type == "cpu":
        return torch.bincount(digits if mask is None else digits[mask], minlength=BINS)
    return histogram_by_adding(digits, mask)


def histogram_by_adding(digits: Tensor, mask: Tensor | None) -> Tensor:
    """The same without waiting for the device, as choosing by a mask does; what is masked out has a bin of its own."""
    at = (digits if mask is None else torch.where(mask, digits, BINS)).to(torch.int64)
    counts = torch.zeros(BINS + 1, dtype=torch.int64, device=digits.device)
    return counts.scatter_add_(0, at, torch.ones_like(at))[:BINS]
