"""Identity of a run: a short hash of everything that can change its results."""

import hashlib
import json
from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

from cil import __version__
from cil.config.class_list import names_hash
from cil.config.methods import available_methods
from cil.config.parts import FIRST, part_versions, stored_versions
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


def contradiction(result: Mapping[str, Any], effective: dict[str, Any]) -> str | None:
    """Why a result.json cannot be of the configuration that lies beside it: somebody edited or exchanged one of them.

    None: it can, or this program cannot know: it judges neither what another version wrote, whose identities may rest
    on other keys, nor a method it does not have, nor a class list, whose file may have moved.
    """
    try:
        noted, version, method = result["config_id"], result["versions"]["cil"], effective["method"]["name"]
        if (
            version != __version__
            or not result["part_versions"]
            or method not in available_methods()
            or effective["dataset"]["class_list"]
        ):
            return None
        found = run_id(effective, stored_versions(result, effective))
    except (ConfigError, KeyError, TypeError, ValueError):
        return None
    if found == noted:
        return None
    return f"config.yaml holds other settings (identity {found}) than those that result.json is of ({noted})"


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
