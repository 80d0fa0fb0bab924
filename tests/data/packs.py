"""A small data set of JPEGs of several shapes, and its pack."""

from pathlib import Path

from cil.config.schema import DatasetConfig
from cil.data.packing import pack
from cil.data.sources import load_whole
from tests.data.image_files import smooth_image

CLASSES = ("ant", "bee", "cat", "dog")
SIZES = {"train": 5, "val": 2}
SIDE = 40


def write_jpegs(root: Path, train: int = SIZES["train"], val: int = SIZES["val"], scale: int = 1) -> Path:
    """train/CLASS/*.jpg and val/CLASS/*.jpg; returns `root`."""
    number = 0
    for split, count in (("train", train), ("val", val)):
        for name in CLASSES:
            folder = root / split / name
            folder.mkdir(parents=True)
            for i in range(count):
                number += 1
                shape = scale * (50 + 7 * (number % 4)), scale * (44 + 9 * (number % 3))
                smooth_image(number, *shape).save(folder / f"{i:03d}.jpg", quality=95)
    return root


def files(root: Path, **keys) -> DatasetConfig:
    """The configuration of such a tree, or of its pack (pack_side=SIDE)."""
    return DatasetConfig(**({"name": "files", "source": "image_folder", "root": str(root), "image_size": 72} | keys))


def make_pack(root: Path, out: Path, side: int = SIDE, workers: int = 0, told=lambda done, total: None) -> dict:
    """The pack of a tree; its head."""
    return pack(load_whole(files(root)), out, side, workers, told)
