"""What lies in a folder that holds no train/<class>/*, as far as it can be recognised: for messages only."""

import os
from contextlib import suppress
from pathlib import Path

from cil.data.sources._folders import class_folders, is_image
from cil.errors import DataError

_LOOKED_INTO = 20
"""Class folders that are looked into for an image."""


def what_is_there(root: Path) -> str | None:
    """What `root` looks like, as the start of a sentence; None if it looks like nothing that is known."""
    with suppress(OSError, DataError):
        for folder in (root, root / "CUB_200_2011"):
            if _is_cub(folder):
                return f"{folder} looks like CUB-200-2011 in its original layout, which is not supported yet"
        folders = class_folders(root)
        inside = next((name for name in folders if class_folders(root / name / "train")), None)
        if inside is not None:
            return f"{root} has no train/ with class folders, but {root / inside} has; set dataset.root to that"
        if any(_has_image(root / name) for name in folders[:_LOOKED_INTO]):
            return f"{root} has class folders of images, but they are not divided into train/ and val/"
    return None


def _is_cub(folder: Path) -> bool:
    """Images by class, and the split in text files."""
    lists = ("images.txt", "image_class_labels.txt", "train_test_split.txt", "classes.txt")
    there = [name for name in lists if (folder / name).is_file()]
    return (folder / "images").is_dir() and "images.txt" in there and len(there) >= 2


def _has_image(folder: Path) -> bool:
    with os.scandir(folder) as entries:
        return any(is_image(entry.name) for entry in entries)
