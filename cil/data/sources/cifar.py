"""CIFAR-10 and CIFAR-100 (Krizhevsky 2009) from torchvision's layout or from class folders.

Both layouts give the same labels (positions in the sorted class names) and the same order: class by class,
sorted by file name. The batch files of torchvision's layout carry the names of the original image files, so
class folders that keep those names give the very same arrays, and "the first N of a class" are the same images.

Torch-free up to `load`; torchvision (its MD5 lists and its download) is imported only for its own layout.
"""

import hashlib
import logging
import os
import pickle  # noqa: TID251  (published files only, see _load_batches)
import tarfile
import zlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cil.config.schema import DatasetConfig
from cil.data.base import ImageSet, RawDataset
from cil.data.image_files import resize_pixels
from cil.data.sources._cifar_names import CIFAR10, CIFAR100
from cil.data.sources._folders import PassedOver, absolute, check_resident_size, class_folders, list_split
from cil.errors import ConfigError, DataError

log = logging.getLogger(__name__)
SIDE = 32


@dataclass(frozen=True)
class _Variant:
    """One of the two data sets, with the names torchvision's layout uses."""

    name: str
    classes: int
    folder: str
    meta: str
    reader: str
    names: list[str]

    @property
    def archive(self) -> str:
        """Name of the archive as published (the unpacked folder of CIFAR-10 is called differently)."""
        return f"cifar-{self.classes}-python.tar.gz"


_VARIANTS = (
    _Variant("cifar10", 10, "cifar-10-batches-py", "batches.meta", "CIFAR10", CIFAR10),
    _Variant("cifar100", 100, "cifar-100-python", "meta", "CIFAR100", CIFAR100),
)


@dataclass(frozen=True)
class _Layout:
    """What was found: kind "batches" (unpacked), "folders" (train/ and test/) or "archive" (.tar.gz)."""

    kind: str
    path: Path


def _variant(cfg: DatasetConfig) -> _Variant:
    """CIFAR-10 or CIFAR-100, by `name`, else by `classes`. Raises ConfigError."""
    for variant in _VARIANTS:
        if cfg.name == variant.name:
            return variant
    for variant in _VARIANTS:
        if cfg.classes == variant.classes:
            return variant
    raise ConfigError(
        f"dataset.classes: {cfg.classes} with dataset.source=cifar and dataset.name={cfg.name}; "
        "valid: 10 or 100 (or dataset.name cifar10 or cifar100)"
    )


def _find(root: Path, variant: _Variant) -> _Layout | None:
    """The first layout that is there: batches in root or root itself, class folders likewise, the archive."""
    for folder in (root / variant.folder, root):
        if (folder != root and folder.is_dir()) or (folder / variant.meta).is_file():
            return _Layout("batches", folder)
    for folder in (root, root / variant.name):
        if (folder / "train").is_dir() and (folder / "test").is_dir():
            return _Layout("folders", folder)
    for archive in (root / variant.archive, root):
        if archive.is_file() and archive.name == variant.archive:
            return _Layout("archive", archive)
    return None


def _check_keys(cfg: DatasetConfig) -> tuple[_Variant, Path]:
    """The variant and the root. Raises ConfigError for keys that do not fit."""
    variant = _variant(cfg)
    check_resident_size(cfg.image_size, SIDE, variant.name)
    if cfg.class_list is not None:
        raise ConfigError(f"dataset.class_list: not used by {variant.name}; valid: null (source image_folder has it)")
    if cfg.root is None:
        raise ConfigError(f"dataset.root: not set; valid: the folder that holds {variant.name}, or is to receive it")
    return variant, absolute(cfg.root)


