"""A pack of decoded images (cil/data/pack.py) in place of the files of any data set. Imports no torch."""

from pathlib import Path
from typing import Any

import numpy as np

from cil.config.class_list import read_class_list
from cil.config.packs import HEAD, pack_head
from cil.config.schema import DatasetConfig
from cil.data.base import ImageSet, RawDataset
from cil.data.pack import Part, read_part
from cil.data.sources._folders import absolute
from cil.errors import ConfigError


def locate(cfg: DatasetConfig) -> None:
    """Check that `root` is a pack of `pack_side` that has the classes of `class_list`. Raises ConfigError."""
    _class_names(cfg, _head(cfg)[1])


def count_classes(cfg: DatasetConfig) -> int:
    """Number of classes in the class list, else in the pack. Raises ConfigError like `locate`."""
    return len(_class_names(cfg, _head(cfg)[1]))


def load(cfg: DatasetConfig) -> RawDataset:
    """Both splits. Raises DataError for a pack that is damaged, ConfigError like `locate`."""
    root, head = _head(cfg)
    names = _class_names(cfg, head)
    train, test = (_chosen(read_part(root, part), head["classes"], names) for part in ("train", "test"))
    origin = None if head["class_list"] is None else tuple(head["class_list"])
    if cfg.class_list is not None:
        listed = read_class_list(cfg.class_list)
        origin = (listed.path.name, listed.sha256)
    return RawDataset(cfg.name, tuple(names), train, test, class_list=origin)


def _head(cfg: DatasetConfig) -> tuple[Path, dict[str, Any]]:
    root = absolute(cfg.root or ".")
    head = pack_head(root)
    if head is None:
        raise ConfigError(
            f"dataset.pack_side: {cfg.pack_side}, but dataset.root={root} is no whole pack (no {HEAD} in it); valid: "
            "the folder of one, or dataset.pack_side=null for image files"
        )
    if head["side"] != cfg.pack_side:
        raise ConfigError(f"dataset.pack_side: {cfg.pack_side}, but the pack in {root} is of {head['side']} pixels")
    if cfg.image_size > head["side"]:
        raise ConfigError(
            f"dataset.image_size: {cfg.image_size} is more than the {head['side']} pixels of the images in {root}"
        )
    return root, head


def _class_names(cfg: DatasetConfig, head: dict[str, Any]) -> list[str]:
    """Sorted names of the classes that are used. Raises ConfigError."""
    classes: list[str] = head["classes"]
    names = classes if cfg.class_list is None else read_class_list(cfg.class_list).names
    missing = sorted(set(names) - set(classes))
    if missing:
        raise ConfigError(f"dataset.class_list: class {missing[0]} is not in the pack (nor {len(missing) - 1} others)")
    if cfg.classes is not None and len(names) != cfg.classes:
        origin = cfg.root if cfg.class_list is None else cfg.class_list
        raise ConfigError(f"dataset.classes: {cfg.classes}, but {origin} has {len(names)}; valid: {len(names)} or null")
    return names


def _chosen(part: Part, classes: list[str], names: list[str]) -> ImageSet:
    """The images of the classes `names`, labelled by their position there; in the order of the pack."""
    position = np.full(len(classes), -1, dtype=np.int64)
    for label, name in enumerate(names):
        position[classes.index(name)] = label
    labels = position[part.labels]
    kept = np.flatnonzero(labels >= 0)
    return ImageSet(labels[kept], packed=part.images.subset(kept))
