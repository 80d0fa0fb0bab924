"""Some classes of a full ImageNet (ILSVRC 2012) as they lie on disk, and a data set of links to them.

What is read: train/<class>/* and val/<class>/*, in ROOT or in ILSVRC/Data/CLS-LOC inside it; or all validation images
directly in val/, with their classes in LOC_val_solution.csv (columns ImageId and PredictionString, whose first word is
the class), as ImageNet is handed out for its object-localisation challenge. Imports no torch.
"""

import csv
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cil.config.class_list import ClassList, hash_of_names
from cil.data.base import ImageSet, RawDataset
from cil.data.sources._folders import PassedOver, class_folders, list_split, loose_image
from cil.errors import ConfigError, DataError

MARK = ".cil-prepared.json"
"""In a folder of links: what it was made from. Without it nothing in a folder is touched."""
_SOLUTION = "LOC_val_solution.csv"
_INSIDE = ("", "ILSVRC/Data/CLS-LOC", "Data/CLS-LOC")
_SHOWN = 5


def find_imagenet(root: Path) -> Path:
    """The folder with train/<class> in it: `root`, or one that its layout has it in. Raises ConfigError."""
    if not root.is_dir():
        raise ConfigError(f"--imagenet: {root} is no folder; valid: the folder that holds train/<class>/* and val/")
    for inside in _INSIDE:
        if class_folders(root / inside / "train"):
            return root / inside
    looked = ", ".join(str(root / inside / "train") for inside in _INSIDE)
    raise ConfigError(f"--imagenet: no class folders in {looked}; unpack the training images into one folder a class")


def chosen_images(root: Path, chosen: ClassList, name: str = "imagenet100") -> RawDataset:
    """The images of the classes of `chosen` in the ImageNet at `root`, train and val as its `train` and `test`.

    Raises ConfigError where `root` holds no ImageNet, DataError naming what is missing of the classes.
    """
    folder = find_imagenet(root)
    names = chosen.names
    _refuse_missing(folder / "train", class_folders(folder / "train"), chosen)
    passed_over = PassedOver()
    train = list_split(folder / "train", names, passed_over, chosen)
    flat = not class_folders(folder / "val") and loose_image(folder / "val") is not None
    test = _flat_val(root, folder / "val", names) if flat else _val(folder / "val", chosen, passed_over)
    origin = (chosen.path.name, chosen.sha256)
    return RawDataset(name, tuple(names), train, test, class_list=origin, passed_over=passed_over.lines(folder))


def _val(split: Path, chosen: ClassList, passed_over: PassedOver) -> ImageSet:
    if not split.is_dir():
        raise DataError(f"{split}: not there; expected {split}/<class>/*, or its images with {_SOLUTION}")
    _refuse_missing(split, class_folders(split), chosen)
    return list_split(split, chosen.names, passed_over, chosen)


def _refuse_missing(split: Path, there: Iterable[str], chosen: ClassList) -> None:
    missing = sorted(set(chosen.names) - set(there))
    if missing:
        shown = ", ".join(missing[:_SHOWN]) + (", ..." if len(missing) > _SHOWN else "")
        raise DataError(f"{split}: {len(missing)} of {len(chosen.names)} class folders are missing: {shown}")


def _flat_val(root: Path, split: Path, names: Sequence[str]) -> ImageSet:
    """Validation images that lie in one folder, by the table of their classes. Raises DataError."""
    table = next((path for path in (root / _SOLUTION, split.parent / _SOLUTION) if path.is_file()), None)
    if table is None:
        raise DataError(
            f"{split}: its images lie directly in it, and {root / _SOLUTION}, which names their classes, is not there; "
            f"expected that file, or class folders {split}/<class>/*"
        )
    files: dict[str, list[str]] = {name: [] for name in names}
    with table.open(newline="", encoding="utf-8-sig") as lines:
        for number, row in enumerate(csv.DictReader(lines), start=2):
            image, words = row.get("ImageId"), (row.get("PredictionString") or "").split()
            if not image or not words:
                raise DataError(f"{table}: line {number} has no ImageId and PredictionString")
            if words[0] in files:
                files[words[0]].append(str(split / f"{image}.JPEG"))
    for name, paths in files.items():
        gone = [path for path in paths if not os.path.exists(path)] if paths else [f"no line in {table}"]
        if gone:
            raise DataError(f"{split}: images of class {name} are missing: {gone[0]} (and {len(gone) - 1} more)")
    labels = np.repeat(np.arange(len(names), dtype=np.int64), [len(files[name]) for name in names])
    return ImageSet(labels, paths=np.array([path for name in names for path in sorted(files[name])]))


