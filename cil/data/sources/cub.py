"""CUB-200-2011 (Wah et al., Caltech 2011) in its original layout: 11,788 photos of 200 species of birds.

In `root` or in CUB_200_2011 inside it: images/<class>/*.jpg, and four lists of lines that start with a number:
images.txt (image, path in images/), image_class_labels.txt (image, class), train_test_split.txt (image, 1 for train)
and classes.txt (class, name). The published split is used; within a class images are sorted by path. Imports no torch.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from cil.config.class_list import read_class_list
from cil.config.schema import DatasetConfig
from cil.data.base import ImageSet, RawDataset
from cil.data.sources._folders import PassedOver, absolute, images_in
from cil.data.sources._layouts import CUB_LISTS, cub_folder, what_is_there
from cil.errors import ConfigError, DataError


def locate(cfg: DatasetConfig) -> None:
    """Check that `root` has the lists and the classes asked for. Raises ConfigError that says what was looked for."""
    _class_names(cfg, _folder(cfg))


def count_classes(cfg: DatasetConfig) -> int:
    """Number of classes in the class list, else in classes.txt. Raises ConfigError like `locate`."""
    return len(_class_names(cfg, _folder(cfg)))


def load(cfg: DatasetConfig) -> RawDataset:
    """Both splits as paths.

    Raises DataError naming list and line for a fault, and for an image that is missing; ConfigError like `locate`.
    """
    folder = _folder(cfg)
    names = _class_names(cfg, folder)
    paths, classes, split, class_names = (_read(folder / name) for name in CUB_LISTS)
    rows: dict[bool, list[tuple[int, str]]] = {True: [], False: []}
    place = {name: label for label, name in enumerate(names)}
    for image, path in paths.items():
        name = _value(class_names, _value(classes, image, folder / CUB_LISTS[1]), folder / CUB_LISTS[3])
        subset = _value(split, image, folder / CUB_LISTS[2])
        if subset not in ("0", "1"):
            raise DataError(f"{folder / CUB_LISTS[2]}: image {image} has {subset!r}; valid: 1 (train) or 0 (test)")
        if name in place:
            rows[subset == "1"].append((place[name], str(folder / "images" / path)))
    passed_over = _passed_over(folder, set(paths.values()))
    train, test = (_image_set(rows[is_train], names, folder) for is_train in (True, False))
    chosen = None if cfg.class_list is None else read_class_list(cfg.class_list)
    origin = None if chosen is None else (chosen.path.name, chosen.sha256)
    return RawDataset(cfg.name, tuple(names), train, test, class_list=origin, passed_over=passed_over.lines(folder))


def _folder(cfg: DatasetConfig) -> Path:
    if cfg.root is None:
        raise ConfigError(f"dataset.root: not set; valid: the folder that holds images/ and images.txt of {cfg.name}")
    root = absolute(cfg.root)
    folder = cub_folder(root)
    if folder is None:
        state = "" if root.exists() else " (it does not exist)"
        seen = what_is_there(root)
        found = f"; {seen}" if seen else ""
        raise ConfigError(
            f"dataset.root: {cfg.name} is not in {root}{state}{found}; looked for images/ and {', '.join(CUB_LISTS)}; "
            "to get it: unpack CUB_200_2011.tgz of https://www.vision.caltech.edu/datasets/cub_200_2011/"
        )
    return folder


def _read(path: Path) -> dict[str, str]:
    """Number -> the rest of its line. Raises DataError naming file and line."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise DataError(f"{path}: {reason}") from error
    found: dict[str, str] = {}
    for number, line in enumerate(lines, start=1):
        key, _, value = line.strip().partition(" ")
        if not key:
            continue
        if not key.isdigit() or not value or key in found:
            raise DataError(f"{path}: line {number} is not a new number and its value: {line[:60]!r}")
        found[key] = value.strip()
    return found


def _value(column: Mapping[str, str], key: str, path: Path) -> str:
    if key not in column:
        raise DataError(f"{path}: no line for number {key}")
    return column[key]


def _class_names(cfg: DatasetConfig, folder: Path) -> list[str]:
    """Sorted names of the classes that are used. Raises ConfigError."""
    try:
        there = sorted(_read(folder / CUB_LISTS[3]).values())
    except DataError as error:
        raise ConfigError(f"dataset.root: {error}") from error
    names = there if cfg.class_list is None else read_class_list(cfg.class_list).names
    unknown = sorted(set(names) - set(there))
    if unknown:
        raise ConfigError(f"dataset.class_list: {unknown[0]} is no class of {folder / CUB_LISTS[3]}")
    if cfg.classes is not None and cfg.classes != len(names):
        origin = folder / CUB_LISTS[3] if cfg.class_list is None else cfg.class_list
        raise ConfigError(f"dataset.classes: {cfg.classes}, but {origin} has {len(names)}; valid: {len(names)} or null")
    return names


def _image_set(rows: list[tuple[int, str]], names: list[str], folder: Path) -> ImageSet:
    """The images, class by class. Raises DataError for a class without one, and for files that are missing."""
    rows = sorted(rows)
    labels = np.array([label for label, _ in rows], dtype=np.int64)
    counts = np.bincount(labels, minlength=len(names))
    if not counts.all():
        empty = names[int(counts.argmin())]
        raise DataError(f"{folder / CUB_LISTS[2]}: train or test has no image of class {empty}")
    missing = [path for _, path in rows if not Path(path).exists()]
    if missing:
        more = f" (and {len(missing) - 1} more)" if len(missing) > 1 else ""
        raise DataError(f"{missing[0]}: image is missing{more}; it is named in {folder / CUB_LISTS[0]}")
    return ImageSet(labels, paths=np.array([path for _, path in rows]))


def _passed_over(folder: Path, listed: set[str]) -> PassedOver:
    """Files in images/ that images.txt does not name."""
    passed_over = PassedOver()
    found = images_in(str(folder / "images"), passed_over)
    start = len(str(folder / "images")) + 1
    extra = [path for path in found if path[start:] not in listed]
    if extra:
        count = f"{len(extra)} images have" if len(extra) > 1 else "1 image has"
        passed_over.notes.append(f"{folder / CUB_LISTS[0]}: {count} no line, passed over: {extra[0][start:]}")
    return passed_over
