from dataclasses import fields, replace
from itertools import product

import pytest
import torch

from cil.config.schema import Formulation, LossConfig, Negatives, Reference
from cil.errors import ConfigError
from cil.losses.base import LossOutput, make_loss
from cil.losses.settings import LossSettings
from tests.losses.batches import EVERY_BLOCK, EVERY_FORM, ant_only, batch
from tests.losses.naive import Naive

ALL_KEYS = LossConfig(ant_beta=0.7, topk=3, gap_beta=0.5, gap_target=1.2)


def gradients(cfg: LossConfig, images: int = 5, margin: float = 0.3, seed: int = 0) -> tuple[LossOutput, torch.Tensor]:
    anchors, columns = batch(images, seed=seed)
    output = make_loss(cfg)(anchors, columns, margin)
    output.loss.backward()
    assert anchors.grad is not None
    assert columns.grad is not None
    return output, torch.cat([anchors.grad, columns.grad])


@pytest.mark.parametrize("ratio", [None, 0.3, 1.0])
@pytest.mark.parametrize(("negatives", "reference", "formulation"), EVERY_FORM)
def test_every_form_and_statistic_equals_the_plain_loop(negatives, reference, formulation, ratio):
    cfg = replace(
        ALL_KEYS, negatives=negatives, reference=reference, formulation=formulation, hard_negative_ratio=ratio
    )
    for images, margin in ((5, 0.3), (7, 0.6), (2, 0.2)):
        anchors, columns = batch(images, seed=images)
        for other in (columns, anchors):
            output = make_loss(cfg)(anchors, other, margin)
            naive = Naive(anchors, other, margin, LossSettings.of(cfg)).stats()
            assert output.stats.keys() == naive.keys()
            for name, value in naive.items():
                assert float(output.stats[name].value) == pytest.approx(value, abs=1e-10), name
            assert float(output.loss.detach()) == pytest.approx(naive["total"], abs=1e-10)


@pytest.mark.parametrize("ratio", [None, 0.4])
@pytest.mark.parametrize(("negatives", "reference", "formulation"), EVERY_FORM)
def test_every_gradient_equals_finite_differences(negatives, reference, formulation, ratio):
    cfg = replace(
        ALL_KEYS, negatives=negatives, reference=reference, formulation=formulation, hard_negative_ratio=ratio
    )
    loss = make_loss(cfg)
    anchors, columns = batch(4, width=3, seed=4)
    assert torch.autograd.gradcheck(lambda a, c: loss(a, c, 0.37).loss, (anchors, columns), fast_mode=True)


CHANGES = {
    "temperature": {"temperature": 0.5},
    "nce_alpha": {"nce_alpha": 0.5},
    "ant_beta": {"ant_beta": 0.5},
    "ant_term": {"ant_term": False},
    "negatives": {"negatives": Negatives.all},
    "reference": {"reference": Reference["global"]},
    "reference_grad": {"reference_grad": False},
    "formulation": {"formulation": Formulation.expm1},
    "softplus_tau": {"softplus_tau": 0.5},
    "topk": {"topk": 2},
    "hard_negative_ratio": {"hard_negative_ratio": 0.5},
    "gap_beta": {"gap_beta": 1.0},
    "gap_target": {"gap_target": 1.1},
}
NEEDS = {"softplus_tau": {"formulation": Formulation.softplus}, "topk": {"formulation": Formulation.topk}}


ELSEWHERE = {"prototypes", "prototype_weight", "prototype_delta", "chunk_rows"}
"""Tested in tests/losses/test_prototypes.py; and in test_chunks.py, that it changes nothing."""


