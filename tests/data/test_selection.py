"""Strategies that choose exemplars."""

import torch

from cil.data.herding import herd
from cil.data.selection import SELECTIONS
from cil.data.training import memory_notes
from cil.seeding import generator
from tests.engine.test_loop import make_trainer, train


def unit_features(count: int) -> torch.Tensor:
    draws = torch.randn(count, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return torch.nn.functional.normalize(draws, dim=1)


def test_herding_is_herding():
    features = unit_features(9)
    chosen = SELECTIONS["herding"](9, 4, lambda: features, generator(0, "selection"))
    assert chosen.tolist() == herd(features, 4).tolist()


def test_random_takes_any_without_repeats_and_asks_for_no_features():
    def refuse():
        raise AssertionError("features cost a pass over the images")

    chosen = [SELECTIONS["random"](20, 6, refuse, generator(seed, "selection")).tolist() for seed in range(5)]
    assert all(len(set(one)) == 6 and set(one) <= set(range(20)) for one in chosen)
    assert len({str(one) for one in chosen}) == 5
    assert SELECTIONS["random"](20, 6, refuse, generator(0, "selection")).tolist() == chosen[0]
    assert len(SELECTIONS["random"](3, 6, refuse, generator(0, "selection"))) == 3


def test_the_setting_changes_which_images_are_kept_and_nothing_of_the_first_task():
    herded, drawn = (train(f"memory.selection={name}", "trainer.max_tasks=1") for name in ("herding", "random"))
    assert [r["loss/cls"] for r in herded.observer.epochs] == [r["loss/cls"] for r in drawn.observer.epochs]
    kept = [trainer.task_end.memory.indices for trainer in (herded, drawn)]
    assert {k: len(v) for k, v in kept[0].items()} == {k: len(v) for k, v in kept[1].items()}
    assert kept[0] != kept[1]


def test_a_class_with_fewer_images_than_its_quota_is_mentioned():
    # 12 images a class: 24 exemplars are 12 a class after task 1, 26 are 13.
    enough, short = make_trainer("memory.size=24"), make_trainer("memory.size=26")
    assert memory_notes(enough.config, enough.data, enough.task_end.memory) == []
    (note,) = memory_notes(short.config, short.data, short.task_end.memory)
    assert "2 of 6 classes have fewer images than their quota" in note and "12 of 13" in note
