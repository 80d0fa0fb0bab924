"""Old classes in the contrastive loss, by the mean embedding of their exemplars (`loss.prototypes`)."""

import torch
from torch import Tensor

from cil.config.schema import Prototypes
from cil.losses.settings import LossSettings
from cil.losses.similarity import Comparison


def further_negatives(compared: Comparison, settings: LossSettings) -> Tensor | None:
    """Similarities [2B, P] that InfoNCE counts among its negatives; None for none."""
    return compared.prototypes if settings.prototypes is Prototypes.negatives else None


def repel_term(compared: Comparison, settings: LossSettings) -> Tensor | None:
    """Mean relu(similarity - delta) over all pairs of a row and the prototype of another class, 0-d; None for none."""
    if settings.prototypes is not Prototypes.repel or compared.prototypes is None or not settings.prototype_weight:
        return None
    others = compared.prototypes > -torch.inf
    excess = (compared.prototypes.masked_fill(~others, 0.0) - settings.prototype_delta).relu() * others
    whole = compared.whole
    if whole is None or whole.others is None:
        return excess.sum() / others.sum().clamp_min(1)
    count = whole.others * len(others)  # a chunk's share of the pairs, perhaps less than one
    return excess.sum() / torch.where(count > 0, count, 1.0)
