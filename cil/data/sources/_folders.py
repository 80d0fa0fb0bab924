"""Class folders: SPLIT/<class>/.../<image>. Lists files only, decodes nothing; imports no torch.

The order of classes is the sorted order of their names, the order of images the sorted order of their paths
inside the class folder (code points, as Python sorts). Hidden entries are ignored; every other file that is not used
is counted. Links are followed.
"""

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from cil.config.class_list import ClassList
from cil.data.base import ImageSet
from cil.data.image_files import image_suffixes
from cil.errors import ConfigError, DataError

_SHOWN_SUFFIXES = 5


def is_image(name: str) -> bool:
    """Whether a file of this name counts as an image."""
    return not name.startswith(".") and os.path.splitext(name)[1].lower() in image_suffixes()


@dataclass
class PassedOver:
    """Files that lie in a data set and are not used."""

    suffixes: Counter[str] = field(default_factory=Counter)
    """Number of those that are no images by their suffix, by suffix in lower case."""
    notes: list[str] = field(default_factory=list)
    """A line for everything else that is left out."""

    def add(self, name: str) -> None:
        """Count a file that is no image."""
        self.suffixes[os.path.splitext(name)[1].lower()] += 1

    def by_suffix(self) -> str:
        """'12 files passed over that are no images by their suffix: 10 .txt, 2 (none)'; '' if there are none."""
        total = self.suffixes.total()
        if not total:
            return ""
        ranked = sorted(self.suffixes.items(), key=lambda item: (-item[1], item[0]))
        shown = [f"{count} {_readable(suffix)}" for suffix, count in ranked[:_SHOWN_SUFFIXES]]
        rest = sum(count for _, count in ranked[_SHOWN_SUFFIXES:])
        shown += [f"{rest} others"] if rest else []
        are = (
            "file passed over that is no image by its"
            if total == 1
            else "files passed over that are no images by their"
        )
        return f"{total} {are} suffix: {', '.join(shown)}"

    def lines(self, folder: Path) -> tuple[str, ...]:
        """What has to be said of the data set in `folder`, a line each."""
        counted = self.by_suffix()
        return (*([f"{folder}: {counted}"] if counted else []), *self.notes)


def _readable(suffix: str) -> str:
    if suffix in ("", "."):
        return "(none)"
    return suffix if suffix.isprintable() else ascii(suffix)


def absolute(path: str) -> Path:
    """`path` with ~ expanded, relative paths starting at the current folder."""
    return Path(os.path.abspath(os.path.expanduser(path)))


def class_folders(split: Path) -> list[str]:
    """Sorted names of the class folders in a split folder; [] if it is not there. Raises DataError."""
    if not split.is_dir():
        return []
    try:
        with os.scandir(split) as entries:
            return sorted(entry.name for entry in entries if not entry.name.startswith(".") and entry.is_dir())
    except OSError as error:
        raise DataError(f"{split}: cannot be listed: {error.strerror}") from error


def loose_image(split: Path) -> str | None:
    """Name of an image that lies in the split folder itself, outside every class folder; None if there is none."""
    return next((name for name in sorted(os.listdir(split)) if is_image(name)), None) if split.is_dir() else None


def _look_beside(split: Path, passed_over: PassedOver) -> None:
    """Count the files in the split folder itself, which belong to no class."""
    with os.scandir(split) as entries:
        names = [entry.name for entry in entries if not entry.name.startswith(".") and not entry.is_dir()]
    loose = [name for name in names if is_image(name)]
    for name in names:
        if not is_image(name) and name != ANNOTATIONS:
            passed_over.add(name)
    if loose:
        lie = "1 image lies" if len(loose) == 1 else f"{len(loose)} images lie"
        passed_over.notes.append(f"{split}: {lie} outside the class folders, passed over: {min(loose)}")


def images_in(folder: str, passed_over: PassedOver) -> list[str]:
    """Sorted paths of the images under a folder, at any depth; other files are added to `passed_over`.

    Raises DataError if a folder cannot be listed.
    """
    boxes = f"{os.path.basename(folder)}_boxes.txt"  # part of Tiny-ImageNet as published
    found: list[str] = []
    seen: set[tuple[int, int]] = set()
    waiting = [folder]
    while waiting:
        current = waiting.pop()
        try:
            with os.scandir(current) as entries:
                for entry in entries:
                    if entry.name.startswith("."):
                        continue
                    # is_dir costs no system call except for links: a full ImageNet is listed in seconds
                    if entry.is_dir():
                        waiting.append(entry.path)
                    elif is_image(entry.name):
                        found.append(entry.path)
                    elif entry.name != boxes:
                        passed_over.add(entry.name)
        except OSError as error:
            raise DataError(f"{current}: cannot be listed: {error.strerror}") from error
        if waiting and current != folder:  # nested folders only: a link may lead back up
            status = os.stat(current)
            if (status.st_dev, status.st_ino) in seen:
                raise DataError(f"{current}: a link that leads back to a folder above it")
            seen.add((status.st_dev, status.st_ino))
    return sorted(found)


def list_split(
    split: Path, classes: Sequence[str], passed_over: PassedOver, class_list: ClassList | None = None
) -> ImageSet:
    """The images of `classes` (names in label order) in a split folder, as paths, class by class.

    passed_over: the files that are not used are added to it. class_list: where the classes are named.
    Raises DataError naming the folder if the split or a class is missing, or a class has no image, or if the
    images lie in the split folder itself (a flat folder has no labels).
    """
    if not split.is_dir():
        raise DataError(f"{split}: not there; expected class folders {split}/<class>/*")
    there = set(class_folders(split))
    missing = [name for name in classes if name not in there]
    if missing:
        loose = loose_image(split)
        if loose is not None and len(missing) == len(classes):
            raise DataError(
                f"{split}: flat folder: images such as {loose} lie directly in it, so their classes are unknown; "
                f"expected class folders {split}/<class>/*"
            )
        named = f"; it is named in {class_list.place(missing[0])}" if class_list else ""
        raise DataError(f"{split / missing[0]}: class folder is missing{_and_more(missing)}{named}")
    _look_beside(split, passed_over)
    paths: list[str] = []
    counts: list[int] = []
    for name in classes:
        others = PassedOver()
        found = images_in(os.path.join(split, name), others)
        if not found:
            counted = others.by_suffix() or "no file in it"
            raise DataError(f"{split / name}: class folder is empty: no image in it ({counted})")
        passed_over.suffixes += others.suffixes
        paths += found
        counts.append(len(found))
    return ImageSet(np.repeat(np.arange(len(classes), dtype=np.int64), counts), paths=np.array(paths))


def _and_more(names: Sequence[str]) -> str:
    """' (and N more)' for a list of which the first is named."""
    return f" (and {len(names) - 1} more)" if len(names) > 1 else ""


def check_resident_size(image_size: int, side: int, name: str) -> None:
    """Raise ConfigError unless these small images, always held in memory, are asked for at a sensible size."""
    if not 1 <= image_size <= MAX_RESIDENT_SIDE:
        raise ConfigError(
            f"dataset.image_size: {image_size} is too large for {name}, whose {side}x{side} images are held in memory; "
            f"valid: 1 to {MAX_RESIDENT_SIDE}"
        )


ANNOTATIONS = "val_annotations.txt"
"""In Tiny-ImageNet's val/ as published: the classes of the images."""
MAX_RESIDENT_SIDE = 64
"""Image files are decoded once and held in memory up to this side, and decoded in every epoch above it."""
