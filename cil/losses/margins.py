"""Margin schedules: the ANT margin of each epoch of a task. Imports no torch."""

import math
from dataclasses import dataclass
from itertools import pairwise

from cil.config.schema import MarginScheduleConfig, ScheduleName, ScheduleUnit
from cil.errors import ConfigError


@dataclass(frozen=True)
class MarginSchedule:
    """The margin as a function of epoch, and optionally of the gap of the epoch before.

    cfg: the schedule; null keys take the default of the schema. start: `ant_margin`, the margin of `constant` and
    the first one of `linear` and `cosine` unless `cfg.initial_margin` is set; `curriculum` has no use for it.
    Keeps no state: the caller passes (and checkpoints) the gap.
    Raises ConfigError without a first margin, for an end that does not lie after the start, or for a curriculum
    that is not one.
    """

    cfg: MarginScheduleConfig
    start: float | None

    def __post_init__(self) -> None:
        if self.cfg.name is ScheduleName.curriculum:
            _check_curriculum(self.cfg)
            return
        if self._initial() is None:
            name = None if self.cfg.name is None else self.cfg.name.name
            raise ConfigError(f"ant_margin: must be a number with margin_schedule={name}, is null")
        if self.cfg.end_epoch is not None and self.cfg.end_epoch <= (self.cfg.start_epoch or 0):
            raise ConfigError(
                f"margin_schedule.end_epoch: must be greater than start_epoch ({self.cfg.start_epoch or 0}), "
                f"is {self.cfg.end_epoch}"
            )

    def margin(self, epoch: int, epochs: int, previous_gap: float | None = None) -> float:
        """The margin of 0-based `epoch` in a task of `epochs` epochs.

        previous_gap: mean gap of the contrast branch in the previous epoch of the same task; None (or not finite)
        if there is none, and then the cap of `gap_ratio` does not act.
        """
        scheduled = self._scheduled(epoch, epochs)
        if self.cfg.gap_ratio is None or previous_gap is None or not math.isfinite(previous_gap):
            return scheduled
        return max(0.0, min(scheduled, self.cfg.gap_ratio * previous_gap))

    def _scheduled(self, epoch: int, epochs: int) -> float:
        if self.cfg.name is ScheduleName.curriculum:
            return self._stage(epoch, epochs)
        initial = self._initial()
        target = MarginScheduleConfig().target_margin if self.cfg.target_margin is None else self.cfg.target_margin
        assert initial is not None and target is not None  # checked above; the schema has a default
        if self.cfg.name is ScheduleName.constant:
            return initial
        progress = self._progress(epoch, epochs)
        if self.cfg.name is ScheduleName.linear:
            return initial + (target - initial) * progress
        return target + (initial - target) * (1 + math.cos(math.pi * progress)) / 2

    def _initial(self) -> float | None:
        if self.cfg.name is ScheduleName.constant or self.cfg.initial_margin is None:
            return self.start
        return self.cfg.initial_margin

    def _progress(self, epoch: int, epochs: int) -> float:
        """How far the margin has moved, in [0, 1]."""
        first = self.cfg.start_epoch or 0
        last = epochs if self.cfg.end_epoch is None else self.cfg.end_epoch
        if epoch <= first:
            return 0.0
        return min(1.0, (epoch - first) / (last - first))

    def _stage(self, epoch: int, epochs: int) -> float:
        """The margin of the last curriculum entry that has begun."""
        unit = epochs if self.cfg.unit is ScheduleUnit.fraction else 1
        stages = zip(self.cfg.epochs or [], self.cfg.margins or [], strict=True)
        # 0.28 * 100 is a little more than 28 in floating point.
        return [margin for at, margin in stages if at * unit <= epoch + 1e-9][-1]


def _check_curriculum(cfg: MarginScheduleConfig) -> None:
    starts, margins = cfg.epochs or [], cfg.margins or []
    if not starts or len(starts) != len(margins):
        raise ConfigError(
            "margin_schedule.epochs and margin_schedule.margins: a curriculum needs as many margins as epochs, "
            f"at least one; there are {len(starts)} epochs and {len(margins)} margins"
        )
    if starts[0] != 0 or any(later <= sooner for sooner, later in pairwise(starts)):
        raise ConfigError(f"margin_schedule.epochs: must start at 0 and ascend, is {list(starts)}")
