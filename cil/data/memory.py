"""Exemplar memory: which train images of old classes stay. Imports no torch; features are the engine's job."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from cil.config.schema import MemoryConfig, MemoryPolicy

CHANNELS = 3
MB = 10**6
"""Bytes of a megabyte: powers of ten, here as in the forecast and the report."""


def image_bytes(side: int) -> int:
    """What an exemplar counts: a square colour image, one byte a channel and pixel."""
    return CHANNELS * side**2


def quota(cfg: MemoryConfig, known: int, total: int, size: int | None = None) -> int:
    """Exemplars a class may have once `known` of `total` classes are known.

    Policy total: size // known, shrinking from task to task; fixed: size // total. size: images in all, where it is
    not the configured one.
    """
    images = (cfg.size or 0) if size is None else size
    return images // (known if cfg.policy == MemoryPolicy.total else total)


class ExemplarMemory:
    """Exemplars by class position (task order): lists of indices into the train set, the most important first.

    sizes: with `memory.total_mb`, number of classes after each task -> images in all that the budget has room for.
    """

    def __init__(self, cfg: MemoryConfig, total_classes: int, sizes: Mapping[int, int] | None = None) -> None:
        self.cfg = cfg
        self.total_classes = total_classes
        self.sizes = sizes
        self.indices: dict[int, list[int]] = {}

    def __len__(self) -> int:
        return sum(map(len, self.indices.values()))

    @property
    def wanted(self) -> bool:
        """Whether exemplars are kept at all."""
        return bool(self.cfg.size) if self.sizes is None else True

    def quota(self, known: int) -> int:
        """Exemplars a class may have once `known` classes are known.

        Never more than after an earlier task, even if a method's model became smaller: what was dropped then is gone.
        """
        if self.sizes is None:
            return quota(self.cfg, known, self.total_classes)
        return min(quota(self.cfg, k, self.total_classes, size) for k, size in self.sizes.items() if k <= known)

    def shrink(self, quota: int) -> None:
        """Cut every class to `quota` exemplars, keeping the front."""
        self.indices = {position: kept[:quota] for position, kept in self.indices.items()}

    def add(self, position: int, indices: Iterable[int]) -> None:
        """Store the exemplars of a new class, the most important first. Raises ValueError if it is stored already."""
        if position in self.indices:
            raise ValueError(f"class position {position} already has exemplars")
        self.indices[position] = [int(index) for index in indices]

    def all_indices(self) -> np.ndarray:
        """Train-set indices of all exemplars, int64, by class position and then by importance."""
        kept = [index for position in sorted(self.indices) for index in self.indices[position]]
        return np.array(kept, dtype=np.int64)

    def state_dict(self) -> dict[str, Any]:
        """Everything a resumed run needs, as plain Python values."""
        return {"indices": {position: list(kept) for position, kept in self.indices.items()}}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` gave (also after a trip through JSON)."""
        self.indices = {int(position): [int(i) for i in kept] for position, kept in state["indices"].items()}
