"""Class folders: SPLIT/<class>/.../<image>. Lists files only, decodes nothing; imports no torch.

The order of classes is the sorted order of their names, the order of images the sorted order of their paths
inside the class folder (code points, as Python sorts). Hidden entries and files that are no images by their
suffix are ignored. Links are followed.
"""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cil.data.base import ImageSet
from cil.errors import ConfigError, DataError

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".pgm", ".ppm", ".tif", ".tiff", ".webp")


def is_image(name: str) -> bool:
    """Whether a file of this name counts as an image."""
    return not name.startswith(".") and name.lower().endswith(IMAGE_SUFFIXES)


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


def images_in(folder: str) -> list[str]:
    """Sorted paths of the images under a folder, at any depth. Raises DataError if a folder cannot be listed."""
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
        except OSError as error:
            raise DataError(f"{current}: cannot be listed: {error.strerror}") from error
        if waiting and current != folder:  # nested folders only: a link may lead back up
            status = os.stat(current)
            if (status.st_dev, status.st_ino) in seen:
                raise DataError(f"{current}: a link that leads back to a folder above it")
            seen.add((status.st_dev, status.st_ino))
    return sorted(found)


def list_split(split: Path, classes: Sequence[str]) -> ImageSet:
    """The images of `classes` (names in label order) in a split folder, as paths, class by class.

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
        raise DataError(f"{split / missing[0]}: class folder is missing{_and_more(missing)}")
    paths: list[str] = []
    counts: list[int] = []
    for name in classes:
        found = images_in(os.path.join(split, name))
        if not found:
            raise DataError(f"{split / name}: class folder is empty: no image ({', '.join(IMAGE_SUFFIXES)}) in it")
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


MAX_RESIDENT_SIDE = 64
"""Image files are decoded once and held in memory up to this side, and decoded in every epoch above it."""
