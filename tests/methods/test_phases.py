"""Phases: rates, selections."""

import numpy as np
import pytest

from cil.config.schema import OptimizerConfig, RunConfig, TrainerConfig
from cil.methods.phases import Phase, balanced, main_phase


def test_a_milestone_acts_from_its_epoch_on():
    config = RunConfig(
        optimizer=OptimizerConfig(lr=1.0, init_milestones=[2, 4], inc_milestones=[1], gamma=0.1, inc_weight_decay=0.5),
        trainer=TrainerConfig(init_epochs=6, inc_epochs=3),
    )
    first, later = main_phase(config, first=True), main_phase(config, first=False)
    assert (first.epochs, later.epochs, later.weight_decay) == (6, 3, 0.5)
    assert [first.rate(epoch) for epoch in range(6)] == pytest.approx([1, 1, 0.1, 0.1, 0.01, 0.01])
    assert [later.rate(epoch) for epoch in range(3)] == pytest.approx([1, 0.1, 0.1])


def test_without_a_selection_every_image_is_used():
    assert Phase(1, 0.1, 0.0).rows(np.array([3, 3, 1])).tolist() == [0, 1, 2]


def test_a_balanced_selection_takes_as_many_of_each_class_as_the_smallest_has():
    targets = np.array([2] * 9 + [0] * 4 + [1] * 3)
    rows = balanced(seed=5, task=2)(targets)
    assert np.bincount(targets[rows]).tolist() == [3, 3, 3]
    assert rows.tolist() == sorted(set(rows.tolist()))
    assert rows.tolist() == balanced(seed=5, task=2)(targets).tolist()
    others = [balanced(seed=seed, task=2)(targets).tolist() for seed in range(6, 12)]
    assert any(other != rows.tolist() for other in others)
