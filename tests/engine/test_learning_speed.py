"""Counting how quickly images are learned."""

import numpy as np
import pytest
import torch

from cil.engine.learning_speed import LearningSpeed
from tests.engine.test_loop import make_trainer


def test_shares_are_those_of_a_loop():
    speed, draws = LearningSpeed(6, torch.device("cpu")), np.random.default_rng(0)
    hits, shown = np.zeros(6), np.zeros(6)
    for _ in range(5):
        indices = draws.permutation(5)[:4]  # image 5 is never shown
        correct = draws.random(4) < 0.5
        speed.add(torch.from_numpy(indices), torch.from_numpy(correct))
        for place, hit in zip(indices, correct, strict=True):
            shown[place] += 1
            hits[place] += hit

    assert speed.of(np.arange(6)).tolist() == pytest.approx([h / max(n, 1) for h, n in zip(hits, shown, strict=True)])
    speed.reset()
    assert speed.of(np.arange(6)).tolist() == [0.0] * 6


def test_a_state_that_was_taken_stays_as_it_is():
    speed = LearningSpeed(2, torch.device("cpu"))
    state = speed.state_dict()["counts"]
    speed.add(torch.tensor([0]), torch.tensor([True]))
    assert state.sum() == 0


def test_every_image_of_a_task_is_counted_once_an_epoch():
    trainer = make_trainer("memory.selection=speed", "trainer.max_tasks=1")
    counted = []
    trainer.speed.reset = lambda: counted.append(trainer.speed.state_dict()["counts"].clone())

    trainer.run()

    indices, _ = trainer.data.indices("train", 0, trainer.tasks[0].known)
    shown, hits = counted[0]
    assert shown[indices].unique().tolist() == [trainer.config.trainer.init_epochs]
    assert shown.sum() == trainer.config.trainer.init_epochs * len(indices)
    assert 0 < hits.sum() <= shown.sum()
