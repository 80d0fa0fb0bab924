"""The effective configuration: what a run really uses. Keys without any part in it become null.

So two spellings of one experiment are recorded, and hashed, alike: `loss=infonce` with any `loss.ant_beta`,
a preset's start margin or the same number as `ant_margin`.
"""

import os
from collections.abc import Collection
from copy import deepcopy
from dataclasses import fields
from pathlib import Path
from typing import Any

from cil.config.names import show
from cil.config.presets import DEFAULT_MARGIN
from cil.config.schema import (
    Formulation,
    LossConfig,
    MarginScheduleConfig,
    RunConfig,
    ScheduleName,
    SplitConfig,
)
from cil.errors import ConfigError

LOSS_KEYS: dict[str, set[str]] = {"infonce": {"temperature", "nce_alpha", "negatives", "reference"}}
"""Keys of LossConfig a loss uses (statistics included); a loss without a row uses all of them."""

_ANT_SHAPE = ("reference_grad", "formulation", "softplus_tau", "topk", "hard_negative_ratio")
_STEPS = ("epochs", "margins", "unit")
_RAMP = ("target_margin", "start_epoch", "end_epoch")


def effective(config: RunConfig, preset_start: bool, written: Collection[str] = ()) -> tuple[RunConfig, list[str]]:
    """A copy of `config` in canonical form, and a warning for each unused key of `written`.

    preset_start: margin_schedule.initial_margin is a preset's, so an explicit `ant_margin` wins over it.
    written: the keys and groups the user wrote on the command line.
    Raises ConfigError for an `ant_margin` that contradicts the schedule.
    """
    config = deepcopy(config)
    warnings = _drop_empty_bracket(config.loss)
    unused = {f"loss.{key}": why for key, why in _unused_by_loss(config.loss).items()}
    unused |= {f"margin_schedule.{key}": why for key, why in _unused_by_schedule(config).items()}
    unused |= {f"split.{key}": why for key, why in _unused_by_split(config.split).items()}
    warnings += _schedule_group_warning(config, written)
    _settle_margin(config, preset_start)
    for key, why in unused.items():
        group, name = key.split(".")
        node = getattr(config, group)
        if key in written and getattr(node, name) is not None:
            warnings.append(f"{key}: has no effect with {why}; recorded as null")
        setattr(node, name, None)
    if not _uses_margin_schedule(config.loss):
        config.margin_schedule.name = ScheduleName.constant
    if config.class_order != "random":
        if "class_order_seed" in written:
            warnings.append(
                f"class_order_seed: has no effect with class_order={show(config.class_order)}; recorded as 0"
            )
        config.class_order_seed = 0
    _make_absolute(config.dataset)
    return config, warnings


def _uses_margin_schedule(loss: LossConfig) -> bool:
    """Whether the loss trains with a margin; without, a constant one serves the statistics."""
    return loss.name not in LOSS_KEYS or "ant_beta" in LOSS_KEYS[loss.name]


def _drop_empty_bracket(loss: LossConfig) -> list[str]:
    """Without ANT and without the gap term nothing is left for ant_beta to weigh."""
    if not _uses_margin_schedule(loss) or loss.ant_term is not False or loss.gap_beta or not loss.ant_beta:
        return []
    loss.ant_beta = 0.0
    return ["loss.ant_beta: counts as 0, since loss.ant_term=false with loss.gap_beta=0 leaves nothing to weigh"]


def _unused_by_loss(loss: LossConfig) -> dict[str, str]:
    """Unused keys of the loss, each with the setting that makes it so."""
    names = [field.name for field in fields(LossConfig) if field.name != "name"]
    used = LOSS_KEYS.get(loss.name, set(names))
    unused = {name: f"loss={loss.name}" for name in names if name not in used}
    if "ant_beta" in unused:
        return unused
    if loss.ant_beta == 0:
        return dict.fromkeys(("ant_term", *_ANT_SHAPE, "gap_beta", "gap_target"), "loss.ant_beta=0")
    if loss.gap_beta == 0:
        unused["gap_target"] = "loss.gap_beta=0"
    if loss.ant_term is False:
        return unused | dict.fromkeys(_ANT_SHAPE, "loss.ant_term=false")
    if loss.formulation is not None:
        for key, owner in (("softplus_tau", Formulation.softplus), ("topk", Formulation.topk)):
            if loss.formulation is not owner:
                unused[key] = f"loss.formulation={loss.formulation.name}"
    return unused


def _unused_by_schedule(config: RunConfig) -> dict[str, str]:
    if not _uses_margin_schedule(config.loss):
        keys = [field.name for field in fields(MarginScheduleConfig) if field.name != "name"]
        return dict.fromkeys(keys, f"loss={config.loss.name}")
    name = config.margin_schedule.name
    why = f"margin_schedule={name.name}"
    if name is ScheduleName.curriculum:
        return dict.fromkeys(("initial_margin", *_RAMP), why)
    if name is ScheduleName.constant:
        return dict.fromkeys((*_RAMP, *_STEPS), why)
    return dict.fromkeys(_STEPS, why)


def _unused_by_split(split: SplitConfig) -> dict[str, str]:
    return {} if split.sizes is None else dict.fromkeys(("base", "increment"), "split.sizes")


def _schedule_group_warning(config: RunConfig, written: Collection[str]) -> list[str]:
    chosen = config.margin_schedule.name
    written_here = "margin_schedule" in written or "margin_schedule.name" in written
    if _uses_margin_schedule(config.loss) or not written_here or chosen is ScheduleName.constant:
        return []
    return [f"margin_schedule: {chosen.name} has no effect with loss={config.loss.name}; recorded as constant"]


def _settle_margin(config: RunConfig, preset_start: bool) -> None:
    """One place for the start margin: `ant_margin`; none with curriculum."""
    schedule = config.margin_schedule
    given, start = config.ant_margin, schedule.initial_margin
    if not _uses_margin_schedule(config.loss):
        config.ant_margin = DEFAULT_MARGIN if given is None else given
        return
    if schedule.name is ScheduleName.curriculum:
        if given is not None:
            raise ConfigError(
                f"ant_margin: {given} cannot be combined with margin_schedule=curriculum; set margin_schedule.margins"
            )
        return
    if given is not None and start is not None and not preset_start and given != start:
        raise ConfigError(f"ant_margin: {given} contradicts margin_schedule.initial_margin={start}; set only one")
    candidates = [value for value in (given, start, DEFAULT_MARGIN) if value is not None]
    config.ant_margin = candidates[0]
    schedule.initial_margin = None


def _make_absolute(dataset: Any) -> None:
    """Paths as they are seen from the folder the command was launched from."""
    for key in ("root", "class_list"):
        value = getattr(dataset, key)
        if value is not None:
            setattr(dataset, key, str(launch_folder() / Path(value).expanduser()))


def launch_folder() -> Path:
    """The folder the command was started in, also inside a job that Hydra or a launcher moved to another one."""
    from hydra.core.hydra_config import HydraConfig

    if HydraConfig.initialized():
        return Path(HydraConfig.get().runtime.cwd)
    return Path(os.getcwd())
