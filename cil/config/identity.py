"""Identity of a run: a short hash of everything that can change its results."""

import hashlib
import json
from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

from cil.config.class_list import names_hash
from cil.config.methods import available_methods
from cil.config.names import show
from cil.config.parts import FIRST, part_versions
from cil.config.presets import DEFAULT_MARGIN
from cil.config.usage import flat, key_facts, put, trains, unused_by_method, why_unused
from cil.errors import ConfigError

NOT_IN_IDENTITY = (
    "name",
    "tags",
    "notes",
    "device",
    "dataset.root",
    "dataset.download",
    "dataset.num_workers",
    "dataset.resident_gb",
    "trainer.eval_every",
    "trainer.check_every",
    "trainer.on_oom",
    "trainer.forecast",
    "tracking",
    "checkpoint",
    "branch.run",
)
"""Keys that change where, how fast or how visibly a run works, but none of its results."""


def run_id(effective: dict[str, Any], versions: Mapping[str, Any] | None = None) -> str:
    """12 hex digits: sha256 of the canonical JSON of `identity_part` and the versions of the parts that are used.

    A class list counts with its names, not its path, order or layout. Versions count where they are above the
    first one; versions: those of an earlier program, in place of this one's.
    """
    used = part_versions(effective) if versions is None else versions
    raised = {part: version for part, version in used.items() if version != FIRST}
    payload = [raised or FIRST, identity_part(effective)]
    text = json.dumps(payload, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def settings_of_result(effective: Mapping[str, Any]) -> dict[str, Any]:
    """What result.json notes of its configuration: dotted key -> value of all that can change results.

    Without `dataset.class_list`, a path: result.json notes its names.
    """
    left_out = (*NOT_IN_IDENTITY, "dataset.class_list")
    return {key: v for key, v in flat(effective).items() if key not in left_out and key.split(".")[0] not in left_out}


def contradiction(result: Mapping[str, Any], config: Mapping[str, Any]) -> str | None:
    """In what a config.yaml is not that of the result.json beside it: somebody edited or exchanged one of them.

    config: nested, or by dotted keys. Value against value, for the keys that the result notes, so that no rule of a
    later version plays a part.
    None: it is that one, or the result is of a version that noted no settings.
    """
    noted, there = result.get("settings"), flat(config)
    if not isinstance(noted, dict):
        return None
    wrong = [f"{key}: {show(there.get(key))}, not {show(v)}" for key, v in noted.items() if there.get(key) != v]
    listed, lists = result.get("class_list") is not None, there.get("dataset.class_list") is not None
    if listed != lists:
        wrong.append(f"dataset.class_list: {show(there.get('dataset.class_list'))}, not {'one' if listed else 'null'}")
    more = f" and {len(wrong) - 3} more" * (len(wrong) > 3)
    return f"config.yaml is not the one that result.json is of ({'; '.join(wrong[:3])}{more})" if wrong else None


def training_id(effective: dict[str, Any]) -> str:
    """`run_id`, but the same for runs that train alike and only measure their statistics otherwise."""
    alike = deepcopy(effective)
    for key in probes(effective):
        put(alike, key, PROBE_DEFAULTS[key])
    return run_id(alike)


PROBE_DEFAULTS = {"ant_margin": DEFAULT_MARGIN, "loss.negatives": "first_view", "loss.reference": "anchor"}
"""What statistics are measured with by default: keys that a loss may train with, and always measures with."""


def probes(effective: dict[str, Any]) -> dict[str, Any]:
    """The keys that change nothing but the statistics of a run, and their values."""
    values = flat(effective)
    return {k: values[k] for k in PROBE_DEFAULTS if values.get(k) is not None and not trains(values, k)}


def identity_part(effective: dict[str, Any]) -> dict[str, Any]:
    """The part of the effective configuration that can change results.

    Without what the method does not use, and without keys at their neutral value: a key that is added to the schema
    leaves the identity of earlier runs alone.
    """
    kept = deepcopy(effective)
    for key in (*NOT_IN_IDENTITY, *_unused_by_method(kept), *_neutral(kept)):
        group, _, last = key.rpartition(".")
        (kept.get(group, {}) if group else kept).pop(last, None)
    class_list = kept["dataset"]["class_list"]
    if class_list is not None:
        kept["dataset"]["class_list"] = _names_hash(class_list)
    return {name: value for name, value in kept.items() if value != {}}


def _unused_by_method(effective: dict[str, Any]) -> tuple[str, ...]:
    method = effective["method"]["name"]
    return unused_by_method(method) if method in available_methods() else ()


def _neutral(effective: dict[str, Any]) -> list[str]:
    """Keys at their neutral value, or null because they are unused."""
    values = flat(effective)
    return [
        key
        for key, facts in key_facts(values["method.name"]).items()
        if "neutral" in facts
        and key in values
        and (values[key] == facts["neutral"] or why_unused(values, key) is not None)
    ]


def _names_hash(path: str) -> str:
    """A list that cannot be read is refused before a run starts; a stored run whose list is gone still has an id."""
    try:
        return names_hash(path)
    except ConfigError:
        return Path(path).name
