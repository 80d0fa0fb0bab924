"""What every form of ANT does with the same similarities: all eight operators, side by side.

An operator is which negatives (first_view, all), what they are compared with (their anchor's largest, or the largest
of all: global), and whether gradient flows through that reference (connected) or not (detached). Values and active
negatives of the connected and the detached form are equal; only their gradients differ.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from cil.config.schema import Negatives, Reference
from cil.losses.nce import info_nce
from cil.losses.settings import LossSettings
from cil.losses.similarity import same_class, split_pairs
from cil.losses.violations import ant_term

Figures = dict[str, Tensor]
"""0-d tensors by name; NaN where the batch has no data."""


@dataclass(frozen=True)
class Operator:
    """One form of ANT."""

    negatives: Negatives
    reference: Reference

    @property
    def name(self) -> str:
        """E.g. first_anchor; its detached form has `_detached` behind it."""
        return f"{'first' if self.negatives is Negatives.first_view else self.negatives.name}_{self.reference.name}"


OPERATORS = tuple(Operator(n, r) for n in (Negatives.first_view, Negatives.all) for r in Reference)


def matrix_figures(similarity: Tensor, labels: Tensor, margin: float, settings: LossSettings) -> Figures:
    """All figures of a matrix of similarities [2B, 2B] and the labels [B] of its images, without gradient.

    Of the matrix: `positive_probability`, the mean softmax probability of the positive (as in InfoNCE);
    `negatives_above_positive`, the share of all negatives that lie above their anchor's positive; `own_class_share`,
    the share of all negatives that have their anchor's own class. Of the run's own loss: `ant_above_floor`.
    And those of `operator_figures`, as OPERATOR/NAME.
    """
    similarity = similarity.detach()
    logits = (similarity / settings.temperature).fill_diagonal_(-torch.inf)
    pairs = split_pairs(similarity, Negatives.all)
    own = ant_term(split_pairs(similarity, settings.negatives).negatives, margin, settings)
    figures = {
        "positive_probability": (pairs.positives / settings.temperature - logits.logsumexp(1)).exp().mean(),
        "negatives_above_positive": (pairs.negatives[0] > pairs.positives[:, None]).float().mean(),
        "own_class_share": same_class(labels, Negatives.all).float().mean(),
        "ant_above_floor": own.value - own.floor,
    }
    operators = operator_figures(similarity, labels, margin, settings)
    return figures | {f"{name}/{figure}": v for name, values in operators.items() for figure, v in values.items()}


def operator_figures(similarity: Tensor, labels: Tensor, margin: float, settings: LossSettings) -> dict[str, Figures]:
    """Operator -> figures, of a matrix [2B, 2B] and the labels [B] of its images.

    What a connected operator and its detached form share stands with the connected one alone: `active_share` of its
    negatives; `false_negative_share`, of the active, those of the anchor's own class, and `enrichment`, how many times
    their share of all its negatives that is; `own_class_reference`, of the
    references, those of the anchor's own class; `detached_norm`, the norm of the detached gradient over that of the
    connected one, over all entries of the matrix.
    Each has: `reference_raised` and `reference_lowered`, of the references, those whose similarity a step down the
    gradient raises, or lowers; `cosine_nce`, between its gradient and InfoNCE's, over all entries of the matrix.

    settings: the run's; formulation, temperature and hard negatives are used, its own operator is not.
    """
    leaf = similarity.detach().requires_grad_()
    nce = torch.autograd.grad(info_nce(leaf, settings.temperature), leaf)[0]
    found: dict[str, Figures] = {}
    for operator in OPERATORS:
        mine = replace(settings, negatives=operator.negatives, reference=operator.reference)
        gradients = {}
        for connected in (True, False):
            pairs = split_pairs(leaf, mine.negatives)
            term = ant_term(pairs.negatives, margin, replace(mine, reference_grad=connected))
            gradients[connected] = torch.autograd.grad(term.value, leaf)[0]
            name = operator.name + ("" if connected else "_detached")
            found[name] = _at_the_reference(pairs.negatives.detach(), gradients[connected], mine)
            found[name]["cosine_nce"] = _cosine(gradients[connected], nce)
        same, active = same_class(labels, mine.negatives), term.violations > 0
        count = active.sum()
        found[operator.name] |= {
            "active_share": active.float().mean(),
            "false_negative_share": (active & same).sum() / count,
            "enrichment": (active & same).sum() / count / same.float().mean(),
            "own_class_reference": _of_references(same.float(), pairs.negatives.detach(), mine.reference).mean(),
            "detached_norm": gradients[False].norm() / gradients[True].norm(),
        }
    return found


def _at_the_reference(negatives: Tensor, gradient: Tensor, settings: LossSettings) -> Figures:
    """Which way a step down the gradient [2B, 2B] moves the references of the block [G, A, K]."""
    block = split_pairs(gradient, settings.negatives).negatives
    at = _of_references(block, negatives, settings.reference)
    return {"reference_raised": (at < 0).float().mean(), "reference_lowered": (at > 0).float().mean()}


def _of_references(values: Tensor, negatives: Tensor, reference: Reference) -> Tensor:
    """What stands in `values` [G, A, K] at the reference of each anchor, or of each block (global)."""
    if not negatives.numel():
        return values.flatten()
    if reference is Reference.anchor:
        return values.gather(-1, negatives.argmax(-1, keepdim=True)).flatten()
    return values.flatten(1).gather(-1, negatives.flatten(1).argmax(-1, keepdim=True)).flatten()


def _cosine(a: Tensor, b: Tensor) -> Tensor:
    return (a * b).sum() / (a.norm() * b.norm())
