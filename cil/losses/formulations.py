"""The ANT value of each anchor, from its violations.

Every function takes `violations` [G, A, K], v = (s - reference) + margin; `kept`, a mask of the same shape or None
for all; `margin`; and the settings. It returns [G, A]; an anchor with nothing kept has the value 0.
No violation exceeds the margin, since no similarity exceeds the reference.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from cil.config.schema import Formulation
from cil.losses.selection import largest
from cil.losses.settings import LossSettings

Penalty = Callable[[Tensor, Tensor | None, float, LossSettings], Tensor]


def logsumexp(violations: Tensor, kept: Tensor | None, margin: float, _: LossSettings) -> Tensor:
    """log sum exp(relu v). An inactive negative still adds exp(0) = 1: the floor is log K."""
    return _log_sum_exp(violations.relu(), kept, margin)


def indicator(violations: Tensor, kept: Tensor | None, margin: float, _: LossSettings) -> Tensor:
    """log of the sum of exp(v) over the active negatives, 0 if none is active."""
    return _log_sum_exp(violations, _and(violations.detach() > 0, kept), margin)


def expm1(violations: Tensor, kept: Tensor | None, _margin: float, _: LossSettings) -> Tensor:
    """log(1 + sum of (exp(relu v) - 1)): logsumexp without its floor."""
    # torch.expm1 costs ten times as much; what exp - 1 loses, at most 6e-8 for an active negative, is no matter here.
    return _sum(violations.relu().exp() - 1, kept).log1p()


def softplus(violations: Tensor, kept: Tensor | None, _margin: float, settings: LossSettings) -> Tensor:
    """Mean softplus(v / softplus_tau)."""
    # torch replaces softplus(x) by x above a threshold; at its default of 20 that is 2e-9 off.
    values = functional.softplus(violations / settings.softplus_tau, threshold=50.0)
    return values.mean(-1) if kept is None else _sum(values, kept) / count(kept).clamp_min(1)


def topk(violations: Tensor, kept: Tensor | None, margin: float, settings: LossSettings) -> Tensor:
    """logsumexp over the `topk` largest violations of the row, or over all kept ones if there are fewer."""
    if settings.topk < violations.shape[-1]:
        values = violations.detach()
        candidates = values if kept is None else torch.where(kept, values, -torch.inf)
        kept = _and(largest(candidates, settings.topk), kept)
    return _log_sum_exp(violations.relu(), kept, margin)


def active_mean(violations: Tensor, kept: Tensor | None, _margin: float, _: LossSettings) -> Tensor:
    """Mean v over the active negatives, 0 if none is active."""
    active = _and(violations.detach() > 0, kept)
    return _sum(violations, active) / count(active).clamp_min(1)


PENALTIES: dict[Formulation, Penalty] = {
    Formulation.logsumexp: logsumexp,
    Formulation.indicator: indicator,
    Formulation.expm1: expm1,
    Formulation.softplus: softplus,
    Formulation.topk: topk,
    Formulation.active_mean: active_mean,
}


def count(mask: Tensor) -> Tensor:
    """Number of True in each row of a mask [..., K]: int32 [...].

    The default of int64 would make a copy of the mask of twice the size of the similarities.
    """
    return mask.sum(-1, dtype=torch.int32)


def _and(mask: Tensor, kept: Tensor | None) -> Tensor:
    return mask if kept is None else mask & kept


def _sum(values: Tensor, mask: Tensor | None) -> Tensor:
    return values.sum(-1) if mask is None else (values * mask).sum(-1)


def _log_sum_exp(values: Tensor, mask: Tensor | None, margin: float) -> Tensor:
    """log sum exp over the mask, 0 where the mask is empty.

    `values` lie in [margin - 2, max(margin, 0)], so a constant shift is as stable as the maximum and cheaper.
    """
    shift = max(margin, 0.0)
    total = _sum((values - shift).exp_(), mask)  # in place: one matrix less at the peak
    if mask is None:
        return total.log() + shift
    # The log of an empty sum would send inf * 0 = NaN backwards even where the result is not used.
    some = mask.any(-1)
    return torch.where(some, torch.where(some, total, 1.0).log() + shift, 0.0)
