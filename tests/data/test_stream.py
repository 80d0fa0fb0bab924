"""Task sizes, class orders and the position of classes in task order."""

import numpy as np
import pytest
from omegaconf import OmegaConf

from cil.config.schema import SplitConfig
from cil.data.stream import TaskStream, class_order, task_sizes
from cil.errors import ConfigError


@pytest.mark.parametrize(
    ("base", "increment", "classes", "sizes"),
    [
        (2, 2, 10, [2] * 5),
        (50, 10, 100, [50, 10, 10, 10, 10, 10]),
        (100, 20, 200, [100, 20, 20, 20, 20, 20]),
        (10, 3, 10, [10]),
        (10, None, 10, [10]),
        (None, None, 10, [10]),
    ],
)
def test_base_and_increment(base, increment, classes, sizes):
    assert task_sizes(SplitConfig(base=base, increment=increment), classes) == sizes


def test_listed_sizes_replace_base_and_may_leave_classes_out():
    assert task_sizes(SplitConfig(base=3, increment=7, sizes=[1, 4, 2]), 10) == [1, 4, 2]


@pytest.mark.parametrize(
    ("split", "match"),
    [
        ({"base": 4, "increment": 4}, r"^split\.increment: 4 .*valid: 1, 2, 3, 6, or any split\.sizes$"),
        ({"base": 2, "increment": 0}, r"^split\.increment: 0 .*valid: 1, 2, 4, 8, "),
        ({"base": 2, "increment": -2}, r"^split\.increment: -2"),
        ({"base": 2, "increment": None}, r"^split\.increment: null"),
        ({"base": 2, "increment": True}, r"^split\.increment: true"),
        ({"base": 0, "increment": 2}, r"^split\.base: 0; valid: 1 to 10"),
        ({"base": 11, "increment": 2}, r"^split\.base: 11; valid: 1 to 10"),
        ({"base": None, "increment": 2}, r"^split\.base: null beside split\.increment=2"),
        ({"sizes": []}, r"^split\.sizes: the list is empty; valid"),
        ({"sizes": [5, 6]}, r"^split\.sizes: \[5, 6\] sums to 11; valid: .* at most 10"),
        ({"sizes": [5, 0]}, r"^split\.sizes: 0 in \[5, 0\]"),
        ({"sizes": [5, -1]}, r"^split\.sizes: -1 in"),
        ({"sizes": [5, 2.0]}, r"^split\.sizes: 2\.0 in"),
        ({"sizes": [True]}, r"^split\.sizes: True in"),
    ],
)
def test_impossible_splits(split, match):
    with pytest.raises(ConfigError, match=match) as error:
        task_sizes(SplitConfig(**split), 10)
    assert "\n" not in str(error.value)


def test_pycil_order():
    order = class_order("pycil", 5, 100)
    assert order[:5] == [68, 56, 78, 8, 23]
    assert sorted(order) == list(range(100))
    assert order == class_order("pycil", 6, 100)
    assert class_order("pycil", 0, 10) == np.random.RandomState(1993).permutation(10).tolist()
    assert all(type(c) is int for c in order)


def test_natural_random_and_listed_orders():
    assert class_order("natural", 0, 4) == [0, 1, 2, 3]
    first, second = class_order("random", 0, 50), class_order("random", 1, 50)
    assert sorted(first) == sorted(second) == list(range(50))
    assert first != second
    assert first == class_order("random", 0, 50)
    assert class_order([2, 0, 1], 0, 3) == [2, 0, 1]
    assert class_order(OmegaConf.create([2, 0, 1]), 0, 3) == [2, 0, 1]


def test_orders_leave_the_global_state_alone():
    before = np.random.get_state()[1].copy()
    class_order("pycil", 0, 10)
    class_order("random", 0, 10)
    np.testing.assert_array_equal(np.random.get_state()[1], before)


@pytest.mark.parametrize(
    ("order", "problem"),
    [
        ([0, 1, 1, 3], "1 is repeated"),
        ([0, 1, 2, 3, 3], "3 is repeated"),
        ([0, 1, 3], "2 is missing;"),
        ([], r"0 is missing \(and 3 more\)"),
        ([0, 1, 2, -1], "-1 is negative"),
        ([0, 1, 2, 4], "4 is too large"),
        ([0, 1, 2, 3.0], r"3\.0 is not a whole number"),
        ([False, True, 2, 3], "False is not a whole number"),
        (["0", 1, 2, 3], "'0' is not a whole number"),
        ([None, 1, 2, 3], "None is not a whole number"),
    ],
)
def test_faulty_lists(order, problem):
    with pytest.raises(
        ConfigError, match=rf"^class_order: {problem}.*valid: every class position 0 to 3 exactly once$"
    ):
        class_order(order, 0, 4)


@pytest.mark.parametrize("order", ["pycyl", 3, None, True, 1.5, {"a": 1}])
def test_unknown_orders(order):
    with pytest.raises(ConfigError, match=r"^class_order: .* is unknown; .*valid: pycil, natural, random or a list"):
        class_order(order, 0, 4)


@pytest.mark.parametrize("seed", [-1, 2**32, True, 1.5])
def test_faulty_order_seed(seed):
    with pytest.raises(ConfigError, match=r"^class_order_seed: .*valid: 0 to"):
        class_order("random", seed, 4)


def test_tasks():
    stream = TaskStream([3, 1, 4, 0, 2], [2, 1, 1], ["a", "b", "c", "d", "e"])
    assert [(t.number, t.classes, t.names, t.first, t.size, t.known) for t in stream.tasks] == [
        (1, (3, 1), ("d", "b"), 0, 2, 2),
        (2, (4,), ("e",), 2, 1, 3),
        (3, (0,), ("a",), 3, 1, 4),
    ]
    assert stream.total == 4
    positions = stream.positions(np.array([0, 1, 2, 3, 4, 3]))
    assert positions.tolist() == [3, 1, -1, 0, 2, 0]
    assert positions.dtype == np.int64
    assert stream.positions(np.array([], dtype=np.int64)).tolist() == []
    for label in (-1, 5):
        with pytest.raises(ValueError, match=r"outside 0\.\.4"):
            stream.positions(np.array([0, label]))


@pytest.mark.parametrize(("order", "sizes"), [([0, 1], [3]), ([0, 0], [1]), ([0, 1], []), ([0, 1], [0, 1]), ([0], [1])])
def test_tasks_that_do_not_fit(order, sizes):
    with pytest.raises(ValueError, match="do not fit 2 classes"):
        TaskStream(order, sizes, ["a", "b"])
