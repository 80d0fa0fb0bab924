"""Class folders of image files: image_folder, ImageNet (whole or 100 classes), Tiny-ImageNet.

Layouts, in `root` or in a folder of the data set's own name inside it:
- train/<class>/* and val/<class>/* (test/ where there is no val/); images may lie deeper in a class folder,
  as in Tiny-ImageNet's train/<class>/images/*;
- Tiny-ImageNet as published: val/images/* with the classes in val/val_annotations.txt. Its test/ has no labels
  and is not used.

The classes are those of `class_list`, else the folders of train/; sorted by name either way. That one index holds
for both splits: a class folder that only val/ has is left out, with a warning unless a class list is given.
Imports no torch.
"""

import logging
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cil.config.class_list import ClassList, read_class_list
from cil.config.schema import DatasetConfig
from cil.data.base import ImageSet, RawDataset
from cil.data.sources._folders import (
    ANNOTATIONS,
    PassedOver,
    absolute,
    class_folders,
    is_image,
    list_split,
    loose_image,
)
from cil.data.sources._imagenet import prepared_list
from cil.data.sources._layouts import what_is_there
from cil.errors import ConfigError, DataError

log = logging.getLogger(__name__)

_INNER_FOLDERS = {"tiny_imagenet": ("tiny-imagenet-200",), "imagenet100": ("imagenet-100",)}
_HOW_TO_GET = {
    "tiny_imagenet": "to get it: unpack http://cs231n.stanford.edu/tiny-imagenet-200.zip and set dataset.root to it",
    "imagenet100": "to get it: set dataset.root to an ImageNet (ILSVRC 2012, https://image-net.org/download) sorted "
    "into class folders, and choose the classes of a full one with dataset.class_list",
}


def _find(cfg: DatasetConfig) -> Path | None:
    """The folder with a train/ that has class folders in it: `root`, or one of the data set's name inside it."""
    root = absolute(cfg.root or ".")
    for folder in (root, *(root / name for name in (cfg.name, *_INNER_FOLDERS.get(cfg.name, ())))):
        if class_folders(folder / "train"):
            return folder
    return None


def _folder(cfg: DatasetConfig) -> Path:
    """The folder that holds train/. Raises ConfigError that says what was looked for and how to get it."""
    expected = "train/<class>/* and val/<class>/*"
    if cfg.root is None:
        raise ConfigError(f"dataset.root: not set; valid: the folder that holds {expected} of {cfg.name}")
    folder, root = _find(cfg), absolute(cfg.root)
    if folder is not None:
        return folder
    if loose_image(root / "train") is not None:
        raise ConfigError(
            f"dataset.root: {root / 'train'} has images directly in it and no class folders; expected {expected}"
        )
    seen = what_is_there(root)
    if seen is not None:
        raise ConfigError(f"dataset.root: {seen}; expected {expected}")
    state = "" if root.exists() else " (it does not exist)"
    annotated = f" or, as published, val/images/* with val/{ANNOTATIONS}" if cfg.name == "tiny_imagenet" else ""
    how = _HOW_TO_GET.get(cfg.name, "sort your images into these folders")
    download = "; dataset.download=true works for cifar10 and cifar100 only" if cfg.download else ""
    raise ConfigError(
        f"dataset.root: {cfg.name} is not in {root}{state}; looked for {expected} (or test/<class>/*){annotated}; "
        f"{how}{download}"
    )


def _class_names(cfg: DatasetConfig, folder: Path) -> list[str]:
    """The classes by the list, else by train/. Raises ConfigError if they cannot be `dataset.classes` many.

    Fewer folders than that are no such error: then one is missing, which `load` reports.
    """
    if cfg.class_list is not None:
        names, origin = read_class_list(cfg.class_list).names, f"class_list {cfg.class_list}"
        choose = ""
    else:
        names, origin = class_folders(folder / "train"), str(folder / "train")
        choose = f", or choose {cfg.classes} of them with dataset.class_list"
    too_few = cfg.class_list is not None and len(names) < (cfg.classes or 0)
    if cfg.classes is not None and (len(names) > cfg.classes or too_few):
        raise ConfigError(
            f"dataset.classes: {cfg.classes}, but {origin} has {len(names)}; valid: {len(names)} or null{choose}"
        )
    return names


