"""Settings of a finished run that may differ when it is looked at again: where the images are, and what computes."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from cil.config.effective import launch_folder
from cil.config.names import show, suggestion
from cil.config.packs import pack_head
from cil.config.ranges import check_ranges
from cil.config.schema import RunConfig
from cil.config.typed import plain, typed
from cil.config.usage import flat, put
from cil.errors import ConfigError
from cil.planning.validate import check_device

LOOKED_AT_AGAIN = ("dataset.root", "dataset.num_workers", "device", "trainer.eval_batch_size")


def parse_settings(arguments: list[str], own: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """KEY=VALUE arguments -> (those of `own`, the other ones). Raises ConfigError for what has no such form."""
    chosen, others, seen = dict(own), dict[str, Any](), set[str]()
    for text in arguments:
        key, equals, value = text.partition("=")
        if not equals or not key or text.startswith("-"):
            raise ConfigError(f"{text}: is not KEY=VALUE; valid keys: {', '.join((*own, *LOOKED_AT_AGAIN))}")
        if key in seen:
            raise ConfigError(f"{key}: is given twice; write it once")
        seen.add(key)
        try:
            parsed = yaml.safe_load(value) if value else None
        except yaml.YAMLError:
            parsed = value
        (chosen if key in own else others)[key] = parsed
    return chosen, others


def with_settings(config: RunConfig, values: Mapping[str, Any], own: Iterable[str] = ()) -> RunConfig:
    """The run's settings with some of LOOKED_AT_AGAIN replaced.

    With another `dataset.root`, files and pack may stand for each other where their test images are equal.
    own: further keys that the command takes, for the message. Raises ConfigError for any other key, for a value that
    its key does not allow, and where the images at `dataset.root` are not equal.
    """
    changed = plain(config)
    known = flat(changed)
    for key, value in values.items():
        if key not in LOOKED_AT_AGAIN:
            what = "is unknown"
            if key in known:
                what = f"the run was trained with {show(known[key])}, and is looked at as it is"
            raise ConfigError(f"{key}: {what}; {suggestion(key, (*own, *LOOKED_AT_AGAIN))}")
        put(changed, key, value)
    again = typed(changed)
    check_ranges(again, values)
    if "device" in values:
        check_device(again.device)
    if again.dataset.root is not None and "dataset.root" in values:
        _settle_pack(again, again.dataset.root)
    return again


def check_top(top: Any) -> None:
    """Raises ConfigError where `top` is no number of classes to name."""
    if isinstance(top, bool) or not isinstance(top, int) or top < 1:
        raise ConfigError(f"top: {show(top)} is not valid; expected 1 or greater")


def _settle_pack(config: RunConfig, root: str) -> None:
    """Set `dataset.pack_side` to what lies at the new root. Raises ConfigError where test images are others there."""
    place = launch_folder() / Path(root).expanduser()
    if not place.is_dir():
        return  # the reader of the data tells what is missing
    head = pack_head(place)
    then, now = config.dataset.pack_side, None if head is None else head["side"]
    if then == now:
        return
    from cil.data.image_files import evaluation_side
    from cil.data.sources import MAX_RESIDENT_SIDE

    size = config.dataset.image_size
    shorter = size if size <= MAX_RESIDENT_SIDE else evaluation_side(config.augment, size)
    if {then, now} - {None} != {shorter}:
        trained, here = ("image files" if side is None else f"a pack of {side} pixels" for side in (then, now))
        raise ConfigError(
            f"dataset.root: {root} holds {here}, and the run was trained from {trained}: its test images are the "
            f"same only in files and a pack of {shorter} pixels; valid: a folder of {trained}"
        )
    config.dataset.pack_side = now
