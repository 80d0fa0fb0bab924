"""What is known of each key (cil/config/keys.py), and which keys a configuration has no use for.

A configuration is given as its values: dotted key -> plain value, enums by name.
"""

from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass, fields, is_dataclass
from functools import cache
from typing import Any, get_type_hints

from cil.config.keys import Facts, facts_of
from cil.config.methods import available_methods, uses
from cil.config.schema import METHOD_SCHEMAS, RunConfig, method_schema
from cil.errors import ConfigError

Values = Mapping[str, Any]


@cache
def key_facts(method: str | None = None) -> dict[str, Facts]:
    """Dotted key -> what stands beside it in the schema; `method` None: of all methods together."""
    found: dict[str, Facts] = {}
    for item in fields(RunConfig):
        if item.name == "method":
            schemas = list(METHOD_SCHEMAS.values()) if method is None else [method_schema(method)]
        elif is_dataclass(hint := get_type_hints(RunConfig)[item.name]):
            schemas = [hint]  # type: ignore[list-item]
        else:
            found[item.name] = facts_of(item)
            continue
        found |= {f"{item.name}.{inner.name}": facts_of(inner) for schema in schemas for inner in fields(schema)}
    return found


@cache
def default_of(key: str, method: str | None = None) -> Any:
    """A key's default in the schema; `method` None: of all methods together."""
    group, _, name = key.rpartition(".")
    if not group:
        return getattr(RunConfig(), name)
    if group == "method":
        schemas = METHOD_SCHEMAS.values() if method is None else [method_schema(method)]
        owners = [schema for schema in schemas if any(f.name == name for f in fields(schema))]
        return getattr(owners[0](), name)
    return getattr(get_type_hints(RunConfig)[group](), name)


@cache
def group_facts() -> dict[str, Facts]:
    """The same for groups."""
    return {item.name: facts_of(item) for item in fields(RunConfig)}


@cache
def inherited_keys() -> frozenset[str]:
    """Keys that a run keeps when it branches off another one."""
    groups = {name for name, facts in group_facts().items() if facts.get("inherited")}
    return frozenset(
        key for key, facts in key_facts().items() if facts.get("inherited") or key.partition(".")[0] in groups
    )


@cache
def optional_for_methods() -> tuple[str, ...]:
    """Groups and keys that a method can do without: what its `USES` may name."""
    everything = group_facts() | key_facts()
    return tuple(name for name, facts in everything.items() if facts.get("by_method"))


@cache
def unused_by_method(method: str) -> tuple[str, ...]:
    """Groups and keys that the method does without. Raises ConfigError for a wrong `USES` in its file."""
    used = uses(method)
    for name in used:
        if name not in optional_for_methods():
            raise ConfigError(
                f"method.name: USES of {method} names {name!r}; valid: {', '.join(optional_for_methods())}"
            )
    return tuple(name for name in optional_for_methods() if name not in used)


@dataclass(frozen=True)
class Unused:
    """Why a key has no part in a run."""

    reason: str
    """The setting that makes it so: 'loss=infonce'."""
    group: str | None = None
    """The group, if all of it has no part."""
    recorded: Any = None
    """What is recorded instead of the key's value."""


def why_unused(values: Values, key: str) -> Unused | None:
    """Why `key` has no part in the run, or None if it has one."""
    group = key.partition(".")[0]
    method = values.get("method.name")
    for name in (group, key):
        if method in available_methods() and name in unused_by_method(str(method)):
            return Unused(f"method={method}", name)
    of_group = _failing(values, group_facts().get(group, Facts()) if group != key else Facts())
    if of_group is not None:
        return Unused(of_group.reason, group)
    facts = _facts(values, key)
    failing = _failing(values, facts)
    if failing is not None and failing.own:
        return Unused(failing.reason, recorded=facts.get("idle"))
    return None if failing is None else Unused(failing.reason, failing.group)


def trains(values: Values, key: str) -> bool:
    """Whether `key` can change training; some are used in measurements only."""
    return why_unused(values, key) is None and why_not_trained(values, key) is None


def why_not_trained(values: Values, key: str) -> str | None:
    """The setting because of which a key that is used changes measurements only; None where it changes training.

    A loss of one's own is taken to train with every key.
    """
    if values.get("loss.name") not in (None, *_SHIPPED_LOSSES):
        return None
    for one in _facts(values, key).get("trains", ()):
        unused = why_unused(values, one.key)
        if unused is not None:
            return unused.reason
        if not one.holds(values):
            return one.reason(values)
    return None


_SHIPPED_LOSSES = ("infonce", "ant")


def owners(values: Values, key: str) -> set[str]:
    """Keys that decide whether `key` is used, those of these keys included."""
    group = key.partition(".")[0]
    facts = _facts(values, key)
    conditions = (*facts.get("used", ()), *facts.get("trains", ()), *group_facts().get(group, Facts()).get("used", ()))
    found = {"method.name"}
    for one in conditions:
        found |= {one.key, *owners(values, one.key)}
    return found - {key}


@dataclass(frozen=True)
class _Failing:
    reason: str
    own: bool
    """The condition itself fails; otherwise the key that it asks is unused."""
    group: str | None = None


def _failing(values: Values, facts: Facts) -> _Failing | None:
    for condition in facts.get("used", ()):
        asked = why_unused(values, condition.key)
        if asked is not None:
            return _Failing(asked.reason, False, asked.group)
        if not condition.holds(values):
            return _Failing(condition.reason(values), True)
    return None


def _facts(values: Values, key: str) -> Facts:
    method = values.get("method.name")
    known = key_facts(method if isinstance(method, str) else None)
    return known.get(key) or key_facts().get(key, Facts())


def with_neutral(nested: dict[str, Any]) -> dict[str, Any]:
    """A stored configuration with the keys that are newer than it, as it had them: neutral, or as unused keys are.

    Where the content is no configuration it is left as it is, for whoever checks it.
    """
    method = nested["method"].get("name") if isinstance(nested.get("method"), dict) else None
    filled = {name: dict(value) if isinstance(value, dict) else value for name, value in nested.items()}
    added = []
    for key, facts in key_facts(method if isinstance(method, str) else None).items():
        group, _, name = key.rpartition(".")
        node = filled.setdefault(group, {}) if group else filled
        if "neutral" in facts and isinstance(node, dict) and name not in node:
            node[name] = copy(facts["neutral"])
            added.append((key, node, name))
    values = flat(filled)
    for key, node, name in added:
        unused = why_unused(values, key)
        if unused is not None:
            node[name] = unused.recorded
    return {name: value for name, value in filled.items() if value != {} or name in nested}


def flat(nested: Mapping[str, Any]) -> dict[str, Any]:
    """Dotted key -> value of a plain configuration."""
    values: dict[str, Any] = {}
    for name, value in nested.items():
        values |= {f"{name}.{key}": inner for key, inner in value.items()} if isinstance(value, dict) else {name: value}
    return values


def put(nested: dict[str, Any], key: str, value: Any) -> None:
    """Set a dotted key of a plain configuration, in place. Raises KeyError where it has no such group."""
    group, _, name = key.rpartition(".")
    (nested[group] if group else nested)[name] = value
