"""The effective configuration: what a run really uses. Keys without any part in it become null.

So two spellings of one experiment are recorded, and hashed, alike: `loss=infonce` with any `loss.ant_beta`,
a preset's start margin or the same number as `ant_margin`. Which keys are unused stands beside them in the schema.
"""

import os
from collections.abc import Collection
from copy import deepcopy
from pathlib import Path
from typing import Any

from cil.config.class_list import class_list_path
from cil.config.names import key_types, show
from cil.config.presets import DEFAULT_MARGIN
from cil.config.schema import LossConfig, RunConfig, ScheduleName
from cil.config.typed import flat, plain
from cil.config.usage import Unused, why_unused
from cil.errors import ConfigError


def effective(config: RunConfig, preset_start: bool, written: Collection[str] = ()) -> tuple[RunConfig, list[str]]:
    """A copy of `config` in canonical form, and a warning for each unused key of `written`.

    preset_start: margin_schedule.initial_margin is a preset's, so an explicit `ant_margin` wins over it.
    written: the keys and groups the user wrote on the command line.
    Raises ConfigError for an `ant_margin` that contradicts the schedule.
    """
    config = deepcopy(config)
    warnings = [] if why_unused(flat(plain(config)), "loss.ant_beta") else _drop_empty_bracket(config.loss)
    values = flat(plain(config))
    unused = {key: why for key in values if (why := why_unused(values, key)) is not None}
    warnings += _warnings(values, unused, written)
    if "ant_margin" not in unused:
        _settle_margin(config, preset_start, "margin_schedule.name" not in unused)
    types = key_types(config.method.name)
    for key, why in unused.items():
        group, _, name = key.rpartition(".")
        recorded = why.recorded if why.recorded is None else _typed_value(types[key], why.recorded)
        setattr(getattr(config, group) if group else config, name, recorded)
    _make_absolute(config.dataset)
    return config, warnings


def _typed_value(kind: Any, value: Any) -> Any:
    return kind[value] if isinstance(value, str) and hasattr(kind, "__members__") else value


def _warnings(values: dict[str, Any], unused: dict[str, Unused], written: Collection[str]) -> list[str]:
    """One line for each group and key that was written and has no part in the run."""
    lines = []
    for key, why in unused.items():
        group, _, name = key.rpartition(".")
        end = f"has no effect with {why.reason}; recorded as {show(why.recorded)}"
        if why.group == group and group in written:
            lines.append(f"{group}: {end}")
        elif name == "name" and group in written and values[key] != why.recorded:
            lines.append(f"{group}: {values[key]} {end}")
        if key in written and values[key] != why.recorded:
            lines.append(f"{key}: {end}")
    return list(dict.fromkeys(lines))


def _drop_empty_bracket(loss: LossConfig) -> list[str]:
    """Without ANT and without the gap term nothing is left for ant_beta to weigh."""
    if loss.ant_term is not False or loss.gap_beta or not loss.ant_beta:
        return []
    loss.ant_beta = 0.0
    return ["loss.ant_beta: counts as 0, since loss.ant_term=false with loss.gap_beta=0 leaves nothing to weigh"]


def _settle_margin(config: RunConfig, preset_start: bool, scheduled: bool) -> None:
    """One place for the start margin: `ant_margin`; none with curriculum.

    scheduled: the loss trains with a margin; without, a constant one serves the statistics.
    """
    schedule = config.margin_schedule
    given, start = config.ant_margin, schedule.initial_margin
    if not scheduled:
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
    if dataset.root is not None:
        dataset.root = str(launch_folder() / Path(dataset.root).expanduser())
    if dataset.class_list is not None:
        dataset.class_list = str(class_list_path(dataset.class_list, launch_folder()))


def launch_folder() -> Path:
    """The folder the command was started in, also inside a job that Hydra or a launcher moved to another one."""
    from hydra.core.hydra_config import HydraConfig

    if HydraConfig.initialized():
        return Path(HydraConfig.get().runtime.cwd)
    return Path(os.getcwd())
