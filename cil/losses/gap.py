"""The gap term: a hinge on the difference of mean positive and mean negative similarity."""

from torch import Tensor

from cil.losses.similarity import Pairs
from cil.losses.whole_batch import WholeBatch


def mean_gap(pairs: Pairs) -> Tensor:
    """Mean of the B positives of view 1 minus mean of the negatives, 0-d. NaN without negatives."""
    batch = len(pairs.positives) // 2
    return pairs.positives[:batch].mean() - pairs.negatives.mean()


def gap_term(pairs: Pairs, target: float, whole: WholeBatch | None = None) -> Tensor:
    """relu(target - gap), 0-d; 0 with zero gradient without negatives.

    Of a chunk of anchors: its part of the mean, target - gap or 0, as the gap of the whole batch decides.
    """
    if pairs.negatives.numel() == 0:
        return pairs.negatives.sum()
    if whole is None:
        return (target - mean_gap(pairs)).relu()
    return (target - mean_gap(pairs)) * (whole.gap < target)
