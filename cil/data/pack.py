"""A pack: the images of a data set, decoded once, for training that is not held up by JPEG.

A folder with
- pack.json, its head: format, name, classes, class list, the shorter side of its images in pixels, and what its parts
  hold; written last, so a pack that has it is whole;
- train.bin and test.bin: the images one after the other, each height x width x 3 bytes, row by row, RGB;
- train.npz and test.npz: where each image starts, its height, width, label, CRC-32, and the name of its file.

An image is the one of the data set (cil/data/image_files.py) with its shorter side resized to `side` pixels (Pillow's
bilinear filter, which averages where it shrinks) and nothing cut off: what the usual pipeline does to test images,
whose pixels are therefore those of the files. Training crops are cut from these smaller images, so they are other
crops than from the files; that is why the side is part of a run's identity (`dataset.pack_side`).
"""

import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from cil.errors import DataError

CHANNELS = 3
_COLUMNS = ("offsets", "heights", "widths", "checksums", "labels")


class PackedImage(NamedTuple):
    """Where one image lies. Small, since worker processes are sent it for every image they cut."""

    file: str
    offset: int
    """Bytes before it."""
    height: int
    width: int


@dataclass(frozen=True)
class PackedImages:
    """N images of a pack. offsets: int64 [N], in bytes; heights, widths: int64 [N], in pixels."""

    file: str
    offsets: np.ndarray
    heights: np.ndarray
    widths: np.ndarray
    checksums: np.ndarray
    """CRC-32 of the bytes of each, uint32 [N]."""
    names: np.ndarray
    """Of the file that each was made from, from the folder that holds the splits; str [N]."""

    def __len__(self) -> int:
        return len(self.offsets)

    @property
    def sizes(self) -> np.ndarray:
        """Bytes of each, int64 [N]."""
        return CHANNELS * self.heights * self.widths

    def subset(self, indices: np.ndarray) -> "PackedImages":
        """Those at `indices`, in that order."""
        columns = (self.offsets, self.heights, self.widths, self.checksums, self.names)
        offsets, heights, widths, checksums, names = (column[indices] for column in columns)
        return PackedImages(self.file, offsets, heights, widths, checksums, names)

    def at(self, indices: np.ndarray) -> list[PackedImage]:
        """Those at `indices`, for a request to a worker."""
        rows = zip(self.offsets[indices], self.heights[indices], self.widths[indices], strict=True)
        return [PackedImage(self.file, int(offset), int(height), int(width)) for offset, height, width in rows]


@lru_cache(maxsize=8)
def mapped(file: str) -> np.memmap:
    """The bytes of a .bin, mapped: reading a part of it touches that part only.

    Copy-on-write, since torch warns about arrays that it could not write; nothing here writes to it.
    """
    return np.memmap(file, dtype=np.uint8, mode="c")


def pixels_of(image: PackedImage) -> np.ndarray:
    """Pixels uint8 [H, W, 3], a view of the file. Raises DataError if it cannot be opened or is too short."""
    try:
        data = mapped(image.file)
    except (OSError, ValueError) as error:
        raise DataError(f"{image.file}: {getattr(error, 'strerror', None) or error}") from error
    end = image.offset + CHANNELS * image.height * image.width
    if end > len(data):
        raise DataError(f"{image.file}: ends at byte {len(data)}, but an image of it at {end}; it has been cut off")
    return data[image.offset : end].reshape(image.height, image.width, CHANNELS)


@dataclass(frozen=True)
class Part:
    """train or test of a pack: labels int64 [N] and images."""

    labels: np.ndarray
    images: PackedImages


def write_index(path: Path, part: Part) -> None:
    """Write the .npz of a part, whole or not at all."""
    temporary = path.with_name(path.name + ".tmp")
    images = part.images
    names = "\0".join(images.names.tolist()).encode(errors="surrogateescape")
    with temporary.open("wb") as file:
        columns = (images.offsets, images.heights, images.widths, images.checksums, part.labels)
        arrays = dict(zip(_COLUMNS, columns, strict=True)) | {"names": np.frombuffer(names, dtype=np.uint8)}
        np.savez(file, allow_pickle=False, **arrays)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)


def read_part(root: Path, name: str) -> Part:
    """train or test of the pack in `root`. Raises DataError if a file of it is missing, unreadable or cut off."""
    index, data = root / f"{name}.npz", root / f"{name}.bin"
    try:
        with np.load(index, allow_pickle=False) as arrays:
            names = arrays["names"].tobytes().decode(errors="surrogateescape").split("\0")
            offsets, heights, widths, checksums, labels = (arrays[key] for key in _COLUMNS)
        images = PackedImages(str(data), offsets, heights, widths, checksums, np.array(names))
        expected, found = int(images.sizes.sum()), data.stat().st_size
    except Exception as error:  # a damaged archive raises BadZipFile, zlib.error, KeyError, ValueError, ...
        raise DataError(f"{index}: {getattr(error, 'strerror', None) or error or type(error).__name__}") from error
    if expected != found:
        raise DataError(f"{data}: has {found} bytes instead of {expected}; make the pack anew")
    return Part(labels, images)
