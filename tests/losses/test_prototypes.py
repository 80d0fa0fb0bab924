"""Prototypes of old classes in the contrastive loss, against plain loops."""

import math
from dataclasses import replace
from statistics import mean

import pytest
import torch

from cil.config.schema import LossConfig, Prototypes
from cil.losses.base import make_loss
from tests.losses.batches import batch
from tests.losses.naive import cosines

LABELS = torch.tensor([0, 4, 2, 5])
OLD = 3


def prototypes() -> torch.Tensor:
    return torch.randn(OLD, 8, generator=torch.Generator().manual_seed(7), dtype=torch.float64)


def others(anchors: torch.Tensor) -> list[list[float]]:
    """Similarities of each row to the prototypes of classes that are not its own."""
    rows = cosines(anchors, prototypes())
    return [[s for c, s in enumerate(row) if c != LABELS[i % 4]] for i, row in enumerate(rows)]


@pytest.mark.parametrize("name", ["infonce", "ant"])
def test_negatives_join_the_sum_of_infonce(name: str):
    anchors, columns = batch(4)
    cfg = LossConfig(name=name, prototypes=Prototypes.negatives)

    output = make_loss(cfg)(anchors, columns, 0.3, LABELS, prototypes())

    sims, far = cosines(anchors, columns), others(anchors)
    losses = []
    for i in range(8):
        all_negatives = [sims[i][j] for j in range(8) if j != i] + far[i]
        losses.append(math.log(sum(math.exp(s / 0.2) for s in all_negatives)) - sims[i][(i + 4) % 8] / 0.2)
    assert output.parts["nce"].item() == pytest.approx(mean(losses))
    plain = make_loss(replace(cfg, prototypes=Prototypes.none))(anchors, columns, 0.3, LABELS)
    assert output.loss.item() - output.parts["nce"].item() == pytest.approx(
        plain.loss.item() - plain.parts["nce"].item()
    )


@pytest.mark.parametrize("name", ["infonce", "ant"])
def test_repelling_is_the_mean_excess_over_delta(name: str):
    anchors, columns = batch(4)
    cfg = LossConfig(name=name, prototypes=Prototypes.repel, prototype_weight=0.5, prototype_delta=0.1)

    output = make_loss(cfg)(anchors, columns, 0.3, LABELS, prototypes())

    excess = [max(0.0, s - 0.1) for row in others(anchors) for s in row]
    assert output.parts["repel"].item() == pytest.approx(0.5 * mean(excess))
    plain = make_loss(replace(cfg, prototypes=Prototypes.none))(anchors, columns, 0.3, LABELS)
    assert output.loss.item() == pytest.approx(plain.loss.item() + output.parts["repel"].item())


def test_a_step_down_the_gradient_moves_away_from_other_classes_only():
    anchors, columns = batch(4)
    cfg = LossConfig(name="infonce", prototypes=Prototypes.repel, prototype_delta=-1.0, nce_alpha=1e-12)
    make_loss(cfg)(anchors, columns, 0.3, LABELS, prototypes()).loss.backward()
    moved = (anchors - 0.1 * anchors.grad).detach()
    before, after = others(anchors), others(moved)
    assert all(sum(b) > sum(a) for b, a in zip(before, after, strict=True))


@pytest.mark.parametrize("kind", Prototypes)
@pytest.mark.parametrize("name", ["infonce", "ant"])
def test_without_prototypes_nothing_changes_bit_for_bit(name: str, kind: Prototypes):
    anchors, columns = batch(4)
    plain = make_loss(LossConfig(name=name))(anchors, columns, 0.3, LABELS)
    for none in (None, torch.zeros(0, 8)):
        output = make_loss(LossConfig(name=name, prototypes=kind))(anchors, columns, 0.3, LABELS, none)
        assert torch.equal(output.loss, plain.loss) and output.parts.keys() == plain.parts.keys()


def test_a_batch_of_one_old_class_with_one_prototype_has_no_other():
    anchors, columns = batch(2)
    cfg = LossConfig(name="infonce", prototypes=Prototypes.repel)
    output = make_loss(cfg)(anchors, columns, 0.3, torch.tensor([0, 0]), prototypes()[:1])
    output.loss.backward()
    assert output.parts["repel"] == 0 and anchors.grad.isfinite().all()


def test_prototypes_without_labels_are_refused():
    with pytest.raises(ValueError, match="labels"):
        make_loss(LossConfig())(*batch(4), 0.3, None, prototypes())


@pytest.mark.parametrize(
    "key", [{"prototypes": Prototypes.negatives}, {"prototype_weight": 2.0}, {"prototype_delta": 0.3}]
)
def test_every_key_changes_the_loss(key):
    cfg = LossConfig(prototypes=Prototypes.repel)
    before, after = (make_loss(one)(*batch(4), 0.3, LABELS, prototypes()).loss for one in (cfg, replace(cfg, **key)))
    assert before != after
