"""Exemplar memory: which train images of old classes stay. Imports no torch; features are the engine's job."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from cil.config.schema import MemoryConfig, MemoryPolicy


def quota(cfg: MemoryConfig, known: int, total: int) -> int:
    """Exemplars a class may have once `known` of `total` classes are known.

    Policy total: size // known, shrinking from task to task; fixed: size // total, always the same.
    """
    return (cfg.size or 0) // (known if cfg.policy == MemoryPolicy.total else total)


class ExemplarMemory:
    """Exemplars by class position (task order): lists of indices into the train set, the most important first."""

    def __init__(self, cfg: MemoryConfig, total_classes: int) -> None:
        self.cfg = cfg
        self.total_classes = total_classes
        self.indices: dict[int, list[int]] = {}

    def __len__(self) -> int:
        return sum(map(len, self.indices.values()))

    def quota(self, known: int) -> int:
        """Exemplars a class may have once `known` classes are known."""
        return quota(self.cfg, known, self.total_classes)

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
