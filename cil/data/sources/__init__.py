"""Where images come from. A source is a module here, named by `dataset.source`; adding one needs no other change.

A source has `locate(cfg)`, `count_classes(cfg)` (both instant, without torch) and `load(cfg)`; see digits.py for
the shortest. Modules with a leading underscore are helpers.
"""

import difflib
import importlib
import pkgutil
from collections.abc import Callable
from types import ModuleType

import numpy as np
from PIL import Image

from cil.config.schema import DatasetConfig
from cil.data.base import ImageSet, RawDataset
from cil.data.image_files import decode_files, decode_images
from cil.data.pack import pixels_of
from cil.data.sources import _packed
from cil.data.sources._folders import MAX_RESIDENT_SIDE
from cil.errors import ConfigError, DataError


def available() -> list[str]:
    """Names of all sources, sorted."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__) if not module.name.startswith("_"))


def _source(cfg: DatasetConfig) -> ModuleType:
    """The source's module; where the data is a pack, the reader of packs. Raises ConfigError if there is none."""
    if cfg.pack_side is not None:
        return _packed
    names = available()
    if cfg.source not in names:
        near = difflib.get_close_matches(str(cfg.source), names, n=1)
        hint = f"did you mean {near[0]}? " if near else ""
        raise ConfigError(f"dataset.source: {cfg.source!r} is unknown; {hint}valid: {', '.join(names)}")
    return importlib.import_module(f"{__name__}.{cfg.source}")


def locate(cfg: DatasetConfig) -> None:
    """Check that the data is where `cfg` says, without reading it. Raises ConfigError."""
    try:
        _source(cfg).locate(cfg)
    except OSError as error:  # such as a folder above it that may not be entered
        raise ConfigError(f"dataset.root: {error.filename or cfg.root}: {error.strerror or error}") from error


def count_classes(cfg: DatasetConfig) -> int:
    """Number of classes of the data set. Raises ConfigError if it cannot be told."""
    return int(_source(cfg).count_classes(cfg))


def load_whole(cfg: DatasetConfig) -> RawDataset:
    """The data set as it lies on disk: nothing cut off, image files as paths. Raises DataError and ConfigError."""
    try:
        raw: RawDataset = _source(cfg).load(cfg)
    except OSError as error:
        raise DataError(f"{error.filename or cfg.root}: {error.strerror or error}") from error
    return raw


def load_dataset(cfg: DatasetConfig, look: Callable[[RawDataset], None] | None = None) -> RawDataset:
    """The data set, cut as the keys ask, small images decoded.

    First the last `holdout_per_class` train images of each class become the validation set; then the first
    `max_train_per_class` of what is left and the first `max_test_per_class` of the test images stay. "First" and
    "last" are in file order; the validation set is not limited. Image files of at most 64 pixels a side are
    decoded once into `pixels` (the chosen ones only, shorter side resized to `image_size`, centre crop); larger
    ones stay `paths`.

    look: is shown the data set as it lies on disk, before anything is cut or decoded.
    Raises DataError for broken data (path and reason), ConfigError for a key that does not fit the data.
    """
    raw = load_whole(cfg)
    if look is not None:
        look(raw)
    train, val = _hold_out(raw, cfg.holdout_per_class)
    train = _first_per_class(train, cfg.max_train_per_class, "max_train_per_class")
    test = _first_per_class(raw.test, cfg.max_test_per_class, "max_test_per_class")
    return RawDataset(
        name=raw.name,
        classes=raw.classes,
        train=_decoded(train, cfg.image_size),
        test=_decoded(test, cfg.image_size),
        val=None if val is None else _decoded(val, cfg.image_size),
        class_list=raw.class_list,
        passed_over=raw.passed_over,
    )


def _rank_in_class(labels: np.ndarray) -> np.ndarray:
    """For labels [N]: how many images of the same class come before each one, int64 [N]."""
    order = np.argsort(labels, kind="stable")
    counts = np.bincount(labels)
    starts = np.repeat(np.cumsum(counts) - counts, counts)
    rank = np.empty(len(labels), dtype=np.int64)
    rank[order] = np.arange(len(labels)) - starts
    return rank


def _hold_out(raw: RawDataset, count: int | None) -> tuple[ImageSet, ImageSet | None]:
    """Cut the last `count` images of each class off the train set. Raises ConfigError if a class has too few."""
    if count is None:
        return raw.train, None
    sizes = np.bincount(raw.train.labels, minlength=len(raw.classes))
    smallest = int(sizes.argmin())
    if not 1 <= count < sizes[smallest]:
        valid = f"valid: 1 to {sizes[smallest] - 1}, or null" if sizes[smallest] > 1 else "valid: null"
        raise ConfigError(
            f"dataset.holdout_per_class: {count}, but class {raw.classes[smallest]} has {sizes[smallest]} train "
            f"images, of which one must stay; {valid}"
        )
    rank, size = _rank_in_class(raw.train.labels), sizes[raw.train.labels]
    held = rank >= size - count
    return raw.train.subset(np.flatnonzero(~held)), raw.train.subset(np.flatnonzero(held))


def _first_per_class(images: ImageSet, count: int | None, key: str) -> ImageSet:
    """The first `count` images of each class, in file order. Raises ConfigError if count < 1."""
    if count is None:
        return images
    if count < 1:
        raise ConfigError(f"dataset.{key}: {count}; valid: 1 or more, or null for all")
    return images.subset(np.flatnonzero(_rank_in_class(images.labels) < count))


def _decoded(images: ImageSet, image_size: int) -> ImageSet:
    """`images` held in memory if they are small. Raises DataError for an unreadable file."""
    if images.pixels is not None or image_size > MAX_RESIDENT_SIDE:
        return images
    if images.packed is not None:
        every = images.packed.at(np.arange(len(images)))
        opened = (Image.fromarray(pixels_of(one)) for one in every)
        return ImageSet(images.labels, pixels=decode_images(opened, len(every), image_size))
    assert images.paths is not None
    return ImageSet(images.labels, pixels=decode_files(images.paths, image_size))
