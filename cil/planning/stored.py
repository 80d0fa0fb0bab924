"""Jobs from a stored configuration: `resume=RUN` and `rerun=RUN`."""

import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from cil.config.effective import effective
from cil.config.identity import identity_part, run_id
from cil.config.locations import hint_of_runs
from cil.config.names import show
from cil.config.packs import pack_head
from cil.config.schema import RunConfig
from cil.config.typed import flat, load_effective, plain, plain_value
from cil.config.usage import default_of, why_unused, with_neutral
from cil.errors import ConfigError


def stored_config(key: str, folder: str) -> dict[str, Any]:
    """The effective configuration in a run's folder. Raises ConfigError naming `key` (resume or rerun)."""
    path = Path(folder).expanduser()
    if not path.is_dir():
        raise ConfigError(f"{key}: {folder} is not a folder; valid is a run's folder, e.g. outputs/NAME/TIME")
    if not (path / "config.yaml").is_file():
        raise ConfigError(f"{key}: {folder} holds no config.yaml, so it is not a run's folder{hint_of_runs(path)}")
    return canonical(load_effective(path / "config.yaml"))


def canonical(config: RunConfig) -> dict[str, Any]:
    """A stored configuration as this version records it: an older one may hold keys that now count as unused."""
    return plain(effective(config, preset_start=False)[0])


def with_overrides(stored: dict[str, Any], values: dict[str, Any]) -> dict[str, Any]:
    """`stored` with single keys changed. Keys that were recorded as unused start at their defaults again."""
    config = OmegaConf.create(stored)
    before = flat(stored)
    method = before["method.name"]
    for key in before:
        unused = why_unused(before, key)
        if unused is not None and before[key] == unused.recorded:
            OmegaConf.update(config, key, plain_value(default_of(key, method)), merge=False)
    if "margin_schedule.initial_margin" in values and "ant_margin" not in values:
        config.ant_margin = None
    for key, value in values.items():
        OmegaConf.update(config, key, value, merge=False)
    result: dict[str, Any] = OmegaConf.to_container(config)  # type: ignore[assignment]
    return result


def differences(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """`key: old -> new` for every key that can change results."""
    before, after = flat(identity_part(old)), flat(identity_part(new))
    shown = flat(with_neutral(old)), flat(with_neutral(new))  # a neutral value is no part of the identity
    return [
        f"{key}: {show(shown[0].get(key))} -> {show(shown[1].get(key))}"
        for key in sorted(before.keys() | after.keys())
        if before.get(key) != after.get(key)
    ]


def refuse_differences(folder: str, stored: dict[str, Any], new: dict[str, Any]) -> None:
    """Raises ConfigError listing what a continued run would change of its results."""
    if run_id(stored) == run_id(new):
        return
    raise ConfigError(
        f"resume: {folder} was started with other settings, and a continued run must equal an unbroken one "
        f"({'; '.join(differences(stored, new))}); leave them out (config.yaml too must be as it was), or "
        f"start a new run with rerun={folder}"
    )


def refuse_other_classes(folder: Path, new: dict[str, Any]) -> None:
    """Raises ConfigError where a finished run learned classes of one's own images that `dataset.root` does not hold.

    Paths are no part of an identity; a folder of other images must not count as the one that was trained on.
    """
    dataset = new["dataset"]
    if dataset["source"] != "image_folder" or not dataset["root"]:
        return
    try:
        tasks = json.loads((folder / "result.json").read_text(encoding="utf-8"))["tasks"]
        learned = {name for task in tasks for name in task["names"]}
        head = pack_head(Path(dataset["root"]))
        there = set(head["classes"]) if head else {path.name for path in Path(dataset["root"], "train").iterdir()}
    except (OSError, ValueError, KeyError, TypeError):
        return  # not finished, or not these layouts: loading will tell
    missing = sorted(learned - there)
    if missing:
        raise ConfigError(
            f"dataset.root: {dataset['root']} has no class {missing[0]}, which {folder} was trained on: other images "
            "need another dataset.name (or another folder)"
        )


def refuse_groups(overrides: Collection[str], groups: Collection[str]) -> None:
    """Raises ConfigError for a group choice beside rerun."""
    for text in overrides:
        key = text.partition("=")[0].lstrip("+~")
        if key in groups:
            raise ConfigError(f"{text}: beside rerun only single keys can be changed, e.g. {key}.KEY=VALUE")
