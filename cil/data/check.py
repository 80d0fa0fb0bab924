"""Is a data set whole? The full check opens every image file; a run only looks at what is cheap. Imports no torch.

What was found is kept in a small hidden file beside the data, or in the run's folder where the data is read-only.
It holds for exactly the list of files it was made from: a file more or less makes it void, but for the broken files
that are still there. Every path in it starts at the data's root, so that the data can be moved.
"""

import hashlib
import json
import logging
import os
import zlib
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from cil.config.class_list import names_hash
from cil.config.schema import DatasetConfig
from cil.data.base import ImageSet, RawDataset
from cil.data.image_files import open_rgb
from cil.data.pack import pixels_of
from cil.data.sources import digits
from cil.data.sources._folders import absolute
from cil.errors import DataError

logger = logging.getLogger("cil")
CHUNK = 64
"""Files that a process opens before it reports."""


@dataclass(frozen=True)
class Found:
    """What is known of a data set on disk."""

    fingerprint: str
    """Hash of the list of image files and their classes; of labels and pixels where these are held in memory."""
    counts: dict[str, list[int]]
    """Images of each class, by split."""
    opened: bool
    """Whether every image has been opened (or compared with a published sum), and not only listed."""
    broken: list[str] = field(default_factory=list)
    """One line for each broken image, its path first (in a note it starts at the root)."""
    root: str | None = None
    """Folder of the data; no part of a note."""


NOTED = ("fingerprint", "counts", "opened", "broken")
"""What a note holds of it."""


def splits(raw: RawDataset) -> dict[str, ImageSet]:
    """The splits that are there."""
    return {"train": raw.train, "test": raw.test} | ({} if raw.val is None else {"val": raw.val})


def listed(raw: RawDataset, root: str | None) -> Found:
    """What the list of images alone tells. Fast: nothing is opened. The fingerprint is the same for every `root`."""
    start = len(files_folder(raw))
    digest = hashlib.sha256(json.dumps(raw.classes).encode())
    counts = {}
    for name, images in splits(raw).items():
        counts[name] = np.bincount(images.labels, minlength=len(raw.classes)).tolist()
        digest.update(f"{name} {counts[name]}".encode())
        if images.paths is not None:
            names = "\0".join(path[start:] for path in images.paths.tolist())
            digest.update(names.encode(errors="surrogateescape"))  # a name on disk need not be UTF-8
        elif images.packed is not None:
            digest.update("\0".join(images.packed.names.tolist()).encode(errors="surrogateescape"))
            digest.update(images.packed.checksums.astype("<u4").tobytes())
        elif images.pixels is not None:
            digest.update(images.labels.astype("<i8").tobytes())
            digest.update(np.ascontiguousarray(images.pixels).data)
    return Found(digest.hexdigest(), counts, opened=raw.train.paths is None, root=root)


def image_paths(raw: RawDataset) -> list[str]:
    """Every image file, split by split; [] for data held in memory."""
    return [path for images in splits(raw).values() if images.paths is not None for path in images.paths.tolist()]


def files_folder(raw: RawDataset) -> str:
    """The folder that holds the splits, with a separator at its end: `root` itself or one inside it."""
    paths = image_paths(raw)
    return os.path.join(os.path.commonpath([min(paths), max(paths)]), "") if paths else ""


def broken_in_pack(raw: RawDataset) -> Iterator[tuple[int, list[str]]]:
    """(images looked at, a line for each whose bytes are not those that were packed), image by image."""
    for images in splits(raw).values():
        assert images.packed is not None
        everything = images.packed.at(np.arange(len(images)))
        for one, name, expected in zip(everything, images.packed.names, images.packed.checksums, strict=True):
            same = zlib.crc32(pixels_of(one).data) == expected
            yield 1, [] if same else [f"{one.file}: {name}: other bytes than were packed; make the pack anew"]


def problems_in_memory(cfg: DatasetConfig) -> list[str]:
    """What is wrong with images that come whole; CIFAR's batch files have been compared with their MD5 sums."""
    if cfg.source != "digits" or cfg.image_size != digits.SIDE:
        return []
    found = digits.checksum()
    if found == digits.SHA256:
        return []
    return [f"digits: scikit-learn's images have SHA-256 {found} instead of {digits.SHA256}"]