@pytest.mark.parametrize("key", [f.name for f in fields(LossConfig) if f.name not in {"name", *ELSEWHERE}])
def test_every_key_changes_the_loss_or_its_gradient(key):
    before = replace(ALL_KEYS, **NEEDS.get(key, {}))
    after = replace(before, **CHANGES[key])
    results = [
        torch.cat([output.loss.detach()[None], rows.flatten()]) for output, rows in map(gradients, (before, after))
    ]
    assert not torch.allclose(*results, rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", ["infonce", "ant"])
def test_name_chooses_the_loss(name):
    ant_gradient = gradients(replace(ALL_KEYS, name="ant"))[1]
    assert torch.equal(gradients(replace(ALL_KEYS, name=name))[1], ant_gradient) is (name == "ant")


def test_both_weights_zero_is_refused():
    with pytest.raises(ConfigError, match=r"loss\.nce_alpha and loss\.ant_beta"):
        make_loss(LossConfig(nce_alpha=0.0, ant_beta=0.0))


def test_a_weight_of_zero_keeps_its_term_out_of_the_graph_but_measures_it():
    nce_gradient = gradients(LossConfig(name="infonce"))[1]
    output, without_ant = gradients(LossConfig(ant_beta=0.0))
    assert torch.equal(without_ant, nce_gradient)
    assert float(output.stats["ant"].value) > 0
    output, gap_only = gradients(ant_only(ant_term=False, gap_beta=1.0, gap_target=1.5))
    assert float(output.stats["nce"].value) > 0
    assert float(output.loss.detach()) == float(output.stats["gap_loss"].value)
    assert gap_only.abs().max() > 0


def test_a_weight_of_zero_hides_an_infinite_term(monkeypatch):
    for module in ("ant", "statistics"):
        monkeypatch.setattr(f"cil.losses.{module}.info_nce", lambda similarity, *_, **__: similarity.sum() * torch.inf)
    output, gradient = gradients(ant_only())
    assert torch.isfinite(output.loss)
    assert torch.isfinite(gradient).all()
    assert not torch.isfinite(output.stats["nce"].value)


def test_a_bracket_without_any_term_gives_zero_loss_and_gradient():
    output, gradient = gradients(ant_only(ant_term=False, gap_beta=0.0))
    assert float(output.loss.detach()) == 0
    assert not gradient.any()


@pytest.mark.parametrize(("negatives", "reference"), EVERY_BLOCK)
def test_the_active_share_rises_with_the_margin(negatives, reference):
    loss = make_loss(ant_only(negatives=negatives, reference=reference))
    anchors, columns = batch(16, seed=3)
    rates = [
        float(loss(anchors, columns, margin).stats["violation_rate"].value) for margin in (0.0, 0.1, 0.3, 0.5, 1.0, 2.1)
    ]
    assert rates == sorted(rates)
    assert len(set(rates)) == len(rates)
    assert rates[0] == 0
    assert rates[-1] == 1


def test_settings_of_none_mean_the_defaults_of_the_schema():
    empty = LossConfig(**dict.fromkeys([field.name for field in fields(LossConfig)]) | {"name": "ant"})  # type: ignore[arg-type]
    assert torch.equal(gradients(empty)[1], gradients(LossConfig())[1])


def test_inputs_are_left_alone_and_no_random_number_is_drawn():
    state = torch.get_rng_state()
    for negatives, formulation in product(Negatives, Formulation):
        anchors, columns = batch(5)
        copies = anchors.detach().clone(), columns.detach().clone()
        cfg = replace(ALL_KEYS, negatives=negatives, formulation=formulation, hard_negative_ratio=0.5)
        output = make_loss(cfg)(anchors, columns, 0.3)
        output.loss.backward()
        assert torch.equal(anchors, copies[0])
        assert torch.equal(columns, copies[1])
        assert not any(stat.value.requires_grad for stat in output.stats.values())
    assert torch.equal(torch.get_rng_state(), state)


def test_no_gradient_is_needed():
    anchors, columns = batch(5)
    with torch.no_grad():
        quiet = make_loss(ALL_KEYS)(anchors, columns, 0.3)
    assert not quiet.loss.requires_grad
    assert float(quiet.loss) == float(make_loss(ALL_KEYS)(anchors, columns, 0.3).loss.detach())


def test_columns_without_gradient_get_none():
    anchors, columns = batch(5)
    make_loss(ALL_KEYS)(anchors, columns.detach(), 0.3).loss.backward()
    assert anchors.grad is not None
    assert anchors.grad.any()
    assert columns.grad is None
