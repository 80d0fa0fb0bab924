"""The ANT term: how far the negatives of an anchor come within a margin of the most similar one.

It contains no positive. v_ij = (s_ij - reference_i) + margin over a block of negatives [G, A, K].
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from cil.config.schema import Formulation, Reference
from cil.losses.formulations import PENALTIES, count
from cil.losses.hard_negatives import keep_hardest
from cil.losses.settings import LossSettings
from cil.losses.whole_batch import WholeBatch


@dataclass(frozen=True)
class AntTerm:
    """value: 0-d, with the gradient. The rest has none.

    violations: [G, A, K], of all negatives. kept: mask of the hardest ones, None without hard_negative_ratio.
    floor: 0-d or number, the least value the formulation can take with these counts.
    """

    value: Tensor
    violations: Tensor
    kept: Tensor | None
    floor: Tensor | float


def ant_term(negatives: Tensor, margin: float, settings: LossSettings, whole: WholeBatch | None = None) -> AntTerm:
    """ANT of a block of negatives [G, A, K], the mean over all its anchors; 0 with zero gradient if K = 0.

    whole: of a chunk of anchors, what it has to know of the rest.
    """
    if negatives.shape[-1] == 0:
        return AntTerm(negatives.sum(), negatives.detach(), None, 0.0)
    kept = None
    if whole is not None and whole.hardest is not None:
        kept = whole.hardest.mask(negatives)
    elif settings.hard_negative_ratio is not None:
        kept = keep_hardest(negatives, settings.hard_negative_ratio, settings.reference)
    violations = violations_of(negatives, margin, settings, None if whole is None else whole.reference)
    value = PENALTIES[settings.formulation](violations, kept, margin, settings).mean()
    return AntTerm(value, violations.detach(), kept, _floor(negatives.shape[-1], kept, settings))


def violations_of(negatives: Tensor, margin: float, settings: LossSettings, reference: Tensor | None = None) -> Tensor:
    """(s - reference) + margin, [G, A, K]; `reference` as in `reference_of`, None: that of these negatives."""
    if reference is None:
        reference = reference_of(negatives, settings)
    return (negatives - reference).add_(margin)  # in place: one block less in memory


def reference_of(negatives: Tensor, settings: LossSettings) -> Tensor:
    """What each negative is compared with: [G, A, 1] (anchor) or [G, 1, 1] (global), over all negatives [G, A, K]."""
    over: tuple[int, ...] = (2,) if settings.reference is Reference.anchor else (1, 2)
    if not settings.reference_grad:
        negatives = negatives.detach()
    return negatives.amax(over, keepdim=True)


def _floor(negatives: int, kept: Tensor | None, settings: LossSettings) -> Tensor | float:
    """Mean log of the number of terms in a row's sum, each of which is at least exp(0); 0 for a row without any."""
    if settings.formulation not in (Formulation.logsumexp, Formulation.topk):
        return 0.0
    most = settings.topk if settings.formulation is Formulation.topk else negatives
    if kept is None:
        return math.log(min(most, negatives))
    return count(kept).clamp(1, most).to(torch.float64).log().mean()
