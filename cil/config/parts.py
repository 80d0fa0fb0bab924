"""Versions of the parts of the program that make numbers.

A change that moves numbers raises the version of the part it is in, and of no other: it then has another identity
in every run that uses the part, which no older one is continued, skipped or averaged with. What does not use the
part stays as it is.
"""

from collections.abc import Mapping
from typing import Any

from cil.config.usage import flat

FIRST = 1
"""Version of a part that VERSIONS does not name."""

VERSIONS: dict[str, int] = {"compile": 2}
"""Part -> version, for those above FIRST: {"autoaugment": 2, "loss.ant": 2}. CHANGELOG.md says what changed."""


def part_versions(effective: Mapping[str, Any]) -> dict[str, int]:
    """Part -> version, of the parts that an effective configuration uses. It may be nested or flat."""
    return {part: VERSIONS.get(part, FIRST) for part in used_parts(effective)}


def used_parts(effective: Mapping[str, Any]) -> list[str]:
    """The parts that an effective configuration uses, sorted.

    training: the loop over tasks, epochs and batches, and what is drawn at random. evaluation: accuracies and what is
    computed from them. optimizer. backbone. augmentation: all changes to images but AutoAugment. view_bank: its draws
    and features. data.SOURCE: reading images and cutting them into sets. data.pack: what a pack holds and how it is
    cut. method.NAME: objective and network. autoaugment, memory (choice of exemplars), loss.NAME (with its statistics),
    margin_schedule and compile: where the run has them.
    """
    values = flat(effective)
    used = ["training", "evaluation", "optimizer", "backbone", "augmentation"]
    used.append(f"data.{values.get('dataset.source')}")
    used.append(f"method.{values.get('method.name')}")
    if values.get("dataset.pack_side") is not None:
        used.append("data.pack")
    if values.get("augment.auto_augment") not in (None, "none"):
        used.append("autoaugment")
    if values.get("augment.view_bank") is not None:
        used.append("view_bank")
    if values.get("memory.size") or values.get("memory.total_mb"):
        used.append("memory")
    if values.get("loss.name") is not None:
        used += [f"loss.{values['loss.name']}", "margin_schedule"]
    if values.get("trainer.compile"):
        used.append("compile")
    return sorted(used)


def version_of_all(versions: Mapping[str, int]) -> int:
    """One number for a program that knows no parts: FIRST where no part is above it."""
    return max(versions.values(), default=FIRST)


def stored_versions(stored: Mapping[str, Any], effective: Mapping[str, Any]) -> dict[str, Any]:
    """Part -> version a checkpoint or result.json was made with, of the parts that its configuration uses.

    stored: its content. Before parts had versions, all had the one of `results_version`.
    """
    recorded = stored.get("part_versions")
    if isinstance(recorded, dict):
        return {part: recorded.get(part, FIRST) for part in used_parts(effective)}
    return dict.fromkeys(used_parts(effective), stored.get("results_version"))


def changed_parts(stored: Mapping[str, Any], effective: Mapping[str, Any]) -> list[str]:
    """'PART (version THEN, now NOW)' for each part whose numbers have moved since `stored` was made."""
    now = part_versions(effective)
    then = stored_versions(stored, effective)
    return [f"{part} (version {then[part]}, now {version})" for part, version in now.items() if then[part] != version]
