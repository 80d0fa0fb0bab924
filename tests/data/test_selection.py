"""Strategies that choose exemplars."""

import pytest
import torch

from cil.config.schema import MemoryConfig, MemorySelection
from cil.data.herding import herd
from cil.data.selection import Candidates, selection_of
from cil.data.training import memory_notes
from cil.seeding import generator
from tests.engine.test_loop import make_trainer, train, untimed


def unit_features(count: int) -> torch.Tensor:
    draws = torch.randn(count, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return torch.nn.functional.normalize(draws, dim=1)


def refuse(*_):
    raise AssertionError("features cost a pass over the images, and speeds are not always there")


def candidates(count: int, features=refuse, speeds=refuse, seed: int = 0) -> Candidates:
    return Candidates(count, features, speeds, generator(seed, "selection"))


def chosen_by(name: str, images: Candidates, wanted: int, **keys) -> list[int]:
    config = MemoryConfig(selection=MemorySelection[name], **keys)
    return selection_of(config)(images, wanted).tolist()


def test_herding_is_herding():
    features = unit_features(9)
    assert chosen_by("herding", candidates(9, lambda _: features), 4) == herd(features, 4).tolist()


def test_random_takes_any_without_repeats_and_asks_for_no_features():
    chosen = [chosen_by("random", candidates(20, seed=seed), 6) for seed in range(5)]
    assert all(len(set(one)) == 6 and set(one) <= set(range(20)) for one in chosen)
    assert len({str(one) for one in chosen}) == 5
    assert chosen_by("random", candidates(20), 6) == chosen[0]
    assert len(chosen_by("random", candidates(3), 6)) == 3


SPEEDS = torch.tensor([0.5, 0.0, 1.0, 0.2, 0.3, 0.9, 0.95, 0.4, 0.6, 0.7])


@pytest.mark.parametrize(
    ("wanted", "slow", "fast", "left"),
    [
        (3, 0.0, 0.0, list(range(10))),
        (3, 0.2, 0.0, [0, 2, 4, 5, 6, 7, 8, 9]),
        (3, 0.2, 0.2, [0, 4, 5, 7, 8, 9]),
        (3, 0.25, 0.0, [0, 2, 4, 5, 6, 7, 8, 9]),  # 2.5 images are 2
        (9, 0.2, 0.2, [0, 2, 3, 4, 5, 6, 7, 8, 9]),  # one image is to spare: the slowest goes, no quick one
        (12, 0.5, 0.4, list(range(10))),  # none is
    ],
)
def test_speed_is_herding_among_those_left(wanted: int, slow: float, fast: float, left: list[int]):
    features = unit_features(10)
    images = candidates(10, lambda places: features[places], lambda: SPEEDS)

    chosen = chosen_by("speed", images, wanted, slow=slow, fast=fast)

    assert chosen == [left[i] for i in herd(features[left], min(wanted, len(left))).tolist()]


def test_of_equally_quick_images_it_is_not_the_first_or_last_that_go():
    features, even = unit_features(10), torch.ones(10)
    left = set()
    for seed in range(5):
        images = candidates(10, lambda places: features[places], lambda: even, seed)
        left |= {tuple(sorted(chosen_by("speed", images, 6, slow=0.2, fast=0.2)))}
    assert len(left) > 1


def test_speed_without_slow_and_fast_is_herding_bit_for_bit():
    by_speed, herded = (
        train(f"memory.selection={name}", *keys) for name, keys in (("speed", ["memory.slow=0"]), ("herding", []))
    )
    assert [untimed(r) for r in by_speed.observer.epochs] == [untimed(r) for r in herded.observer.epochs]
    assert by_speed.task_end.memory.indices == herded.task_end.memory.indices


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
