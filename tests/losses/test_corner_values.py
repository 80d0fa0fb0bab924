"""Batches at the edge: one image, two images, zero or equal rows, nothing active, half precision."""

import math
from dataclasses import replace

import pytest
import torch

from cil.config.schema import Formulation, LossConfig, Negatives, Reference
from cil.losses.base import LossOutput, make_loss
from tests.losses.batches import EVERY_BLOCK, EVERY_FORM, ant_only, batch

FULL = LossConfig(gap_beta=0.5, gap_target=1.5, topk=3)
HARD = pytest.mark.parametrize("ratio", [None, 0.3])
FORMS = pytest.mark.parametrize(("negatives", "reference", "formulation"), EVERY_FORM)


def run(cfg: LossConfig, rows: torch.Tensor, margin: float = 0.3) -> tuple[LossOutput, torch.Tensor]:
    rows = rows.detach().clone().requires_grad_()
    output = make_loss(cfg)(rows, rows, margin)
    output.loss.backward()
    assert rows.grad is not None
    assert all(math.isfinite(float(stat.value)) for stat in output.stats.values())
    return output, rows.grad


@HARD
@FORMS
def test_one_image_gives_zero(negatives, reference, formulation, ratio):
    form = {"negatives": negatives, "reference": reference, "formulation": formulation}
    for cfg in (replace(FULL, **form, hard_negative_ratio=ratio), ant_only(**form, hard_negative_ratio=ratio)):
        output, gradient = run(cfg, batch(1)[0])
        assert float(output.loss.detach()) == pytest.approx(0, abs=1e-12)
        assert gradient.abs().max() <= 1e-12
        for name in ("ant", "gap_loss", "nce"):
            assert float(output.stats[name].value) == pytest.approx(0, abs=1e-12)


def test_one_image_leaves_out_what_it_has_no_data_for():
    output, _ = run(FULL, batch(1)[0])
    seen = {name for name, stat in output.stats.items() if float(stat.weight) > 0}
    assert seen == {"nce", "ant", "gap_loss", "total", "margin", "pos_mean"}


def test_two_images_have_one_negative_each():
    output, gradient = run(ant_only(), batch(2)[0], margin=0.25)
    assert float(output.loss.detach()) == pytest.approx(0.25, abs=1e-12)
    assert gradient.abs().max() <= 1e-12
    assert float(output.stats["ant_above_floor"].value) == pytest.approx(0.25, abs=1e-12)
    assert float(output.stats["violation_rate"].value) == 1


@HARD
@FORMS
@pytest.mark.parametrize("zeros", [1, 8])
def test_zero_rows_give_no_gradient_of_their_own_and_none_that_is_huge(negatives, reference, formulation, ratio, zeros):
    rows = batch(4)[0].detach().clone()
    rows[:zeros] = 0
    cfg = replace(FULL, negatives=negatives, reference=reference, formulation=formulation, hard_negative_ratio=ratio)
    _, gradient = run(cfg, rows)
    assert torch.isfinite(gradient).all()
    assert not gradient[:zeros].any()
    assert gradient.abs().max() < 100


@HARD
@FORMS
def test_equal_rows_give_zero_gradient(negatives, reference, formulation, ratio):
    rows = batch(1)[0].detach()[:1].repeat(8, 1)
    cfg = replace(FULL, negatives=negatives, reference=reference, formulation=formulation, hard_negative_ratio=ratio)
    _, gradient = run(cfg, rows)
    assert gradient.abs().max() <= 1e-12


@HARD
@pytest.mark.parametrize(("negatives", "reference"), EVERY_BLOCK)
@pytest.mark.parametrize("formulation", [Formulation.indicator, Formulation.active_mean, Formulation.expm1])
def test_without_any_active_negative(negatives, reference, formulation, ratio):
    """Only a margin of 0 makes that happen: the hardest negative violates by the margin."""
    cfg = ant_only(negatives=negatives, reference=reference, formulation=formulation, hard_negative_ratio=ratio)
    output, gradient = run(cfg, batch(5)[0], margin=0.0)
    assert float(output.loss.detach()) == 0
    assert not gradient.any()
    assert float(output.stats["violation_rate"].value) == 0
    assert float(output.stats["violation_mean"].weight) == 0


