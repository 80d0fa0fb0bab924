"""Collisions of new classes with old ones: hand-computed, and as a run records them."""

import math

import numpy as np
import pytest
import torch

from cil.engine.collision import class_prototypes, collision
from tests.engine.test_loop import assert_equal_weights, train, untimed


def at(*degrees: float) -> torch.Tensor:
    return torch.tensor([[math.cos(math.radians(d)), math.sin(math.radians(d))] for d in degrees])


def test_prototypes_are_mean_directions():
    embeddings = torch.cat([3 * at(0), at(90), 0.1 * at(30)])
    found = class_prototypes(embeddings, [2, 1])
    torch.testing.assert_close(found, at(45, 30))


def test_a_hand_computed_case():
    # Old classes at 0 and 90 degrees; new ones at 10 (near the first) and 60 (near the second).
    prototypes = at(0, 90, 10, 60)
    confusion = np.array([[8, 0, 2, 0], [0, 9, 0, 1], [4, 0, 6, 0], [0, 2, 0, 8]])

    found = collision(prototypes, 2, confusion)

    near = [math.cos(math.radians(10)), math.cos(math.radians(30))]
    assert found["collision/max_cosine"] == pytest.approx(sum(near) / 2)
    assert found["collision/largest"] == pytest.approx(near[0])
    assert found["collision/nearest_confusion"] == pytest.approx(((40 + 20) / 2 + (20 + 10) / 2) / 2)
    assert found["collision/other_confusion"] == 0
    assert [(c["new"], c["old"], c["confusion"]) for c in found["collisions"]] == [(2, 0, 30.0), (3, 1, 15.0)]
    # Cosines .985 .174 .5 .866 with confusions 30 0 0 15: ranks 4 1 2 3 and 4 1.5 1.5 3.
    assert found["collision/rank_correlation"] == pytest.approx(0.9486832980505138)


def test_the_first_task_has_no_old_classes():
    assert collision(at(0, 90), 0, np.eye(2, dtype=int)) == {}


def test_a_run_records_them_after_every_later_task_and_is_as_without():
    run = train()
    assert "collisions" not in run.observer.tasks[0]
    for record, first in zip(run.observer.tasks[1:], (2, 4), strict=True):
        assert [c["new"] for c in record["collisions"]] == [first, first + 1]
        assert all(0 <= c["old"] < first and -1 <= c["cosine"] <= 1 for c in record["collisions"])
    assert not any("collisions" in r for r in train("memory.size=0").observer.tasks)
    assert not any("collisions" in r for r in train("method=replay").observer.tasks)


@pytest.mark.parametrize("kind", ["negatives", "repel"])
def test_prototypes_change_later_tasks_only(kind: str):
    off, on = train(), train(f"loss.prototypes={kind}")
    first = [untimed(r) for r in off.observer.epochs if r["task"] == 1]
    assert first == [untimed(r) for r in on.observer.epochs if r["task"] == 1]
    assert off.observer.epochs[-1]["loss/contrast"] != on.observer.epochs[-1]["loss/contrast"]
    assert on.method.prototypes.shape == (6, 64) and off.method.prototypes is None


def test_repelling_with_weight_0_is_none_bit_for_bit():
    off, on = train(), train("loss.prototypes=repel", "loss.prototype_weight=0")
    assert_equal_weights(off, on)
    assert [untimed(r) for r in off.observer.epochs] == [untimed(r) for r in on.observer.epochs]
