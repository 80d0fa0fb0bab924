"""A loss and its statistics by chunks of anchors, where the similarities of a batch take too much memory.

A term is a mean over anchors, so that of a batch is the mean of those of its chunks; the formulas need not know of it.
What concerns all anchors at once is found before (cil/losses/survey.py).
"""

from collections.abc import Callable, Mapping
from dataclasses import replace

import torch
from torch import Tensor

from cil.losses.chunks import Chunks, sum_over
from cil.losses.similarity import Comparison
from cil.losses.statistics import EPOCH_MINIMUM, Stat, Terms, measure, weights_of
from cil.losses.survey import survey

COUNTED_BY = {"pos_std": "pos_mean", "neg_std": "negatives_above_positive"}
"""Deviation -> a statistic whose weight is the number of values that it is the deviation of."""


def loss_in_chunks(
    formula: Callable[[Comparison], Terms], chunks: Chunks
) -> tuple[Tensor, dict[str, Stat], dict[str, Tensor]]:
    """The loss of the batch, its statistics and its weighted terms, as if all were compared at once."""
    table = chunks.rows.new_zeros((2, len(chunks.parts), 0), dtype=torch.float64)
    first: dict[str, Stat] = {}

    def of(compared: Comparison) -> dict[str, Tensor]:
        nonlocal table, first
        terms = formula(compared)
        loss = terms.total(compared)
        stats = measure(compared, terms, loss, chunks.settings)
        if not first:
            first, table = stats, table.new_zeros((2, len(chunks.parts), len(stats)))
        # Copied to one place: left where they are, small tensors would break up the room of the next chunk.
        table[0, compared.first // chunks.images] = torch.stack([stat.value for stat in stats.values()]).double()
        table[1, compared.first // chunks.images] = weights_of(list(stats.values()), table.device)
        parts = terms.parts or {"nothing": loss}
        return {name: compared.share * value for name, value in parts.items()}

    parts = sum_over(replace(chunks, whole=survey(chunks)), of)
    loss = torch.stack(list(parts.values())).sum()
    parts.pop("nothing", None)
    types = {name: stat.value.dtype for name, stat in first.items()}
    return loss, merged(types, *table) | {"total": Stat(loss.detach(), chunks.batch)}, parts


def merged(types: Mapping[str, torch.dtype], values: Tensor, weights: Tensor) -> dict[str, Stat]:
    """The statistics of a batch from those of its C chunks, [C, S] each: they count as those of batches do in an epoch.

    types: the S names. Deviations are pooled (Chan, Golub and LeVeque, "Algorithms for computing the sample variance",
    The American Statistician 37, 1983).
    """
    names = list(types)
    seen, total = weights > 0, weights.sum(0)
    means = torch.where(seen, values * weights, 0.0).sum(0) / torch.where(total > 0, total, 1.0)
    least = torch.where(seen, values, torch.inf).amin(0)
    found: dict[str, Stat] = {}
    for at, name in enumerate(names):
        value, weight = least[at] if name in EPOCH_MINIMUM else means[at], total[at]
        if name in COUNTED_BY:
            mean = names.index(name.replace("_std", "_mean"))
            value = _pooled(values[:, at], values[:, mean], weights[:, names.index(COUNTED_BY[name])])
            weight = total[mean]  # a chunk of one image has no deviation, the batch has one
        found[name] = Stat(value.to(types[name]), weight)
    return found


def _pooled(deviations: Tensor, means: Tensor, counts: Tensor) -> Tensor:
    """Bessel-corrected deviation of the values of all chunks, from those of each: [C] each."""
    between = counts * (means - (counts * means).sum() / counts.sum()) ** 2
    return (((counts - 1) * deviations**2 + between).sum() / (counts.sum() - 1)).sqrt()
