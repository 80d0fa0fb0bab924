"""A job: one checked run, from what Hydra composed."""

from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from cil.config.effective import effective, launch_folder
from cil.config.identity import run_id
from cil.config.packs import pack_head
from cil.config.ranges import check_ranges
from cil.config.schema import DatasetConfig, RunConfig
from cil.config.typed import plain, typed
from cil.errors import ConfigError
from cil.planning.messages import first_line
from cil.planning.validate import validate


@dataclass(frozen=True)
class Job:
    """One run to do."""

    overrides: list[str]
    """Overrides that lead to it (without hydra.* ones)."""
    config: RunConfig
    """Typed, resolved, effective."""
    effective: dict[str, Any]
    """The same as plain values: what config.yaml holds."""
    run_id: str
    """Identity; names the folder in a sweep."""
    warnings: list[str] = field(default_factory=list)
    """Settings that have no effect, one line each."""
    folder: Path | None = None
    """Where a job of a sweep writes; None for a single run, whose folder is drawn when it starts."""
    copies: list[list[str]] = field(default_factory=list)
    """Overrides of other jobs of the sweep that are this one again."""
    spelled: list[str] = field(default_factory=list)
    """Of a sweep around a stored configuration: every key as an override."""

    @property
    def to_compose(self) -> list[str]:
        """What Hydra composes the job from."""
        return self.spelled or self.overrides


def job_from_composed(
    composed: DictConfig,
    overrides: Collection[str] = (),
    written: Collection[str] = (),
    look_for_data: bool = True,
) -> Job:
    """The checked job of a composed configuration, with or without its hydra node. Raises ConfigError.

    written: keys the user wrote; unused ones among them are warned about. look_for_data: see `validate`.
    """
    config, preset_start = typed_config(composed)
    check_ranges(config)
    config, warnings = effective(config, preset_start, written)
    warnings += validate(config, look_for_data)
    values = plain(config)
    return Job(list(overrides), config, values, run_id(values), warnings)


def typed_config(composed: DictConfig) -> tuple[RunConfig, bool]:
    """The typed configuration, and whether its start margin is a preset's (still an interpolation).

    A pack at `dataset.root` is recognised here.
    """
    own = OmegaConf.masked_copy(composed, [str(key) for key in composed if key != "hydra"])
    schedule = OmegaConf.to_container(own, resolve=False).get("margin_schedule")  # type: ignore[union-attr]
    start = schedule.get("initial_margin") if isinstance(schedule, dict) else None
    try:
        resolved = cast(dict[str, Any], OmegaConf.to_container(own, resolve=True))
    except OmegaConfBaseException as error:
        raise ConfigError(first_line(error)) from None
    config = typed(resolved)
    _recognise_pack(config.dataset)
    return config, isinstance(start, str) and "${cil.preset:" in start


def _recognise_pack(dataset: DatasetConfig) -> None:
    """Note in `pack_side` that the data is a pack, so that it becomes part of what the run is."""
    if dataset.root is not None and dataset.pack_side is None:
        head = pack_head(launch_folder() / Path(dataset.root).expanduser())
        dataset.pack_side = None if head is None else head["side"]
