import math

import pytest
import torch

from cil.config.schema import Reference
from cil.losses.hard_negatives import keep_hardest


def block(groups: int = 2, anchors: int = 5, count: int = 10) -> torch.Tensor:
    return torch.rand(groups, anchors, count, generator=torch.Generator().manual_seed(2), dtype=torch.float64)


@pytest.mark.parametrize(("ratio", "kept"), [(0.01, 1), (0.1, 1), (0.3, 3), (0.31, 4), (1.0, 10)])
def test_anchor_keeps_the_share_of_each_row(ratio, kept):
    values = block()
    mask = keep_hardest(values, ratio, Reference.anchor)
    assert (mask.sum(-1) == kept).all()
    least = torch.where(mask, values, torch.inf).amin(-1)
    assert (least >= torch.where(mask, -torch.inf, values).amax(-1)).all()


@pytest.mark.parametrize("ratio", [0.01, 0.3, 0.31])
def test_global_keeps_the_share_of_each_group(ratio):
    values = block()
    mask = keep_hardest(values, ratio, Reference["global"])
    assert (mask.sum((1, 2)) == max(1, math.ceil(ratio * 50 - 1e-9))).all()
    least = torch.where(mask, values, torch.inf).amin((1, 2))
    assert (least >= torch.where(mask, -torch.inf, values).amax((1, 2))).all()
    assert len(set(mask.sum(-1).flatten().tolist())) > 1
