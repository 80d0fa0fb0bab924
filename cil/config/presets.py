"""Margins that a data set and split bring for loss=ant_adaptive, and other settings that depend on one of the two."""

from collections.abc import Mapping, Sequence
from typing import Any

from cil.errors import ConfigError

DEFAULT_MARGIN = 0.1
"""Start margin where neither `ant_margin` nor a preset says otherwise."""

PRESETS: dict[tuple[str, str], tuple[float, float, int]] = {
    ("cifar100", "10-10"): (0.1, 0.4, 120),
    ("cifar100", "50-10"): (0.1, 0.3, 100),
    ("imagenet100", "10-10"): (0.15, 0.5, 100),
    ("imagenet100", "50-10"): (0.15, 0.45, 100),
}
"""(data set, split) -> initial margin, target margin, end epoch of loss=ant_adaptive; see `preset`."""


def split_name(split: Mapping[str, Any]) -> str:
    """BASE-INCREMENT of a split, however it was written; '' for uneven sizes and for joint training."""
    sizes = split.get("sizes")
    if sizes is not None and not isinstance(sizes, Sequence):
        return ""  # a wrong type is reported when the schema is applied, after all interpolations
    if sizes is None:
        base, increment = split.get("base"), split.get("increment")
        return "" if base is None or increment is None else f"{base}-{increment}"
    later = set(sizes[1:])
    return f"{sizes[0]}-{later.pop()}" if len(later) == 1 else ""


def preset(key: str, dataset: str, split: Mapping[str, Any]) -> float | int | None:
    """`initial_margin`, `target_margin` or `end_epoch` of loss=ant_adaptive; otherwise 0.1 to 0.5 over the task."""
    initial, target, end = PRESETS.get((dataset, split_name(split)), (DEFAULT_MARGIN, 0.5, None))
    return {"initial_margin": initial, "target_margin": target, "end_epoch": end}[key]


def if_split(split: Mapping[str, Any], name: str, then: str, otherwise: str) -> str:
    """`then` where the split is BASE-INCREMENT `name`, else `otherwise`."""
    return then if split_name(split) == name else otherwise


PLAIN_AUGMENTS = {
    "cifar10": "cifar_plain",
    "cifar100": "cifar_plain",
    "digits": "digits",
    "tiny_imagenet": "tiny_imagenet",
    "imagenet100": "imagenet",
    "cub200": "imagenet",
    "image_folder": "imagenet",
}
"""Data set -> augmentation of comparisons of methods: that of published baselines, else the data set's own."""


def plain_augment(dataset: str) -> str:
    """The option of `augment` for a comparison on `dataset`. Raises ConfigError for a data set from elsewhere."""
    if dataset not in PLAIN_AUGMENTS:
        raise ConfigError(
            f"augment: experiment=comparison knows no augmentation for dataset={dataset}; add augment=NAME"
        )
    return PLAIN_AUGMENTS[dataset]
