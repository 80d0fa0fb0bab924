import pytest
import torch

from cil.losses.nce import info_nce
from cil.losses.similarity import cosine_matrix
from tests.losses.batches import batch
from tests.losses.naive import cosines, nce


@pytest.mark.parametrize("images", [1, 2, 5])
@pytest.mark.parametrize("temperature", [0.1, 1.0])
def test_equals_the_plain_loop(images, temperature):
    anchors, columns = batch(images, seed=images)
    value = info_nce(cosine_matrix(anchors, columns), temperature)
    assert float(value.detach()) == pytest.approx(nce(cosines(anchors, columns), temperature), abs=1e-12)


def test_gradient_equals_finite_differences():
    similarity = cosine_matrix(*batch(4, seed=2)).detach().requires_grad_()
    assert torch.autograd.gradcheck(lambda s: info_nce(s, 0.2), (similarity,))


def test_the_matrix_is_left_alone():
    similarity = cosine_matrix(*batch(4)).detach()
    copy = similarity.clone()
    info_nce(similarity, 0.2)
    assert torch.equal(similarity, copy)
