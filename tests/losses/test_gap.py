import pytest
import torch

from cil.config.schema import Negatives
from cil.losses.gap import gap_term, mean_gap
from cil.losses.similarity import cosine_matrix, split_pairs
from tests.losses.batches import batch


@pytest.mark.parametrize("negatives", Negatives)
def test_gap_is_the_difference_of_the_means(negatives):
    similarity = cosine_matrix(*batch(5))
    pairs = split_pairs(similarity, negatives)
    gap = float(mean_gap(pairs).detach())
    assert gap == pytest.approx(float((similarity.diagonal(5).mean() - pairs.negatives.mean()).detach()))
    assert float(gap_term(pairs, gap + 0.25).detach()) == pytest.approx(0.25)
    assert float(gap_term(pairs, gap - 0.25).detach()) == 0


def test_gradient_widens_the_gap():
    similarity = cosine_matrix(*batch(3)).detach().requires_grad_()
    gap_term(split_pairs(similarity, Negatives.first_view), 5.0).backward()
    wanted = torch.zeros(6, 6, dtype=torch.float64)
    wanted[:3, :3] = 1 / 6
    wanted.fill_diagonal_(0)
    wanted.diagonal(3).fill_(-1 / 3)
    assert similarity.grad is not None
    assert torch.allclose(similarity.grad, wanted)
