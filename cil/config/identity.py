"""Identity of a run: a short hash of everything that can change its results."""

import hashlib
import json
from copy import deepcopy
from pathlib import Path
from typing import Any

from cil.config.class_list import names_hash
from cil.errors import ConfigError

RESULTS_VERSION = 1
"""Raised whenever a change of the program moves numbers: results of two versions never share an identity."""

NOT_IN_IDENTITY = (
    "name",
    "device",
    "dataset.root",
    "dataset.download",
    "dataset.num_workers",
    "trainer.eval_every",
    "trainer.check_every",
    "trainer.on_oom",
    "trainer.forecast",
    "tracking",
    "checkpoint",
)
"""Keys that change where, how fast or how visibly a run works, but none of its results."""


def run_id(effective: dict[str, Any]) -> str:
    """12 hex digits: sha256 of the canonical JSON of the effective configuration without NOT_IN_IDENTITY.

    A class list counts with its names, not its path, order or layout.
    """
    kept = identity_part(effective)
    text = json.dumps([RESULTS_VERSION, kept], sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def identity_part(effective: dict[str, Any]) -> dict[str, Any]:
    """The part of the effective configuration that can change results."""
    kept = deepcopy(effective)
    for key in NOT_IN_IDENTITY:
        group, _, last = key.rpartition(".")
        (kept[group] if group else kept).pop(last, None)
    class_list = kept["dataset"]["class_list"]
    if class_list is not None:
        kept["dataset"]["class_list"] = _names_hash(class_list)
    return kept


def _names_hash(path: str) -> str:
    """A list that cannot be read is refused before a run starts; a stored run whose list is gone still has an id."""
    try:
        return names_hash(path)
    except ConfigError:
        return Path(path).name
