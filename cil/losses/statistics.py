"""The statistics of a batch, the same for every loss, always over all negatives of the block.

Everything stays on the device: no function here waits for a result.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from cil.losses.gap import gap_term
from cil.losses.nce import info_nce
from cil.losses.selection import quantiles
from cil.losses.settings import LossSettings
from cil.losses.similarity import Comparison, Pairs, same_class
from cil.losses.violations import AntTerm, ant_term

TAIL = (0.9, 0.95)
"""The quantiles of the violations that are measured: v_p90, v_p95."""
EPOCH_MINIMUM = frozenset({"hard_gap_min"})
"""Statistics whose epoch value is the minimum over batches; every other one is a weighted mean."""


@dataclass(frozen=True)
class Stat:
    """One statistic of one batch. Its epoch value is sum(value * weight) / sum(weight), see EPOCH_MINIMUM.

    value: 0-d tensor without gradient, on the device of the batch.
    weight: number or 0-d tensor; 0 if the batch has no data for the statistic (the value is then ignored).
    """

    value: Tensor
    weight: float | Tensor


@dataclass(frozen=True)
class Terms:
    """What a formula returns.

    parts: the weighted terms, by name, 0-d, with gradient; the loss is their sum.
    nce, ant, gap: the unweighted InfoNCE, ANT and gap term, if the formula has computed them, so that `measure` need
    not do it again; otherwise None.
    """

    parts: dict[str, Tensor]
    nce: Tensor | None = None
    ant: AntTerm | None = None
    gap: Tensor | None = None

    def total(self, compared: Comparison) -> Tensor:
        """The loss of what was compared, 0-d."""
        if not self.parts:
            # A formula all of whose weights are 0: the loss is 0, but can still be differentiated.
            return 0.0 * compared.similarity.sum()
        return torch.stack(list(self.parts.values())).sum()


def measure(compared: Comparison, terms: Terms, loss: Tensor, settings: LossSettings) -> dict[str, Stat]:
    """All statistics of a batch by name, without gradient; without labels there is no false_negative_share.

    A value is weighted by B, except violation_rate and negatives_above_positive (by negatives), violation_mean and
    false_negative_share (by active negatives), and except values that the batch has no data for (weight 0).
    So do the values of chunks of its anchors (cil/losses/chunks.py), of all of which the quantiles are known.
    """
    with torch.no_grad():
        pairs, margin, whole = compared.pairs.detach(), compared.margin, compared.whole
        batch = len(pairs.positives) // 2
        matrix, temperature = compared.similarity, settings.temperature
        nce = info_nce(matrix, temperature, first=compared.first) if terms.nce is None else terms.nce
        ant = ant_term(pairs.negatives, margin, settings, whole) if terms.ant is None else terms.ant
        gap_loss = gap_term(pairs, settings.gap_target, whole) if terms.gap is None else terms.gap
        values = {
            "nce": nce.detach(),
            "ant": ant.value.detach(),
            "gap_loss": gap_loss.detach(),
            "total": loss.detach(),
            "margin": pairs.positives.new_full((), margin),
        }
        stats = {name: Stat(value, batch) for name, value in values.items()}
        stats |= _moments("pos", pairs.positives[:batch], batch)
        stats |= _moments("neg", pairs.negatives, batch)
        gap = stats["pos_mean"].value - stats["neg_mean"].value
        weight = batch if pairs.negatives.numel() else 0
        stats |= {"gap": Stat(gap, weight), "ant_above_floor": Stat(values["ant"] - ant.floor, weight)}
        stats |= _hardness(pairs, weight)
        stats |= _violations(ant.violations, batch, None if whole is None else whole.tail)
        stats["negatives_above_positive"] = _above_positive(pairs)
        if compared.labels is not None:
            same = same_class(compared.labels, settings.negatives, compared.first, batch)
            stats["false_negative_share"] = _false_negatives(ant.violations > 0, same)
        if ant.kept is not None:
            known = None if whole is None or whole.hardest is None else whole.hardest.count * compared.share
            stats |= _kept(pairs.negatives, ant, batch, known)
        return stats


def weights_of(stats: list[Stat], device: torch.device) -> Tensor:
    """The weights of `stats` as one float64 tensor. Numbers travel in one copy that nothing waits for."""
    numbers = [0.0 if isinstance(stat.weight, Tensor) else float(stat.weight) for stat in stats]
    weights = torch.tensor(numbers, dtype=torch.float64).to(device, non_blocking=True)
    for index, stat in enumerate(stats):
        if isinstance(stat.weight, Tensor):
            weights[index] = stat.weight.detach()
    return weights


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


def _violations(violations: Tensor, batch: int, tail: tuple[Tensor, Tensor] | None) -> dict[str, Stat]:
    """Share, number and size of the violations [G, A, K]; tail: the two quantiles, where they are known already."""
    count = violations.numel()
    if count == 0:
        names = ("violation_rate", "violation_mean", "active_count", "v_p90", "v_p95")
        return _without_data(names, violations)
    active = torch.count_nonzero(violations > 0)  # unlike .sum(), makes no int64 copy of the mask
    share = active.to(violations.dtype) / count
    p90, p95 = quantiles(violations, TAIL) if tail is None else tail
    return {
        "violation_rate": Stat(share, count),
        "violation_mean": Stat(violations.relu().sum() / active.clamp_min(1), active),
        "active_count": Stat(share * violations.shape[-1], batch),
        "v_p90": Stat(p90, batch),
        "v_p95": Stat(p95, batch),
    }


def _above_positive(pairs: Pairs) -> Stat:
    """Share of the negatives that are more similar to their anchor than its positive is."""
    groups, anchors, _ = pairs.negatives.shape
    above = pairs.negatives > pairs.positives[: groups * anchors].view(groups, anchors, 1)
    count = pairs.negatives.numel()
    return Stat(torch.count_nonzero(above).to(pairs.positives.dtype) / max(count, 1), count)


def _false_negatives(active: Tensor, same: Tensor) -> Stat:
    """Share of the active negatives [G, A, K] that are images of the anchor's own class."""
    count = torch.count_nonzero(active)
    return Stat(torch.count_nonzero(active & same) / count.clamp_min(1), count)


def _kept(negatives: Tensor, ant: AntTerm, batch: int, known: float | None) -> dict[str, Stat]:
    """Share of violations and mean similarity of the kept negatives; at least one is always kept.

    known: of a chunk of anchors, how many would be kept if every chunk kept as many.
    """
    kept = ant.kept
    assert kept is not None
    count = torch.count_nonzero(kept) if known is None else known
    violating = torch.count_nonzero(kept & (ant.violations > 0)).to(negatives.dtype)
    return {
        "kept_violation_rate": Stat(violating / count, batch),
        "kept_neg_mean": Stat((negatives * kept).sum() / count, batch),
    }


def _without_data(names: tuple[str, ...], like: Tensor) -> dict[str, Stat]:
    nothing = like.new_zeros(())
    return dict.fromkeys(names, Stat(nothing, 0))
