"""Class order and tasks: which classes come when. Imports no torch.

A class has an original id (its position in the data set's sorted class list) and a position in task order, which
is what targets, classifier rows and memory count in.
"""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cil.config.names import show
from cil.config.schema import SplitConfig
from cil.errors import ConfigError

_PYCIL_SEED = 1993
_NAMED_ORDERS = ("pycil", "natural", "random")


@dataclass(frozen=True)
class Task:
    """One task. number: from 1; classes, names: original ids and names in task order; first: classes before it."""

    number: int
    classes: tuple[int, ...]
    names: tuple[str, ...]
    first: int

    @property
    def size(self) -> int:
        """Number of its classes."""
        return len(self.classes)

    @property
    def known(self) -> int:
        """Number of classes known after it: its own have positions first..known-1."""
        return self.first + self.size


class TaskStream:
    """The tasks of a run.

    order: original ids in task order (all classes of the data set); sizes: classes of each task, summing to at most
    len(order); names: class names by original id. Raises ValueError if these do not fit together.
    """

    def __init__(self, order: Sequence[int], sizes: Sequence[int], names: Sequence[str]) -> None:
        if sorted(order) != list(range(len(names))) or sum(sizes) > len(order) or min(sizes, default=0) < 1:
            raise ValueError(f"order of {len(order)} and task sizes {list(sizes)} do not fit {len(names)} classes")
        tasks = []
        first = 0
        for number, size in enumerate(sizes, start=1):
            classes = tuple(order[first : first + size])
            tasks.append(Task(number, classes, tuple(names[c] for c in classes), first))
            first += size
        self.tasks: tuple[Task, ...] = tuple(tasks)
        self._position = np.full(len(names), -1, dtype=np.int64)
        self._position[np.asarray(order[:first], dtype=np.int64)] = np.arange(first)

    @property
    def total(self) -> int:
        """Number of classes in all tasks together."""
        return self.tasks[-1].known

    def positions(self, labels: np.ndarray) -> np.ndarray:
        """Original labels int [N] -> positions in task order int64 [N]; -1 for classes of no task.

        Raises ValueError for a label that is no class of the data set.
        """
        labels = np.asarray(labels)
        if labels.size and not 0 <= labels.min() <= labels.max() < len(self._position):
            raise ValueError(f"labels {labels.min()}..{labels.max()} are outside 0..{len(self._position) - 1}")
        positions: np.ndarray = self._position[labels]
        return positions


def _whole_number(value: Any) -> bool:
    """Whether a configured value is an integer (true and false are not)."""
    return isinstance(value, int) and not isinstance(value, bool)


def task_sizes(split: SplitConfig, classes: int) -> list[int]:
    """Classes of each task of a data set of `classes` classes.

    `sizes` replaces base and increment and may sum to less than `classes`; base and increment both null is one
    task. Raises ConfigError naming key, problem and valid values.
    """
    if split.sizes is not None:
        return _listed_sizes(list(split.sizes), classes)
    base, increment = split.base, split.increment
    if base is None and increment is None:
        return [classes]
    if base is None:
        raise ConfigError(f"split.base: null beside split.increment={increment}; valid: 1 to {classes}, or both null")
    if not _whole_number(base) or not 1 <= base <= classes:
        raise ConfigError(f"split.base: {base}; valid: 1 to {classes}, the number of classes")
    rest = classes - base
    if rest == 0:
        return [base]
    fitting = [size for size in range(1, rest + 1) if rest % size == 0]
    if increment not in fitting or not _whole_number(increment):
        raise ConfigError(
            f"split.increment: {show(increment)} does not divide the {rest} classes that split.base={base} leaves of "
            f"{classes}; valid: {', '.join(map(str, fitting))}, or any split.sizes"
        )
    return [base] + [increment] * (rest // increment)


def _listed_sizes(sizes: list[Any], classes: int) -> list[int]:
    """Checked `split.sizes`. Raises ConfigError."""
    valid = f"valid: whole numbers from 1 that sum to at most {classes}, the number of classes"
    if not sizes:
        raise ConfigError(f"split.sizes: the list is empty; {valid}")
    for size in sizes:
        if not _whole_number(size) or size < 1:
            raise ConfigError(f"split.sizes: {size!r} in {sizes}; {valid}")
    if sum(sizes) > classes:
        raise ConfigError(f"split.sizes: {sizes} sums to {sum(sizes)}; {valid}")
    return sizes


def class_order(order: Any, order_seed: int, classes: int) -> list[int]:
    """Original ids in task order.

    pycil: NumPy's legacy RandomState(1993).permutation(classes), the order of PyCIL and of most publications (for
    100 classes it starts 68, 56, 78, 8, 23). natural: 0, 1, 2, ... random: the same generator with `order_seed`.
    A list: as it is. None depends on the training seed. Raises ConfigError naming key, problem and valid values.
    """
    if order == "natural":
        return list(range(classes))
    if order in ("pycil", "random"):
        seed = _PYCIL_SEED if order == "pycil" else order_seed
        if not _whole_number(seed) or not 0 <= seed < 2**32:
            raise ConfigError(f"class_order_seed: {seed}; valid: 0 to {2**32 - 1}")
        return [int(c) for c in np.random.RandomState(seed).permutation(classes)]
    if isinstance(order, str) or not isinstance(order, Sequence):
        near = difflib.get_close_matches(str(order), _NAMED_ORDERS, n=1)
        hint = f"did you mean {near[0]}? " if near else ""
        raise ConfigError(
            f"class_order: {order!r} is unknown; {hint}valid: {', '.join(_NAMED_ORDERS)} "
            f"or a list of all class positions 0 to {classes - 1}"
        )
    return _listed_order(list(order), classes)


def _listed_order(order: list[Any], classes: int) -> list[int]:
    """A checked list. Raises ConfigError for the first wrong, repeated or missing entry."""
    valid = f"valid: every class position 0 to {classes - 1} exactly once"
    seen: set[int] = set()
    for entry in order:
        if not _whole_number(entry):
            raise ConfigError(f"class_order: {entry!r} is not a whole number; {valid}")
        if entry < 0:
            raise ConfigError(f"class_order: {entry} is negative; {valid}")
        if entry >= classes:
            raise ConfigError(f"class_order: {entry} is too large; {valid}")
        if entry in seen:
            raise ConfigError(f"class_order: {entry} is repeated; {valid}")
        seen.add(entry)
    missing = [c for c in range(classes) if c not in seen]
    if missing:
        more = f" (and {len(missing) - 1} more)" if len(missing) > 1 else ""
        raise ConfigError(f"class_order: {missing[0]} is missing{more}; {valid}")
    return order