def test_margin_zero_leaves_the_floor_of_logsumexp():
    output, _ = run(ant_only(), batch(5)[0], margin=0.0)
    assert float(output.loss.detach()) == pytest.approx(math.log(4), abs=1e-12)
    assert float(output.stats["ant_above_floor"].value) == pytest.approx(0, abs=1e-12)


def test_rows_with_nothing_kept_give_zero():
    """Two anchors close together: with `global` and a small ratio they take the only negatives that are kept."""
    rows = torch.eye(4, 8, dtype=torch.float64)
    rows[1] = rows[0] + 0.1 * rows[1]
    rows = torch.cat([rows, rows])
    for formulation in Formulation:
        form = {"reference": Reference["global"], "formulation": formulation, "hard_negative_ratio": 0.1}
        output, gradient = run(ant_only(**form), rows, margin=0.2)
        assert torch.isfinite(gradient).all()
        # 2 of 12 negatives are kept, one in each of two rows, both of them the reference: v is the margin.
        value = math.log1p(math.exp(2)) if formulation is Formulation.softplus else 0.2
        assert float(output.loss.detach()) == pytest.approx(value / 2, abs=1e-12)


def test_more_than_there_are_is_all():
    rows = batch(5)[0]
    for negatives in Negatives:
        whole, whole_gradient = run(ant_only(negatives=negatives), rows)
        topk, topk_gradient = run(ant_only(negatives=negatives, formulation=Formulation.topk, topk=99), rows)
        assert float(topk.loss.detach()) == float(whole.loss.detach())
        assert torch.equal(topk_gradient, whole_gradient)
        assert float(topk.stats["ant_above_floor"].value) == float(whole.stats["ant_above_floor"].value)


@HARD
@FORMS
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_widened_before_anything_is_computed(negatives, reference, formulation, ratio, dtype):
    rows = batch(6)[0].detach().to(dtype)
    cfg = replace(FULL, negatives=negatives, reference=reference, formulation=formulation, hard_negative_ratio=ratio)
    half, half_gradient = run(cfg, rows)
    wide, wide_gradient = run(cfg, rows.float())
    assert half.loss.dtype == torch.float32
    assert torch.equal(half.loss, wide.loss)
    assert half_gradient.dtype == dtype
    assert torch.equal(half_gradient, wide_gradient.to(dtype))


def test_autocast_changes_nothing():
    rows = batch(6, dtype=torch.float32)[0]
    plain, gradient = run(FULL, rows)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        cast = make_loss(FULL)(rows, rows, 0.3)
    cast.loss.backward()
    assert rows.grad is not None
    assert torch.equal(cast.loss, plain.loss)
    assert torch.equal(rows.grad, gradient)


def test_strides_change_nothing():
    rows = batch(6, dtype=torch.float64)[0].detach()
    scattered = torch.empty(8, 24, dtype=torch.float64).t()[::2].copy_(rows)
    assert not scattered.is_contiguous()
    plain = make_loss(FULL)(rows, rows, 0.3)
    output = make_loss(FULL)(scattered, scattered, 0.3)
    assert float(output.loss.detach()) == pytest.approx(float(plain.loss), abs=1e-12)


def test_deterministic_algorithms_are_enough():
    torch.use_deterministic_algorithms(True)
    try:
        for negatives in Negatives:
            settings = replace(FULL, negatives=negatives, formulation=Formulation.topk, hard_negative_ratio=0.5)
            first, second = (run(settings, batch(6)[0])[1] for _ in range(2))
            assert torch.equal(first, second)
    finally:
        torch.use_deterministic_algorithms(False)


@pytest.mark.parametrize("shapes", [((3, 4), (3, 4)), ((4, 4), (6, 4)), ((0, 4), (0, 4)), ((4,), (4,))])
def test_other_shapes_are_refused(shapes):
    with pytest.raises(ValueError, match=r"expected two \[2B, D\] tensors"):
        make_loss(FULL)(torch.ones(shapes[0]), torch.ones(shapes[1]), 0.3)