def wanted_links(raw: RawDataset) -> dict[str, str]:
    """Path of a link inside the new folder -> where it leads: a class folder, or an image of a flat val/."""
    links: dict[str, str] = {}
    for split, images in (("train", raw.train), ("val", raw.test)):
        assert images.paths is not None
        for label, path in zip(images.labels.tolist(), images.paths.tolist(), strict=True):
            name = raw.classes[label]
            folder = _class_folder(path, split, name)
            if folder is None:
                links[f"{split}/{name}/{os.path.basename(path)}"] = path
            else:
                links[f"{split}/{name}"] = folder
    return links


def _class_folder(path: str, split: str, name: str) -> str | None:
    """The folder SPLIT/NAME that holds the image, at any depth."""
    start, found, _ = path.rpartition(f"{os.sep}{split}{os.sep}{name}{os.sep}")
    return os.path.join(start, split, name) if found else None


def make_links(out: Path, links: Mapping[str, str], made_from: Mapping[str, Any]) -> int:
    """Make the links that are not there yet, and say how many that were.

    made_from: what is noted in the folder; the same command may go on in it, another one may not.
    Raises ConfigError, before anything is changed, for a folder that this command did not make, or made from something
    else, and for anything in it that is not one of the links.
    """
    mark = out / MARK
    if mark.is_file():
        _refuse_other(mark, made_from)
    elif out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ConfigError(f"--out: {out} is there and was not made by this command, so nothing in it is touched")
    _refuse_foreign(out, links)
    out.mkdir(parents=True, exist_ok=True)
    mark.write_text(json.dumps(dict(made_from), indent=1) + "\n")
    made = 0
    for place, target in links.items():
        link = out / place
        if not link.is_symlink():
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(target)
            made += 1
    return made


def prepared_list(folder: Path, names: Sequence[str]) -> tuple[str, str] | None:
    """(file name, hash) of the class list that a folder of links was made by; None for any other folder."""
    try:
        made_from = json.loads((folder / MARK).read_text())
        origin = str(made_from["list"]), str(made_from["sha256"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return origin if origin[1] == hash_of_names(names) else None


def _refuse_other(mark: Path, made_from: Mapping[str, Any]) -> None:
    try:
        before = json.loads(mark.read_text())
    except (OSError, ValueError):
        before = None
    if before != dict(made_from):
        was = f"from {before.get('imagenet')} by {before.get('list')}" if isinstance(before, dict) else "otherwise"
        raise ConfigError(f"--out: {mark.parent} was made {was}; remove it, or choose another folder")


def _refuse_foreign(out: Path, links: Mapping[str, str]) -> None:
    """Raise ConfigError for a link that leads elsewhere, and for files and folders that are none of the links."""
    parents = {str(Path(place).parent) for place in links} | {"train", "val"}
    for split in ("train", "val"):
        for folder, folders, files in os.walk(out / split):
            for name in (*folders, *files):
                path = Path(folder, name)
                place = str(path.relative_to(out))
                if place in links:
                    if not path.is_symlink() or os.readlink(path) != links[place]:
                        raise ConfigError(f"--out: {path} is not the link to {links[place]} that belongs there")
                elif place not in parents and not name.startswith("."):
                    raise ConfigError(f"--out: {path} was not made by this command; remove it, or take another folder")