def locate(cfg: DatasetConfig) -> None:
    """Check that one of the layouts is under `root`, or may be downloaded to it. Instant.

    Raises ConfigError that says which layouts were looked for, where, and how to get the data.
    """
    variant, root = _check_keys(cfg)
    layout = _find(root, variant)
    if layout is None and not cfg.download:
        state = "" if root.exists() else " (it does not exist)"
        raise ConfigError(
            f"dataset.root: {variant.name} is not in {root}{state}; looked for {variant.folder}/ (torchvision's "
            f"layout), {variant.archive}, and class folders train/<class>/*.png with test/<class>/*.png; "
            "to get it: dataset.download=true, or put one of these there"
        )
    if (layout is None or layout.kind != "folders") and cfg.classes not in (None, variant.classes):
        raise ConfigError(
            f"dataset.classes: {cfg.classes}, but {variant.name} has {variant.classes}; valid: {variant.classes}"
        )


def count_classes(cfg: DatasetConfig) -> int:
    """10 or 100. Raises ConfigError where neither `name` nor `classes` says which."""
    return _variant(cfg).classes


def load(cfg: DatasetConfig) -> RawDataset:
    """Both splits: pixels uint8 [N, 3, S, S] from torchvision's layout, paths from class folders.

    Raises DataError with path and reason for damaged or missing files or folders, ConfigError like `locate`.
    """
    locate(cfg)
    variant, root = _check_keys(cfg)
    layout = _find(root, variant)
    if cfg.download and (layout is None or layout.kind != "folders"):
        layout = _Layout("batches", _download(variant, root if layout is None else layout.path.parent))
    assert layout is not None  # locate saw to it
    if layout.kind == "folders":
        return _load_folders(cfg, layout.path, variant)
    return _load_batches(cfg, variant, layout)


def _load_folders(cfg: DatasetConfig, folder: Path, variant: _Variant) -> RawDataset:
    """Both splits as paths. A class that a split lacks is named, by the published names where it lacks in both."""
    expected = cfg.classes or variant.classes
    classes = {*class_folders(folder / "train"), *class_folders(folder / "test")}
    if expected == variant.classes and classes < set(variant.names):
        classes = set(variant.names)
    names = sorted(classes)
    passed_over = PassedOver()
    train, test = (list_split(folder / split, names, passed_over) for split in ("train", "test"))
    if len(names) != expected:
        raise DataError(f"{folder / 'train'}: {len(names)} class folders instead of the {expected} of {cfg.name}")
    return RawDataset(cfg.name, tuple(names), train, test, passed_over=passed_over.lines(folder))


def _torchvision_class(variant: _Variant) -> Any:
    """torchvision's reader class: its file lists with MD5 sums and its download."""
    import torchvision.datasets  # imports torch: seconds

    return getattr(torchvision.datasets, variant.reader)


def _download(variant: _Variant, root: Path) -> Path:
    """Download whatever is missing or damaged and unpack it into `root`; the unpacked folder.

    Only files of the published names with the published MD5 sums are written: no path of the archive is followed.
    """
    from torchvision.datasets.utils import download_url

    folder = root / variant.folder
    reader = _torchvision_class(variant)
    sums = _sums(reader)
    with suppress(DataError):
        _read_folder(folder, variant.folder, sums)
        return folder
    try:
        root.mkdir(parents=True, exist_ok=True)
        download_url(reader.url, root, reader.filename, reader.tgz_md5)
        files = _read_archive(root / reader.filename, variant.folder, sums)
        folder.mkdir(exist_ok=True)
        for name, content in files.items():
            (folder / name).write_bytes(content)
    except (OSError, RuntimeError) as error:
        reason = str(error).replace("\n", " ")
        raise DataError(f"{root}: download of {reader.url} failed: {reason}") from error
    return folder


def _sums(reader: Any) -> dict[str, str]:
    """The published MD5 sum of every file that is read."""
    return dict((*reader.train_list, *reader.test_list)) | {reader.meta["filename"]: reader.meta["md5"]}


