"""The gap term: a hinge on the difference of mean positive and mean negative similarity."""

from torch import Tensor

from cil.losses.similarity import Pairs


def mean_gap(pairs: Pairs) -> Tensor:
    """Mean of the B positives of view 1 minus mean of the negatives, 0-d. NaN without negatives."""
    batch = len(pairs.positives) // 2
    return pairs.positives[:batch].mean() - pairs.negatives.mean()


def gap_term(pairs: Pairs, target: float) -> Tensor:
    """relu(target - gap), 0-d; 0 with zero gradient without negatives."""
    if pairs.negatives.numel() == 0:
        return pairs.negatives.sum()
    return (target - mean_gap(pairs)).relu()
