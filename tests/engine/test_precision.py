"""Switches of precision are what the configuration says, and losses stay in float32 under autocast."""

import pytest
import torch

from cil.config.methods import available_methods
from cil.config.schema import Precision, TrainerConfig
from cil.engine.precision import autocast, set_reproducibility
from tests.methods.networks import batch, begun


@pytest.fixture(autouse=True)
def _as_it_was():
    yield
    set_reproducibility(TrainerConfig())


@pytest.mark.parametrize("tf32", [True, False])
def test_tf32_is_what_the_key_says_whatever_was_set_before(tf32):
    set_reproducibility(TrainerConfig(tf32=not tf32))
    set_reproducibility(TrainerConfig(tf32=tf32))
    expected = "tf32" if tf32 else "ieee"
    assert torch.backends.cuda.matmul.fp32_precision == expected
    assert torch.backends.cudnn.conv.fp32_precision == expected
    assert torch.backends.cudnn.allow_tf32 is tf32


@pytest.mark.parametrize("precision", [Precision.bf16, Precision.fp16])
@pytest.mark.parametrize("name", available_methods())
def test_losses_are_float32_whatever_the_networks_are(name, precision):
    """Their values too: the loss of half-precision outputs is the one that float32 arithmetic makes of them."""
    method = begun(name, 2, 2)
    method.count_images([5] * 4)
    method.begin_epoch(0, 1)
    images, targets = batch(6 * method.views, 2, 4)
    with autocast(precision, torch.device("cpu")):
        outputs = method.network(images)
        found = method.loss(outputs, targets[:6])
    given = [value for value in vars(outputs).values() if isinstance(value, torch.Tensor)]
    assert any(value.dtype != torch.float32 for value in given)
    assert {term.value.dtype for term in found.weighted.values()} == {torch.float32}
    without = method.loss(outputs, targets[:6])
    assert found.terms.keys() == without.terms.keys()
    for term, value in without.terms.items():
        torch.testing.assert_close(found.terms[term], value, rtol=1e-6, atol=1e-6)
