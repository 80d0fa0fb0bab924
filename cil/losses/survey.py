"""What is found about a whole batch before its loss is computed in chunks: whatever looks at all anchors at once."""

from collections.abc import Iterator, Mapping
from functools import partial

import torch
from torch import Tensor

from cil.config.schema import Negatives, Reference
from cil.losses.chunks import Chunks, sum_over
from cil.losses.hard_negatives import Hardest, share_of
from cil.losses.radix import order_statistics_in_passes
from cil.losses.selection import interpolated, ranked
from cil.losses.similarity import Comparison
from cil.losses.statistics import TAIL
from cil.losses.violations import violations_of
from cil.losses.whole_batch import WholeBatch


def survey(chunks: Chunks) -> WholeBatch:
    """What each chunk has to know of the others."""
    settings = chunks.settings
    over_all = settings.reference is Reference["global"]
    reference = _reference(chunks) if over_all else None
    others = None
    if chunks.to_prototypes is not None:
        others = (chunks.to_prototypes.detach() > -torch.inf).sum().to(chunks.rows.dtype) / len(chunks.rows)
    with torch.no_grad():
        hardest = _hardest(chunks) if over_all and settings.hard_negative_ratio is not None else None
        return WholeBatch(_gap(chunks), _tail(chunks, reference), reference, hardest, others)


def negatives_of(batch: int, negatives: Negatives) -> tuple[int, int]:
    """Number of groups, and of negatives in each."""
    of_a_view = batch * (batch - 1)
    if negatives is Negatives.all:
        return 1, 4 * of_a_view
    return (2 if negatives is Negatives.both_views else 1), of_a_view


def _reference(chunks: Chunks) -> Tensor:
    """The largest negative of each group, [G, 1, 1], with its gradient: shared evenly where several are largest."""
    with torch.no_grad():
        tops, ties = [], []
        for part in chunks.parts:
            negatives = chunks.compared(part).pairs.negatives
            tops.append(negatives.amax((1, 2)))
            ties.append((negatives == tops[-1][:, None, None]).sum((1, 2)))
        largest = torch.stack(tops).amax(0)
        count = torch.where(torch.stack(tops) == largest, torch.stack(ties), 0).sum(0)
    if not chunks.settings.reference_grad:
        return largest[:, None, None]

    def shares(compared: Comparison) -> Mapping[str, Tensor]:
        groups = zip(compared.pairs.negatives, largest, count, strict=True)
        return {str(group): (s * (s.detach() == top) / n).sum() for group, (s, top, n) in enumerate(groups)}

    found = torch.stack(list(sum_over(chunks, shares).values()))
    # The difference is 0: it brings the gradient, and leaves the value to the bit what it is.
    return (largest + (found - found.detach()))[:, None, None]


def _gap(chunks: Chunks) -> Tensor:
    """Mean positive minus mean negative, 0-d float64, without a pass: the sum of all similarities of two sets of rows
    is the product of the sums of the rows.
    """
    rows, columns = (side.unflatten(0, (2, -1)).double() for side in (chunks.rows, chunks.columns))  # [2, B, D]
    same_image = rows.flatten(1) @ columns.flatten(1).T  # [2, 2]: view of the row, view of the column
    other_images = rows.sum(1) @ columns.sum(1).T - same_image
    groups, count = negatives_of(chunks.batch, chunks.settings.negatives)
    chosen = {
        Negatives.first_view: other_images[0, 0],
        Negatives.both_views: other_images.trace(),
        Negatives.all: other_images.sum(),
    }
    return same_image[0, 1] / chunks.batch - chosen[chunks.settings.negatives] / (groups * count)


def _tail(chunks: Chunks, reference: Tensor | None) -> tuple[Tensor, Tensor]:
    """The quantiles of all violations."""

    def violations() -> Iterator[Tensor]:
        for part in chunks.parts:
            negatives = chunks.compared(part).pairs.negatives
            yield violations_of(negatives, chunks.margin, chunks.settings, reference)

    groups, count = negatives_of(chunks.batch, chunks.settings.negatives)
    p90, p95 = interpolated(partial(order_statistics_in_passes, violations), groups * count, TAIL)
    return p90, p95


def _hardest(chunks: Chunks) -> Hardest:
    """Which negatives are among the share of hardest ones of their whole group (hard_negative_ratio)."""

    def ranks(group: int | slice) -> Iterator[Tensor]:
        for part in chunks.parts:
            yield ranked(chunks.compared(part).pairs.negatives[group])

    ratio = chunks.settings.hard_negative_ratio
    assert ratio is not None
    groups, size = negatives_of(chunks.batch, chunks.settings.negatives)
    count = share_of(size, ratio)
    found = [order_statistics_in_passes(partial(ranks, group), [size - count]) for group in range(groups)]
    threshold = torch.stack(found)[:, :, None]
    reached, tied = [], []
    for part, piece in zip(chunks.parts, ranks(slice(None)), strict=True):
        reached.append((piece >= threshold).sum((1, 2)))
        tied.append((piece == threshold).sum(-1).unflatten(1, (-1, part.stop - part.start)))
    ties = torch.cat(tied, -1)  # [G, views of the group, B]
    before = (ties.flatten(1).cumsum(-1) - ties.flatten(1)).view_as(ties)
    surplus = torch.stack(reached).sum(0) - count
    return Hardest(threshold, surplus[:, None, None] - before, groups * count)
