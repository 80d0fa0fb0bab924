"""The statistics of a batch, the same for every loss, always over all negatives of the block.

Everything stays on the device: no function here waits for a result.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from cil.losses.base import Stat
from cil.losses.selection import quantiles
from cil.losses.similarity import Pairs
from cil.losses.violations import AntTerm


@dataclass(frozen=True)
class Terms:
    """The terms of a loss: unweighted InfoNCE, ANT and gap term, and the weighted total; values 0-d."""

    nce: Tensor
    ant: AntTerm
    gap: Tensor
    total: Tensor


def describe(pairs: Pairs, terms: Terms, margin: float) -> dict[str, Stat]:
    """All statistics of a batch by name. `pairs` carries no gradient; values come out detached.

    A value is weighted by B, except violation_rate (by negatives) and violation_mean (by active negatives), and
    except values that the batch has no data for (weight 0).
    """
    batch = len(pairs.positives) // 2
    values = {
        "nce": terms.nce.detach(),
        "ant": terms.ant.value.detach(),
        "gap_loss": terms.gap.detach(),
        "total": terms.total.detach(),
        "margin": pairs.positives.new_full((), margin),
    }
    stats = {name: Stat(value, batch) for name, value in values.items()}
    positives = pairs.positives[:batch]
    stats |= _moments("pos", positives, batch)
    stats |= _moments("neg", pairs.negatives, batch)
    gap = stats["pos_mean"].value - stats["neg_mean"].value
    above_floor = terms.ant.value.detach() - terms.ant.floor
    weight = batch if pairs.negatives.numel() else 0
    stats |= {"gap": Stat(gap, weight), "ant_above_floor": Stat(above_floor, weight)}
    stats |= _hardness(pairs, weight)
    stats |= _violations(terms.ant.violations, batch)
    if terms.ant.kept is not None:
        stats |= _kept(pairs.negatives, terms.ant.violations, terms.ant.kept, batch)
    return stats


def _moments(name: str, values: Tensor, batch: int) -> dict[str, Stat]:
    """Mean and Bessel-corrected deviation of all `values`."""
    count = values.numel()
    mean = values.mean() if count else values.sum()
    std = torch.linalg.vector_norm(values - mean) / math.sqrt(max(count - 1, 1))
    return {f"{name}_mean": Stat(mean, batch if count else 0), f"{name}_std": Stat(std, batch if count > 1 else 0)}


def _hardness(pairs: Pairs, weight: int) -> dict[str, Stat]:
    """The largest negative of each anchor, and how far its positive lies above it."""
    names = ("hard_negative_similarity", "hard_gap", "hard_gap_min")
    if weight == 0:
        return _without_data(names, pairs.positives)
    hardest = pairs.negatives.amax(-1).flatten()
    gaps = pairs.positives[: len(hardest)] - hardest
    return {name: Stat(value, weight) for name, value in zip(names, (hardest.mean(), *_mean_min(gaps)), strict=True)}


def _mean_min(values: Tensor) -> tuple[Tensor, Tensor]:
    return values.mean(), values.amin()


def _violations(violations: Tensor, batch: int) -> dict[str, Stat]:
    """Share, number and size of the violations [G, A, K]."""
    count = violations.numel()
    if count == 0:
        names = ("violation_rate", "violation_mean", "active_count", "v_p90", "v_p95")
        return _without_data(names, violations)
    active = (violations > 0).sum()
    share = active.to(violations.dtype) / count
    p90, p95 = quantiles(violations, (0.9, 0.95))
    return {
        "violation_rate": Stat(share, count),
        "violation_mean": Stat(violations.relu().sum() / active.clamp_min(1), active),
        "active_count": Stat(share * violations.shape[-1], batch),
        "v_p90": Stat(p90, batch),
        "v_p95": Stat(p95, batch),
    }


def _kept(negatives: Tensor, violations: Tensor, kept: Tensor, batch: int) -> dict[str, Stat]:
    """Share of violations and mean similarity of the kept negatives; at least one is always kept."""
    count = kept.sum()
    return {
        "kept_violation_rate": Stat((kept & (violations > 0)).sum().to(negatives.dtype) / count, batch),
        "kept_neg_mean": Stat((negatives * kept).sum() / count, batch),
    }


def _without_data(names: tuple[str, ...], like: Tensor) -> dict[str, Stat]:
    nothing = like.new_zeros(())
    return dict.fromkeys(names, Stat(nothing, 0))
