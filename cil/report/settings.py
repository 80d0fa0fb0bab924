"""Settings of runs as dotted keys: which differ between two runs, and which differences mean anything."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from typing import Any

import yaml

from cil.config.identity import NOT_IN_IDENTITY
from cil.config.names import show
from cil.config.usage import key_facts, owners, trains

Settings = Mapping[str, Any]
ABSENT = "(absent)"
"""Stands for a key that a stored configuration does not have."""

CUT = "trainer.max_tasks"
"""Where training ended: no setting of a group, since the number of tasks of a result tells it."""
ORDER_KEYS = ("class_order", "class_order_seed")
TEST_SET_KEYS = ("dataset.max_test_per_class", "dataset.class_list")
LOSS_FAMILY = ("loss", "margin_schedule", "ant_margin")
"""Keys of the contrastive loss: the subject of the project, hence one factor unless told otherwise."""


def flatten(nested: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Dotted key -> value. Lists are values."""
    values: dict[str, Any] = {}
    for name, value in nested.items():
        key = f"{prefix}{name}"
        values |= flatten(value, f"{key}.") if isinstance(value, dict) else {key: value}
    return values


def unflatten(settings: Settings) -> dict[str, Any]:
    """The nested configuration of dotted keys."""
    nested: dict[str, Any] = {}
    for key, value in settings.items():
        *groups, last = key.split(".")
        node = nested
        for group in groups:
            node = node.setdefault(group, {})
        node[last] = value
    return nested


def of_identity(settings: Settings, shares: Sequence[Mapping[str, Any]] = ()) -> dict[str, Any]:
    """The settings that can change a result. Those of the tasks that a branch inherited (`shares`) are one of them,
    `branch`, without their seeds: branches off runs that differ in nothing else belong together. CUT is none.
    """
    left_out = (*NOT_IN_IDENTITY, "branch", CUT)
    own = {key: value for key, value in settings.items() if not covered(key, left_out)}
    return own | {"branch": _start(settings, shares)}


def _start(settings: Settings, shares: Sequence[Mapping[str, Any]]) -> str | None:
    """'task 1 of 3f2a9c01': a hash of what the inherited tasks were trained with; None for a run without any."""
    task = settings.get("branch.task")
    if task is None:
        return None
    left_out = (*NOT_IN_IDENTITY, "branch", "seed", *ORDER_KEYS, *TEST_SET_KEYS, CUT)
    seen = [
        [
            share["tasks"],
            sorted((k, frozen(v)) for k, v in flatten(share["config"]).items() if not covered(k, left_out)),
        ]
        for share in shares
    ]
    what = json.dumps(seen or settings.get("branch.run_id"))
    return f"task{'s 1 to' if task > 1 else ''} {task} of {sha256(what.encode()).hexdigest()[:8]}"


def covered(key: str, patterns: Iterable[str]) -> bool:
    """Whether `key` is one of the keys, or inside one of the groups, of `patterns`."""
    return any(key == pattern or key.startswith(f"{pattern}.") for pattern in patterns)


def frozen(value: Any) -> str:
    """A value as a hashable text; 1 and 1.0 are the same value."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    return json.dumps(value, sort_keys=True)


def differing(a: Settings, b: Settings) -> list[str]:
    """Keys with different values, in the order of `a`."""
    keys = [*a, *(key for key in b if key not in a)]
    return [key for key in keys if frozen(a.get(key, ABSENT)) != frozen(b.get(key, ABSENT))]


def unused(settings: Settings, key: str) -> bool:
    """Whether the run records `key` without training with it."""
    if key.startswith("method.") and key not in settings:
        return True
    return key in key_facts() and not trains(settings, key)


def follows(key: str, a: Settings, b: Settings) -> bool:
    """Whether a difference in `key` only says that one of the two does not use it.

    E.g. loss.ant_beta null against 1.0 beside loss.name infonce against ant. Two methods may have keys of one name;
    each has its own.
    """
    if key.startswith("method.") and key != "method.name" and a.get("method.name") != b.get("method.name"):
        return True
    if key == "method.name" or not (unused(a, key) or unused(b, key)):
        return False
    return any(a.get(owner) != b.get(owner) for owner in owners(a, key) | owners(b, key))


def means_off(key: str, value: Any) -> bool:
    """Whether the value says that something is not there: labels that tell groups apart without it leave it out."""
    facts = key_facts().get(key, {})
    return "off" in facts and frozen(value) == frozen(facts["off"])


def real_differences(a: Settings, b: Settings) -> list[str]:
    """Differing keys without those that only follow from another one."""
    return [key for key in differing(a, b) if not follows(key, a, b)]


def short_name(key: str, keys: Sequence[str]) -> str:
    """`loss` for loss.name, ant_margin for itself, the last part where no other key of `keys` ends like it."""
    group, _, last = key.rpartition(".")
    if last == "name" and group:
        return group
    return last if sum(other.rpartition(".")[2] == last for other in keys) == 1 else key


def show_setting(value: Any) -> str:
    """A value for people."""
    return str(value) if isinstance(value, str) else show(value)


def parse_overrides(text: str) -> dict[str, Any]:
    """'loss=ant ant_margin=0.1' (spaces or commas between) -> {"loss": "ant", "ant_margin": 0.1}.

    Raises ValueError where a part is no KEY=VALUE.
    """
    wanted = {}
    for part in re.split(r"[\s,]+(?![^\[]*\])", text.strip()):  # not at the commas of a list
        key, equals, value = part.partition("=")
        if not equals or not key:
            raise ValueError(f"{part!r} is not KEY=VALUE")
        try:
            wanted[key] = yaml.safe_load(value)
        except yaml.YAMLError:
            raise ValueError(f"{part!r} has no readable value") from None
    return wanted


def matches(settings: Settings, wanted: Settings) -> bool:
    """Whether every wanted key has that value; `loss` stands for loss.name, `gap_beta` for loss.gap_beta."""
    for key, value in wanted.items():
        names = [key, f"{key}.name", *(name for name in settings if name.endswith(f".{key}"))]
        found = next((settings[name] for name in names if name in settings), ABSENT)
        if frozen(found) != frozen(value):
            return False
    return True