def _load_batches(cfg: DatasetConfig, variant: _Variant, layout: _Layout) -> RawDataset:
    """Both splits from batch files, sorted by class and original file name."""
    reader = _torchvision_class(variant)
    sums = _sums(reader)
    read = _read_folder if layout.kind == "batches" else _read_archive
    files = read(layout.path, variant.folder, sums)
    # MD5 sums are verified above: these pickles are the published ones, so unpickling runs no foreign code
    loaded = {name: pickle.loads(content, encoding="latin1") for name, content in files.items()}  # noqa: S301
    names = loaded[reader.meta["filename"]][reader.meta["key"]]
    classes = sorted(names)
    rank = np.array([classes.index(name) for name in names], dtype=np.int64)

    def split(file_list: list[tuple[str, str]]) -> ImageSet:
        return _image_set([loaded[name] for name, _ in file_list], rank, cfg.image_size)

    return RawDataset(cfg.name, tuple(classes), split(reader.train_list), split(reader.test_list))


def _image_set(batches: list[dict[str, Any]], rank: np.ndarray, size: int) -> ImageSet:
    """One split: rank [classes] maps published labels to positions in the sorted class names."""
    pixels = np.concatenate([batch["data"] for batch in batches]).reshape(-1, 3, SIDE, SIDE)
    labels = rank[np.concatenate([batch.get("fine_labels", batch.get("labels")) for batch in batches])]
    file_names = np.concatenate([batch["filenames"] for batch in batches])
    order = np.lexsort((file_names, labels))
    return ImageSet(labels[order], pixels=resize_pixels(pixels[order], size))


def _read_folder(folder: Path, base: str, sums: Mapping[str, str]) -> dict[str, bytes]:  # noqa: ARG001
    """Contents of the batch files in an unpacked folder. Raises DataError."""
    files: dict[str, bytes] = {}
    for name in sums:
        try:
            files[name] = (folder / name).read_bytes()
        except OSError as error:
            raise DataError(f"{folder / name}: {error.strerror}; dataset.download=true fetches it again") from error
    _verify(files, sums, folder)
    return files


def _read_archive(archive: Path, base: str, sums: Mapping[str, str]) -> dict[str, bytes]:
    """Contents of the batch files in a .tar.gz, which is not unpacked: that needs no writable folder."""
    log.info("reading %s", archive)
    wanted = {f"{base}/{name}": name for name in sums}
    files: dict[str, bytes] = {}
    try:
        with tarfile.open(archive, "r:gz") as tar:
            for member in tar:
                name = wanted.get(os.path.normpath(member.name))
                content = tar.extractfile(member) if name is not None else None
                if name is not None and content is not None:
                    files[name] = content.read()
    except (OSError, EOFError, zlib.error, tarfile.TarError) as error:
        raise DataError(
            f"{archive}: truncated or damaged archive: {error}; delete it and download it again "
            "(dataset.download=true does both)"
        ) from error
    lost = [name for name in sums if name not in files]
    if lost:
        raise DataError(f"{archive}: truncated or damaged archive: {base}/{lost[0]} is not in it")
    _verify(files, sums, archive)
    return files


def _verify(files: Mapping[str, bytes], sums: Mapping[str, str], where: Path) -> None:
    """Raise DataError naming the first file whose MD5 sum is not the published one.

    If no file is a published one and all of them end as a whole pickle does, nothing is damaged: the data is another.
    """
    found = {name: hashlib.md5(content, usedforsecurity=False).hexdigest() for name, content in files.items()}
    wrong = [name for name in files if found[name] != sums[name]]
    if not wrong:
        return
    name = wrong[0]
    data = [other for other in files if "meta" not in other]
    differs = f"MD5 {found[name]} instead of {sums[name]}"
    if set(data) <= set(wrong) and all(files[other].endswith(pickle.STOP) for other in wrong):
        raise DataError(
            f"{where / name}: not the published file, nor is any data file beside it: {differs}; only published files "
            "are unpickled, since a pickle can run code; images of your own go into class folders, "
            "train/<class>/*.png and test/<class>/*.png"
        )
    raise DataError(
        f"{where / name}: truncated or damaged, or not the published file: {len(files[name])} bytes with {differs}; "
        "delete it, then dataset.download=true fetches it again"
    )