def broken_files(paths: Iterable[str], workers: int) -> Iterator[tuple[int, list[str]]]:
    """(files opened, a line for each broken one), chunk by chunk and in order. workers: processes; 0: this one."""
    listing = list(paths)
    chunks = [listing[start : start + CHUNK] for start in range(0, len(listing), CHUNK)]
    if not workers:
        yield from map(_open_all, chunks)
        return
    with ProcessPoolExecutor(workers) as pool:
        yield from pool.map(_open_all, chunks)


def _open_all(paths: list[str]) -> tuple[int, list[str]]:
    lines = []
    for path in paths:
        try:
            open_rgb(path)
        except DataError as error:
            lines.append(f"{path}: {str(error).removeprefix(f'cannot read image {path}: ')}")
    return len(paths), lines


def note_path(cfg: DatasetConfig) -> Path | None:
    """Where the result lies beside the data; None for data without a folder. Readers ignore hidden files."""
    if cfg.root is None:
        return None
    part = names_hash(cfg.class_list)[:8] if cfg.class_list else "all"
    return absolute(cfg.root) / f".cil-check-{cfg.name}-{part}.json"


def read_note(path: Path) -> Found | None:
    """The result in a file, its paths as they stand there; None if there is none, or none that can be read."""
    try:
        content: dict[str, Any] = json.loads(path.read_text())
        return Found(**{name: content[name] for name in NOTED})
    except (OSError, ValueError, KeyError, TypeError):
        return None


def write_note(found: Found, places: Iterable[Path]) -> Path | None:
    """Keep the result in the first place that can be written; None if there is none."""
    start = "" if found.root is None else os.path.join(absolute(found.root), "")
    content = {name: getattr(found, name) for name in NOTED}
    content["broken"] = [line.removeprefix(start) for line in found.broken]
    for path in places:
        temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
        try:
            temporary.write_text(json.dumps(content) + "\n")
            os.replace(temporary, path)
        except OSError:
            continue
        return path
    return None


def _broken_path(line: str, root: str) -> str | None:
    """The file that a line of a note is about; None if it is gone. Its name may have a colon in it, as reasons do."""
    parts = line.split(": ")
    starts = (": ".join(parts[:count]) for count in range(1, len(parts)))
    paths = (os.path.join(absolute(root), start) for start in starts)
    return next((path for path in paths if os.path.lexists(path)), None)


def check_at_start(raw: RawDataset, cfg: DatasetConfig, run_folder: Path) -> Found:
    """What a run does by itself: compare the list of files with the one noted before, and note it the first time.

    Costs a fraction of a second, since the list has been made already: no file is opened but those that a full check
    found broken. Raises DataError if one still is; a training would come to it hours later. Data that does not come
    as image files has been compared with its published sums by now, so there is nothing left to check.
    Files that lie in the data set and are not used are said, in the log and on the screen.

    raw: the whole data set, before anything is cut off.
    Returns what the list tells.
    """
    for line in raw.passed_over:
        logger.warning(line)
        print(f"warning: {line}", flush=True)
    now = listed(raw, cfg.root)
    beside = note_path(cfg)
    if raw.train.paths is None or beside is None or cfg.root is None:
        return now
    places = [beside, run_folder / "data-check.json"]
    before = next((note for note in map(read_note, places) if note is not None), None)
    broken = {} if before is None else {line: _broken_path(line, cfg.root) for line in before.broken}
    if before is None or before.fingerprint != now.fingerprint:
        if before is not None:
            then, here = (sum(map(sum, found.counts.values())) for found in (before, now))
            logger.warning("%s: other image files than when it was last looked at: %d, then %d", cfg.root, then, here)
        write_note(replace(now, broken=[line for line, path in broken.items() if path is not None]), places)
    _refuse_broken([path for path in broken.values() if path is not None], raw, cfg.name)
    return now


def _refuse_broken(suspects: list[str], raw: RawDataset, name: str) -> None:
    """Raise DataError if one of the suspects cannot be read. Those that are not of the data set are left alone."""
    there = set(image_paths(raw)) if suspects else set()
    still = _open_all([path for path in suspects if path in there])[1]
    if still:
        more = f" (and {len(still) - 1} more)" if len(still) > 1 else ""
        raise DataError(f"{still[0]}{more}; found by the data check: python -m cil.data check {name}")
