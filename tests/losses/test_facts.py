"""What docs/losses.md says about ANT and InfoNCE, as tests."""

import math

import pytest
import torch

from cil.config.schema import Formulation, LossConfig, Reference
from cil.losses.base import make_loss
from cil.losses.nce import info_nce
from cil.losses.settings import LossSettings
from cil.losses.similarity import cosine_matrix, split_pairs
from cil.losses.violations import ant_term
from tests.losses.batches import EVERY_FORM, ant_only, batch


def negatives_gradient(cfg: LossConfig, margin: float = 0.4) -> tuple[torch.Tensor, torch.Tensor]:
    """A block of negatives, and the gradient of ANT over it."""
    assert cfg.negatives is not None
    pairs = split_pairs(cosine_matrix(*batch(8, seed=1)), cfg.negatives).detach()
    negatives = pairs.negatives.requires_grad_()
    ant_term(negatives, margin, LossSettings.of(cfg)).value.backward()
    assert negatives.grad is not None
    return negatives.detach(), negatives.grad


@pytest.mark.parametrize(("negatives", "reference", "formulation"), EVERY_FORM)
def test_with_reference_grad_the_gradient_over_similarities_sums_to_zero(negatives, reference, formulation):
    form = {"negatives": negatives, "reference": reference, "formulation": formulation, "topk": 3}
    _, gradient = negatives_gradient(ant_only(**form))
    sums = gradient.sum((1, 2) if reference is Reference["global"] else 2)
    assert gradient.abs().max() > 1e-3
    assert sums.abs().max() < 1e-12
    _, without = negatives_gradient(ant_only(**form, reference_grad=False))
    assert (without >= 0).all()
    assert without.sum() > 1e-3


def test_with_reference_grad_the_hardest_negative_is_raised_and_the_other_active_ones_lowered():
    negatives, gradient = negatives_gradient(ant_only())
    hardest = negatives == negatives.amax(-1, keepdim=True)
    other = (negatives > negatives.amax(-1, keepdim=True) - 0.4) & ~hardest
    rows = other.any(-1)
    assert rows.any()
    assert (gradient[hardest].view_as(rows)[rows] < 0).all()
    assert (gradient[other] > 0).all()


@pytest.mark.parametrize("margin", [0.01, 0.1, 0.5])
def test_the_violation_rate_never_falls_under_one_in_k(margin):
    rows = torch.eye(6, 12).repeat(2, 1) + 0.001 * torch.randn(12, 12, generator=torch.Generator().manual_seed(1))
    stats = make_loss(ant_only())(rows, rows, margin).stats
    assert float(stats["violation_rate"].value) >= 1 / 5 - 1e-6


def test_logsumexp_has_a_floor_of_log_k_and_expm1_has_none():
    """The reference counted the diagonal as well: log 128 = 4.85 for a batch of 128."""
    rows = torch.eye(128).repeat(2, 1)
    value = {form: float(make_loss(ant_only(formulation=form))(rows, rows, 0.0).loss) for form in Formulation}
    assert value[Formulation.logsumexp] == pytest.approx(math.log(127), abs=1e-5)
    assert value[Formulation.expm1] == 0


def test_a_constant_for_each_row_changes_nothing_in_infonce():
    """ "Local" normalisation subtracts a row's maximum or mean: it cancels in the softmax of that row."""
    stream = torch.Generator().manual_seed(0)
    plain = torch.randn(12, 12, generator=stream, dtype=torch.float64).requires_grad_()
    shifted = plain.detach().clone().requires_grad_()
    info_nce(plain, 0.2).backward()
    loss = info_nce(shifted - shifted.amax(1, keepdim=True) + torch.randn(12, 1, generator=stream).double(), 0.2)
    loss.backward()
    assert plain.grad is not None
    assert shifted.grad is not None
    assert float(loss.detach()) == pytest.approx(float(info_nce(plain, 0.2).detach()), abs=1e-12)
    assert (plain.grad - shifted.grad).abs().max() < 1e-12


def test_a_gap_above_the_target_makes_the_gap_term_inactive():
    rows = torch.eye(6, 12, dtype=torch.float64).repeat(2, 1).requires_grad_()
    output = make_loss(ant_only(ant_term=False, gap_beta=1.0, gap_target=0.7))(rows, rows, 0.1)
    output.loss.backward()
    assert float(output.stats["gap"].value) == pytest.approx(1.0)
    assert float(output.loss.detach()) == 0
    assert rows.grad is not None
    assert not rows.grad.any()
