from dataclasses import replace

import pytest
import torch

from cil.config.schema import Formulation, LossConfig, Negatives, Reference
from cil.errors import ConfigError
from cil.losses.base import make_loss
from cil.losses.nce import info_nce
from cil.losses.similarity import cosine_matrix
from tests.losses.batches import batch


def test_measures_what_ant_would_but_trains_without_it():
    anchors, columns = batch(6)
    cfg = LossConfig(name="infonce", negatives=Negatives.all, reference=Reference["global"])
    output = make_loss(cfg)(anchors, columns, 0.3)
    output.loss.backward()
    gradient = anchors.grad
    wanted = make_loss(replace(cfg, name="ant", ant_beta=0.0))(anchors, columns, 0.3)
    assert output.stats.keys() == wanted.stats.keys()
    for name, stat in wanted.stats.items():
        assert torch.equal(output.stats[name].value, stat.value), name
    assert gradient is not None
    anchors.grad = None
    info_nce(cosine_matrix(anchors, columns), 0.2).backward()
    assert torch.equal(gradient, anchors.grad)


@pytest.mark.parametrize("change", [{"formulation": Formulation.topk}, {"gap_beta": 9.0}, {"ant_beta": 9.0}])
def test_keys_of_ant_change_nothing_that_is_trained(change):
    anchors, columns = batch(6)
    loss = make_loss(LossConfig(name="infonce"))(anchors, columns, 0.3).loss
    assert torch.equal(make_loss(LossConfig(name="infonce", **change))(anchors, columns, 0.5).loss, loss)


def test_the_weight_scales_the_loss_and_may_not_be_zero():
    anchors, columns = batch(6)
    output = make_loss(LossConfig(name="infonce", nce_alpha=0.5))(anchors, columns, 0.3)
    assert float(output.loss.detach()) == 0.5 * float(output.stats["nce"].value)
    with pytest.raises(ConfigError, match=r"loss\.nce_alpha"):
        make_loss(LossConfig(name="infonce", nce_alpha=0.0))
