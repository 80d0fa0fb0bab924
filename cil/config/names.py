"""Every configuration key with its type, and the error for a key or option that does not exist."""

import dataclasses
from collections.abc import Iterable
from difflib import get_close_matches
from enum import Enum
from functools import cache
from types import NoneType, UnionType
from typing import Any, get_args, get_origin, get_type_hints

from cil.config.keys import ALWAYS, facts_of
from cil.config.launch import LAUNCH_KEYS
from cil.config.schema import METHOD_SCHEMAS, RunConfig, method_schema
from cil.config.show import show as show
from cil.errors import ConfigError

FOREIGN_KEYS = {
    "adaptive_margin": "margin_schedule=linear",
    "initial_margin": "margin_schedule.initial_margin=VALUE",
    "target_margin": "margin_schedule.target_margin=VALUE",
    "enable_gap_max": "loss=ant_gap",
    "gap_target": "loss.gap_target=VALUE",
    "gap_beta": "loss.gap_beta=VALUE",
    "hard_negative_mining": "loss=ant_hard",
    "hard_negative_ratio": "loss.hard_negative_ratio=VALUE",
    "ant_max_global": "loss.reference=global",
    "nce_alpha": "loss.nce_alpha=VALUE",
    "ant_beta": "loss.ant_beta=VALUE",
}
"""Keys of other TagFex+ANT programs, and what is written here instead."""

COMMON_WORDS = {
    "margin": "ant_margin",
    "learning_rate": "optimizer.lr",
    "tau": "loss.temperature",
    "exemplars": "memory.size",
    "memory_size": "memory.size",
    "gpu": "device",
}
"""What people call a key whose name here is too different to be found by its spelling."""


@cache
def key_types(method: str | None = None) -> dict[str, Any]:
    """Dotted key -> type of every leaf of the schema; `method` None: of all methods together.

    Without null where it stands only for "the method does without it".
    """
    types: dict[str, Any] = {}
    for name, hint in get_type_hints(RunConfig).items():
        if name == "method":
            for schema in list(METHOD_SCHEMAS.values()) if method is None else [method_schema(method)]:
                types |= {f"method.{key}": kind for key, kind in _field_types(schema).items()}
        elif dataclasses.is_dataclass(hint):
            types |= {f"{name}.{key}": kind for key, kind in _field_types(hint).items()}
        else:
            types[name] = hint
    return types


def _field_types(schema: Any) -> dict[str, Any]:
    hints = get_type_hints(schema)
    for item in dataclasses.fields(schema):
        if facts_of(item).get("needed") == ALWAYS:
            hints[item.name] = get_args(hints[item.name])[0]
    return hints


def describe_type(hint: Any) -> str:
    """What a value of this type looks like, for people: 'an integer or null', 'one of a, b'."""
    if get_origin(hint) is UnionType:
        parts = [describe_type(part) for part in get_args(hint) if part is not NoneType]
        return " or ".join([*parts, "null"])
    if get_origin(hint) is list:
        entries = {int: "integers", float: "numbers", str: "texts"}
        return f"a list of {entries[get_args(hint)[0]]}"
    if isinstance(hint, type) and issubclass(hint, Enum):
        return "one of " + ", ".join(hint.__members__)
    return {int: "an integer", float: "a number", bool: "true or false", str: "text"}.get(hint, "any value")


def nearest(word: str, valid: Iterable[str]) -> str | None:
    """The most similar valid name, or None when nothing comes close."""
    matches = get_close_matches(word, list(valid), n=1, cutoff=0.6)
    return matches[0] if matches else None


def suggestion(word: str, valid: Iterable[str]) -> str:
    """'did you mean X? valid: a, b, c' (the first part only where a name comes close)."""
    names = list(valid)
    close = nearest(word, names)
    listed = "valid: " + ", ".join(names)
    return f"did you mean {close}? {listed}" if close else listed


def unknown_key(key: str, groups: Iterable[str] = (), method: str | None = None) -> ConfigError:
    """The error for a key that is in no schema."""
    valid = list(key_types(method))
    group, _, last = key.rpartition(".")
    if last in FOREIGN_KEYS and f"loss.{last}" != key:
        return ConfigError(f"{key}: unknown key; here it is written {FOREIGN_KEYS[last]}")
    for word, meant in (*COMMON_WORDS.items(), *_of_both_phases(valid).items()):
        if last == word and f"{group}.{word}s" not in valid:
            return ConfigError(f"{key}: unknown key; did you mean {meant}?")
    siblings = {name.rpartition(".")[2]: name for name in valid if name.startswith(f"{group}.")}
    everywhere = {name.rpartition(".")[2]: name for name in reversed(valid)} | {
        name: name for name in (*groups, *LAUNCH_KEYS)
    }
    close = siblings.get(nearest(last, siblings) or "") or everywhere.get(nearest(last, everywhere) or "")
    if close:
        return ConfigError(f"{key}: unknown key; did you mean {close}?")
    listed = siblings.values() or [*(name for name in valid if "." not in name), *LAUNCH_KEYS, *groups]
    return ConfigError(f"{key}: unknown key; valid: {', '.join(listed)}")


def _of_both_phases(valid: Iterable[str]) -> dict[str, str]:
    """`epochs` and the like: what task 1 and the later tasks have a key of their own for."""
    names = {name.rpartition(".")[2]: name for name in valid}
    return {
        name.removeprefix("init_"): f"{names[name]} (task 1) and {other} (later tasks)"
        for name in names
        if name.startswith("init_") and (other := names.get(f"inc_{name.removeprefix('init_')}"))
    }


def unknown_option(group: str, option: str, valid: Iterable[str]) -> ConfigError:
    """The error for `group=option` where conf/ has no such option."""
    return ConfigError(f"{group}: no option {option!r}; {suggestion(option, sorted(valid))}")
