"""What groups beside `resume=RUN` say of the run: their own keys, not the defaults that they bring for others."""

from collections.abc import Collection, Iterator
from typing import Any, cast

from hydra.core.default_element import GroupDefault
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf

from cil.config.identity import NOT_IN_IDENTITY
from cil.config.typed import flat
from cil.planning.hydra_adapter import ConfigLoader
from cil.planning.overrides import OPTIONAL_GROUPS

_DEFAULTS_FOR_OTHERS = ("dataset",)
"""Groups that fill other groups (epochs, memory, ...) with what suits them: a default there, no word of the user."""


def named_values(loader: ConfigLoader, composed: DictConfig, overrides: list[Override]) -> dict[str, Any]:
    """Dotted key -> value of what these overrides name, single keys and groups; interpolations stay.

    So a preset's margins are those of the stored data set and split, whatever data set `composed` has.
    """
    written = {str(override.key_or_group) for override in overrides}
    brought = set().union(*(_brought(loader, group, option) for group, option in _options(overrides)))
    content = cast(dict[str, Any], OmegaConf.to_container(composed, resolve=False))
    values = flat({key: value for key, value in content.items() if key != "hydra"})
    named = {key: value for key, value in values.items() if key in written or _counts(key, brought, written)}
    if named.get("margin_schedule.name") == "curriculum":
        named.setdefault("ant_margin", None)  # the two exclude each other
    return named


def _counts(key: str, brought: Collection[str], written: Collection[str]) -> bool:
    """Whether a key that was not written is named all the same, by a group."""
    group = key.partition(".")[0]
    if key not in brought and group not in brought:
        return False
    # A stored run has its start margin in ant_margin.
    if key in NOT_IN_IDENTITY or key == "margin_schedule.initial_margin":
        return False
    return group not in NOT_IN_IDENTITY or group in written


def _options(overrides: list[Override]) -> Iterator[tuple[str, str]]:
    """The chosen options: (group, option)."""
    for override in overrides:
        value: Any = None if override.is_delete() else override.value()
        for option in value if isinstance(value, list) else [value]:
            if isinstance(option, str):
                yield str(override.key_or_group), option


def _brought(loader: ConfigLoader, group: str, option: str) -> set[str]:
    """Keys, and groups with all of their keys, that `group=option` is about."""
    loaded = loader.repository.load_config(f"{group}/{option}")
    if loaded is None:
        return set()  # a single key, no group
    found = set() if group in OPTIONAL_GROUPS else {group}
    if group in _DEFAULTS_FOR_OTHERS:
        return found
    if loaded.header.get("package") == "_global_":
        found |= flat(cast(dict[str, Any], OmegaConf.to_container(loaded.config, resolve=False))).keys()
    for default in loaded.defaults_list or ():
        if isinstance(default, GroupDefault) and default.override and isinstance(default.value, str):
            found |= _brought(loader, str(default.group).strip("/"), default.value)
    return found
