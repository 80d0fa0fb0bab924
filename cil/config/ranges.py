"""Value rules that look at one key alone."""

import math
from collections.abc import Callable
from typing import Any

from cil.config.names import show
from cil.config.schema import RunConfig
from cil.config.typed import flat, plain
from cil.errors import ConfigError

Rule = tuple[Callable[[Any], bool], str]


def _at_least(low: int) -> Rule:
    return (lambda value: value >= low), f"must be {low} or greater"


def _between(low: float, high: float) -> Rule:
    return (lambda value: low <= value <= high), f"must lie in [{low}, {high}]"


_ABOVE_ZERO: Rule = (lambda value: value > 0), "must be greater than 0"
_SHARE: Rule = (lambda value: 0 < value <= 1), "must lie in (0, 1]"
_BELOW_ONE: Rule = (lambda value: 0 <= value < 1), "must lie in [0, 1)"

RULES: dict[str, Rule] = {
    "seed": _between(0, 2**63 - 1),
    "ant_margin": _at_least(0),
    "class_order_seed": _between(0, 2**32 - 1),
    "dataset.classes": _at_least(1),
    "dataset.image_size": _at_least(1),
    "dataset.max_train_per_class": _at_least(1),
    "dataset.max_test_per_class": _at_least(1),
    "dataset.holdout_per_class": _at_least(1),
    "dataset.num_workers": _at_least(0),
    "split.base": _at_least(1),
    "split.increment": _at_least(1),
    "split.sizes": _at_least(1),
    "augment.crop_padding": _at_least(0),
    "augment.test_resize": _at_least(1),
    "augment.brightness": _between(0, 1),
    "augment.cutout": _at_least(0),
    "augment.std": _ABOVE_ZERO,
    "backbone.projector_hidden": _at_least(1),
    "backbone.projector_out": _at_least(1),
    "loss.temperature": _ABOVE_ZERO,
    "loss.nce_alpha": _at_least(0),
    "loss.ant_beta": _at_least(0),
    "loss.softplus_tau": _ABOVE_ZERO,
    "loss.topk": _at_least(1),
    "loss.hard_negative_ratio": _SHARE,
    "loss.gap_beta": _at_least(0),
    "loss.gap_target": _between(-2, 2),
    "margin_schedule.initial_margin": _at_least(0),
    "margin_schedule.target_margin": _at_least(0),
    "margin_schedule.start_epoch": _at_least(0),
    "margin_schedule.end_epoch": _at_least(1),
    "margin_schedule.epochs": _at_least(0),
    "margin_schedule.margins": _at_least(0),
    "margin_schedule.gap_ratio": _at_least(0),
    "method.attention_heads": _at_least(1),
    "method.init_factor": _between(0, 1),
    "method.contrast_weight": _at_least(0),
    "method.distill_weight": _at_least(0),
    "method.aux_weight": _at_least(0),
    "method.trans_cls_weight": _at_least(0),
    "method.transfer_weight": _at_least(0),
    "method.transfer_temperature": _ABOVE_ZERO,
    "optimizer.lr": _ABOVE_ZERO,
    "optimizer.momentum": _BELOW_ONE,
    "optimizer.init_weight_decay": _at_least(0),
    "optimizer.inc_weight_decay": _at_least(0),
    "optimizer.init_milestones": _at_least(0),
    "optimizer.inc_milestones": _at_least(0),
    "optimizer.gamma": _ABOVE_ZERO,
    "memory.size": _at_least(0),
    "trainer.init_epochs": _at_least(1),
    "trainer.inc_epochs": _at_least(1),
    "trainer.batch_size": _at_least(1),
    "trainer.eval_batch_size": _at_least(1),
    "trainer.eval_every": _at_least(0),
    "trainer.max_tasks": _at_least(1),
    "trainer.grad_clip_norm": _ABOVE_ZERO,
    "trainer.check_every": _at_least(1),
    "tracking.gradient_share_every": _at_least(0),
    "checkpoint.every_minutes": _ABOVE_ZERO,
    "checkpoint.max_failures": _at_least(1),
}
"""Key -> (test, what must hold). A list is tested entry by entry; null always passes."""


def check_ranges(config: RunConfig) -> None:
    """Raises ConfigError for the first value that its key does not allow, NaN and infinity included."""
    for key, value in flat(plain(config)).items():
        entries = value if isinstance(value, list) else [value]
        for entry in entries:
            if isinstance(entry, float) and not math.isfinite(entry):
                raise ConfigError(f"{key}: {entry} is not a finite number")
            test, text = RULES.get(key, (None, ""))
            if test is not None and entry is not None and not test(entry):
                raise ConfigError(f"{key}: {show(value)} is out of range; {text}")
            if isinstance(entry, str) and "${" in entry:
                raise ConfigError(f"{key}: {entry!r} contains '${{', which stored configurations must not")
