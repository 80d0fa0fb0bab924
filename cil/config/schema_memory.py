"""Schema of what is kept of earlier tasks: exemplars, teacher, pruned networks; part of cil/config/schema.py, which
exports it.
"""

from dataclasses import dataclass
from enum import Enum

from cil.config.keys import (
    ABOVE_ZERO,
    ALWAYS,
    BELOW_ONE,
    NOT_TRIED,
    WHERE_USED,
    at_least,
    is_,
    key,
    null,
    when,
)

MemoryPolicy = Enum("MemoryPolicy", ["total", "fixed"])
MemorySelection = Enum("MemorySelection", ["herding", "random", "speed"])

_SPEED = when("memory.selection", is_("speed"))


@dataclass
class MemoryConfig:
    """Exemplars kept of old classes."""

    size: int | None = key(2000, rule=at_least(0), used=when("memory.total_mb", null), needed=ALWAYS)
    """Images in total. 0: no rehearsal (and no nearest-mean figures). Unused with `total_mb`."""
    total_mb: float | None = key(None, rule=ABOVE_ZERO, neutral=None, tried=NOT_TRIED, inherited=True)
    """Model and exemplars together take at most so many MB (10^6 bytes) after every task; the number of images then
    follows from it, and `size` is unused. null: `size` images."""
    policy: MemoryPolicy | None = key(MemoryPolicy.total, needed=ALWAYS)
    """Quota of a class: images in total // classes so far (total) or // all classes (fixed)."""
    selection: MemorySelection | None = key(MemorySelection.herding, neutral="herding", needed=ALWAYS)
    """Which images of a class are kept: herding (nearest to the class mean), random, or speed (herding without those
    that were learned slowest and quickest)."""
    slow: float | None = key(0.2, rule=BELOW_ONE, neutral=None, used=_SPEED, needed=WHERE_USED)
    """Share of a class's images that selection=speed leaves out for having been classified correctly least often."""
    fast: float | None = key(0.0, rule=BELOW_ONE, neutral=None, used=_SPEED, needed=WHERE_USED)
    """The same for those classified correctly most often."""


@dataclass
class TeacherConfig:
    """The copy of the task-agnostic net and projector that TagFex distils from in the next task."""

    average_last: int | None = key(
        1, rule=at_least(1), neutral=1, needed=ALWAYS, off=1, tried=NOT_TRIED, inherited=True
    )
    """The teacher is the mean of the weights at the end of each of the last K epochs of its task. 1: of the last."""


@dataclass
class PruneConfig:
    """Pruning of TagFex's task-specific nets by geometric median when a task ends (TagFex-P)."""

    ratio: float | None = key(0.0, rule=BELOW_ONE, neutral=0.0, needed=ALWAYS, off=0.0, tried=NOT_TRIED, inherited=True)
    """Share of the filters of each block's first convolution that is removed for good, rounded down. 0: none."""
