"""Exemplar memory, by hand-computed cases."""

import json

import numpy as np
import pytest

from cil.config.schema import MemoryConfig, MemoryPolicy
from cil.data.memory import ExemplarMemory, quota


@pytest.mark.parametrize(
    ("size", "policy", "known", "expected"),
    [
        (2000, "total", 10, 200),
        (2000, "total", 30, 66),
        (2000, "total", 100, 20),
        (2000, "fixed", 10, 20),
        (2000, "fixed", 100, 20),
        (99, "fixed", 10, 0),
        (99, "total", 100, 0),
        (0, "total", 10, 0),
        (0, "fixed", 10, 0),
    ],
)
def test_quota(size, policy, known, expected):
    cfg = MemoryConfig(size=size, policy=MemoryPolicy[policy])
    assert quota(cfg, known, 100) == expected
    assert ExemplarMemory(cfg, 100).quota(known) == expected


def test_two_tasks_under_total():
    memory = ExemplarMemory(MemoryConfig(size=6), 4)
    memory.add(1, np.array([50, 40, 30]))
    memory.add(0, [7, 9, 8])
    assert memory.all_indices().tolist() == [7, 9, 8, 50, 40, 30]
    memory.shrink(memory.quota(known=4))
    assert memory.indices == {1: [50], 0: [7]}
    memory.add(2, [3])
    memory.add(3, [1])
    assert memory.all_indices().tolist() == [7, 50, 3, 1]
    assert memory.all_indices().dtype == np.int64
    assert len(memory) == 4


def test_fixed_policy_never_cuts():
    memory = ExemplarMemory(MemoryConfig(size=8, policy=MemoryPolicy.fixed), 4)
    for position, indices in enumerate([[5, 3], [1], [8, 9], [4, 2]]):
        memory.shrink(memory.quota(known=position + 1))
        memory.add(position, indices)
    assert memory.indices == {0: [5, 3], 1: [1], 2: [8, 9], 3: [4, 2]}


def test_no_rehearsal():
    memory = ExemplarMemory(MemoryConfig(size=0), 4)
    memory.add(0, [])
    memory.shrink(0)
    assert memory.all_indices().tolist() == []
    assert memory.all_indices().dtype == np.int64


def test_a_class_is_added_once():
    memory = ExemplarMemory(MemoryConfig(), 4)
    memory.add(0, [1])
    with pytest.raises(ValueError, match="position 0 already"):
        memory.add(0, [2])


def test_state_survives_json_and_is_a_copy():
    memory = ExemplarMemory(MemoryConfig(size=6), 4)
    memory.add(2, np.array([50, 40]))
    memory.add(0, [7])
    state = memory.state_dict()
    memory.shrink(1)
    restored = ExemplarMemory(MemoryConfig(size=6), 4)
    restored.load_state_dict(json.loads(json.dumps(state)))
    assert restored.indices == {2: [50, 40], 0: [7]}
    assert restored.state_dict() == state


def test_the_counts_of_the_reference_at_small_scale():
    """Mini-CIFAR: 4 tasks of 5 classes, 100 images each, 200 exemplars."""
    memory = ExemplarMemory(MemoryConfig(size=200), 100)
    assert [memory.quota(known) for known in (5, 10, 15, 20)] == [40, 20, 13, 10]
    assert [500 + known * (memory.quota(known) if known else 0) for known in (0, 5, 10, 15)] == [500, 700, 700, 695]