def locate(cfg: DatasetConfig) -> None:
    """Check that `root` has class folders and that `class_list` can be read. Instant.

    Raises ConfigError that says which layouts were looked for, where, and how to get the data.
    """
    _class_names(cfg, _folder(cfg))


def count_classes(cfg: DatasetConfig) -> int:
    """Number of classes in the class list, else of class folders in train/. Raises ConfigError like `locate`."""
    return len(_class_names(cfg, _folder(cfg)))


def load(cfg: DatasetConfig) -> RawDataset:
    """Both splits as paths.

    Raises DataError naming path and reason for a missing, empty or flat folder, ConfigError like `locate`.
    """
    folder = _folder(cfg)
    names = _class_names(cfg, folder)
    class_list = None if cfg.class_list is None else read_class_list(cfg.class_list)
    passed_over = PassedOver()
    train = list_split(folder / "train", names, passed_over, class_list)
    if cfg.classes is not None and len(names) < cfg.classes:
        raise DataError(f"{folder / 'train'}: {len(names)} classes, but dataset.classes is {cfg.classes}")
    val = _load_val(folder, names, passed_over, class_list)
    chosen = prepared_list(folder, names) if class_list is None else (class_list.path.name, class_list.sha256)
    return RawDataset(cfg.name, tuple(names), train, val, class_list=chosen, passed_over=passed_over.lines(folder))


def _load_val(folder: Path, names: Sequence[str], passed_over: PassedOver, class_list: ClassList | None) -> ImageSet:
    """The evaluation split of the classes `names`. With a class list, folders of other classes are expected."""
    split = folder / "val" if (folder / "val").is_dir() or not (folder / "test").is_dir() else folder / "test"
    there = class_folders(split)
    if "images" in there and not set(names) <= set(there):
        if (split / ANNOTATIONS).is_file():
            return _load_annotated(split, names, passed_over)
        if there == ["images"]:
            raise DataError(
                f"{split}: looks like Tiny-ImageNet's val/ as published, but {ANNOTATIONS}, which names the classes of "
                f"its images, is missing; expected that file, or class folders {split}/<class>/*"
            )
    unknown = sorted(set(there) - set(names))
    if unknown and class_list is None:
        log.warning("%s: %d folders without a class in train/ are left out: %s", split, len(unknown), unknown[0])
    return list_split(split, names, passed_over, class_list)


def _load_annotated(split: Path, names: Sequence[str], passed_over: PassedOver) -> ImageSet:
    """Tiny-ImageNet's val/ as published: val_annotations.txt has lines of file, class and a box, tab-separated."""
    annotations = split / ANNOTATIONS
    files: dict[str, list[str]] = {name: [] for name in names}
    annotated = set()
    for number, line in enumerate(annotations.read_text().splitlines(), start=1):
        parts = line.split("\t")
        if len(parts) < 2:
            raise DataError(f"{annotations}: line {number} is not 'file<TAB>class...': {line[:60]!r}")
        annotated.add(parts[0])
        if parts[1] in files:
            files[parts[1]].append(str(split / "images" / parts[0]))
    for name, paths in files.items():
        if not paths:
            raise DataError(f"{annotations}: no image of class {name}")
    extra = sorted(name for name in os.listdir(split / "images") if is_image(name) and name not in annotated)
    if extra:
        passed_over.notes.append(f"{annotations}: {len(extra)} images beside it have no line, passed over: {extra[0]}")
    labels = np.repeat(np.arange(len(names), dtype=np.int64), [len(files[name]) for name in names])
    return ImageSet(labels, paths=np.array([path for name in names for path in sorted(files[name])]))
