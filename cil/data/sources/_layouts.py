"""What lies in a folder that is not laid out as it was expected, as far as it can be recognised."""

import os
from contextlib import suppress
from pathlib import Path

from cil.data.sources._folders import class_folders, is_image
from cil.errors import DataError

CUB_LISTS = ("images.txt", "image_class_labels.txt", "train_test_split.txt", "classes.txt")
_LOOKED_INTO = 20
"""Class folders that are looked into for an image."""


def what_is_there(root: Path) -> str | None:
    """What `root` looks like, as the start of a sentence; None if it looks like nothing that is known."""
    with suppress(OSError, DataError):
        cub = cub_folder(root)
        if cub is not None:
            return f"{cub} looks like CUB-200-2011 in its original layout, which dataset=cub200 reads"
        folders = class_folders(root)
        inside = next((name for name in folders if class_folders(root / name / "train")), None)
        if inside is not None:
            return f"{root} has no train/ with class folders, but {root / inside} has; set dataset.root to that"
        if any(_has_image(root / name) for name in folders[:_LOOKED_INTO]):
            return f"{root} has class folders of images, but they are not divided into train/ and val/"
    return None


def cub_folder(root: Path) -> Path | None:
    """`root` or the folder in it that looks like CUB-200-2011: images by class, and the split in text files."""
    for folder in (root, root / "CUB_200_2011"):
        there = [name for name in CUB_LISTS if (folder / name).is_file()]
        if (folder / "images").is_dir() and CUB_LISTS[0] in there and len(there) >= 2:
            return folder
    return None


def _has_image(folder: Path) -> bool:
    with os.scandir(folder) as entries:
        return any(is_image(entry.name) for entry in entries)
