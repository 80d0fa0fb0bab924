"""Tiny image trees and a tiny CIFAR in torchvision's layout, for the tests of the sources."""

import hashlib
import pickle
from pathlib import Path

import numpy as np
from PIL import Image


def write_image(path: Path, value: int = 0, size: int = 8) -> None:
    """A random but reproducible RGB image; `value` is its seed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(value).integers(0, 256, (size, size, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


def write_tree(root: Path, splits: dict[str, int], classes: list[str], size: int = 8, suffix: str = ".png") -> Path:
    """SPLIT/<class>/<i>.png with as many images a class as `splits` says; returns `root`."""
    value = 0
    for split, count in splits.items():
        for name in classes:
            for i in range(count):
                value += 1
                write_image(root / split / name / f"{i:03d}{suffix}", value, size)
    return root


class FakeCifar:
    """A CIFAR of `names`, a few images a class, in an order that is neither by class nor by file name."""

    def __init__(self, names: list[str], train: int = 3, test: int = 2) -> None:
        rng = np.random.default_rng(7)
        self.names = names  # published order, not sorted
        self.splits: dict[str, tuple[np.ndarray, np.ndarray, list[str]]] = {}
        for split, count in {"train": train, "test": test}.items():
            labels = np.repeat(np.arange(len(names)), count)
            files = [f"{names[label]}_s_{i:06d}.png" for i, label in enumerate(labels)]
            data = rng.integers(0, 256, (len(labels), 3072), dtype=np.uint8)
            order = rng.permutation(len(labels))
            self.splits[split] = data[order], labels[order], [files[i] for i in order]

    def write_batches(self, folder: Path, label_key: str, meta: tuple[str, str], batches: dict[str, list[str]]) -> dict:
        """Pickled batch files; `batches` maps each split to its file names. Returns their MD5 sums by name."""
        folder.mkdir(parents=True, exist_ok=True)
        contents = {meta[0]: {meta[1]: self.names}}
        for split, file_names in batches.items():
            data, labels, files = self.splits[split]
            for name, rows in zip(file_names, np.array_split(np.arange(len(labels)), len(file_names)), strict=True):
                chosen = [files[i] for i in rows]
                contents[name] = {"data": data[rows], label_key: labels[rows].tolist(), "filenames": chosen}
        sums = {}
        for name, content in contents.items():
            (folder / name).write_bytes(pickle.dumps(content, protocol=2))
            sums[name] = hashlib.md5((folder / name).read_bytes()).hexdigest()
        return sums

    def write_folders(self, root: Path) -> None:
        """The same images as class folders."""
        for split, (data, labels, files) in self.splits.items():
            for row, label, name in zip(data, labels, files, strict=True):
                path = root / split / self.names[label] / name
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(row.reshape(3, 32, 32).transpose(1, 2, 0).copy()).save(path)
