"""Makes packs (cil/data/pack.py). Can be stopped and killed at any moment; the same call goes on where it was.

While it works, OUT holds packing.json (which images, as they were when it began), NAME.bin as far as it has come, and
NAME.rows, 12 bytes for each image that is whole in NAME.bin: height, width and CRC-32. An image is written, and
is on the disk, before its row is; what lies behind the last row is cut off when the work goes on.
"""

import hashlib
import json
import os
import shutil
import zlib
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from cil.config.packs import FORMAT, HEAD, pack_head
from cil.data.base import ImageSet, RawDataset
from cil.data.check import files_folder
from cil.data.image_files import open_rgb, shorter_side
from cil.data.pack import CHANNELS, PackedImages, Part, write_index
from cil.data.workers import live_and_die_with_main
from cil.errors import ConfigError, DataError
from cil.files import take_lock, write_atomically

BEGUN = "packing.json"
LOCK = "packing.lock"
SIDE = 256
"""Shorter side of a packed image: what test images are resized to before a 224-pixel square is cut out of them."""
CHUNK = 64
"""Images that a process decodes before it hands them over, and that are flushed to the disk together."""
_ROW = np.dtype([("height", "<u4"), ("width", "<u4"), ("checksum", "<u4")])
_BEFORE_BEGUN = {LOCK, f".{BEGUN}.tmp"}
"""What a process may leave that was killed before BEGUN was there. Nothing else is older than BEGUN."""

Decoded = tuple[int, int, bytes]
"""Height, width and pixels, row by row."""


def decoded(path: str, side: int) -> np.ndarray:
    """The image of a file as it is packed: uint8 [H, W, 3], its shorter side `side` pixels. Raises DataError."""
    return np.asarray(shorter_side(open_rgb(path), side))


def pack(raw: RawDataset, out: Path, side: int, workers: int, told: Callable[[int, int], None]) -> dict[str, Any]:
    """Decode every image of `raw` into a pack at `out`, or what is still missing of it; returns its head.

    raw: a data set of image files, nothing cut off. workers: processes that decode; 0: this one. told: is called with
    (images done, images in all).
    Raises ConfigError for a folder with other things in it or with a pack of other images, DataError for an image that
    cannot be read, for images that changed since the work began, and for a disk that is too small.
    """
    parts = {"train": raw.train, "test": raw.test}
    source = _source(raw, side)
    whole = pack_head(out)
    if whole is not None:
        _refuse_other(out / HEAD, whole["source"], source)
        return whole
    _refuse_foreign(out)  # before the lock's file is put there
    out.mkdir(parents=True, exist_ok=True)
    total, before = sum(map(len, parts.values())), 0
    with _alone(out):
        whole = pack_head(out)  # of a process that was at work until now
        if whole is not None:
            _refuse_other(out / HEAD, whole["source"], source)
            (out / LOCK).unlink(missing_ok=True)
            return whole
        _begin(out, source, total, side)
        held = {}
        for name, images in parts.items():

            def counted(done: int, before: int = before) -> None:
                told(before + done, total)

            held[name] = _pack_part(out, name, images, raw, (side, workers), counted)
            before += len(images)
        if _source(raw, side) != source:
            raise DataError(f"{out}: the images have changed while they were packed; remove the folder and start anew")
        origin = None if raw.class_list is None else list(raw.class_list)
        head = {"format": FORMAT, "name": raw.name, "side": side, "classes": list(raw.classes), "class_list": origin}
        head |= {"parts": held, "source": source, "pillow": Image.__version__}
        write_atomically(out / HEAD, json.dumps(head) + "\n")
        for leftover in (BEGUN, LOCK, *(f"{name}.rows" for name in parts)):
            (out / leftover).unlink(missing_ok=True)
    return head


def _source(raw: RawDataset, side: int) -> dict[str, Any]:
    """What the pack is made from: counts, and a hash of side, classes, labels, names, sizes and times of the files."""
    digest = hashlib.sha256(json.dumps([side, raw.classes]).encode())
    start = len(files_folder(raw))
    for images in (raw.train, raw.test):
        if images.paths is None:
            raise ConfigError(f"--pack: {raw.name} does not come as image files; it is held in memory anyway")
        digest.update(images.labels.astype("<i8").tobytes())
        for path in images.paths.tolist():
            try:
                status = os.stat(path)
            except OSError as error:
                raise DataError(f"{path}: {error.strerror}") from error
            digest.update(f"{path[start:]}\0{status.st_size}\0{status.st_mtime_ns}\0".encode(errors="surrogateescape"))
    return {"train": len(raw.train), "test": len(raw.test), "side": side, "sha256": digest.hexdigest()}


def _refuse_other(path: Path, before: Any, source: dict[str, Any]) -> None:
    if before == source:
        return
    was, now = (f"{one['train']} + {one['test']} images at {one['side']} pixels" for one in (before, source))
    other = f"{was}, now {now}" if was != now else f"{was}, of which files have changed since (name, size or time)"
    raise ConfigError(f"--out: {path.parent} holds a pack of other images ({other}); remove it, or take another folder")


def _refuse_foreign(out: Path) -> None:
    """Raises ConfigError unless the folder is empty, not there, or one that work was begun in. Touches nothing."""
    if not out.exists():
        return
    if not out.is_dir() or (not (names := set(os.listdir(out))) <= _BEFORE_BEGUN and BEGUN not in names):
        raise ConfigError(f"--out: {out} is there and was not made by this command, so nothing in it is touched")


def _begin(out: Path, source: dict[str, Any], images: int, side: int) -> None:
    """Note what the work is begun with, or see that it is the same. Raises ConfigError and DataError."""
    begun = out / BEGUN
    if begun.is_file():
        try:
            before = json.loads(begun.read_text())
        except (OSError, ValueError) as error:
            raise DataError(f"{begun}: cannot be read; remove {out} and start anew") from error
        _refuse_other(begun, before, source)
        return
    _refuse_foreign(out)
    least, free = images * CHANNELS * side**2, shutil.disk_usage(out).free
    if free < least:
        raise DataError(f"{out}: the pack takes more than {least / 1e9:.1f} GB, and {free / 1e9:.1f} GB are free")
    write_atomically(begun, json.dumps(source) + "\n")


@contextmanager
def _alone(out: Path) -> Iterator[None]:
    """One process for each folder. Raises ConfigError if another one is at work."""
    with (out / LOCK).open("a") as file:
        # The workers of a killed process hold it until they have noticed.
        if not take_lock(file, seconds=3):
            raise ConfigError(f"--out: another process is making the pack in {out}")
        yield


def _pack_part(
    out: Path, name: str, images: ImageSet, raw: RawDataset, how: tuple[int, int], told: Callable[[int], None]
) -> dict[str, int]:
    """train or test: its .bin and .npz. how: side and workers. Returns how many images and bytes it has."""
    assert images.paths is not None
    side, workers = how
    paths = images.paths.tolist()
    rows = _whole_rows(out, name, len(paths))
    told(len(rows))
    with (out / f"{name}.bin").open("ab") as data, (out / f"{name}.rows").open("ab") as noted:
        for chunk in _decoded_chunks(paths[len(rows) :], side, workers):
            data.write(b"".join(pixels for *_, pixels in chunk))
            _flush(data)
            new = np.array([(height, width, zlib.crc32(pixels)) for height, width, pixels in chunk], dtype=_ROW)
            noted.write(new.tobytes())
            _flush(noted)
            rows = np.concatenate([rows, new])
            told(len(rows))
    heights, widths = rows["height"].astype(np.int64), rows["width"].astype(np.int64)
    sizes = CHANNELS * heights * widths
    start = len(files_folder(raw))
    names = np.array([path[start:] for path in paths])
    packed = PackedImages(
        str(out / f"{name}.bin"), np.cumsum(sizes) - sizes, heights, widths, rows["checksum"].astype(np.uint32), names
    )
    write_index(out / f"{name}.npz", Part(images.labels, packed))
    return {"images": len(paths), "bytes": int(sizes.sum())}


def _whole_rows(out: Path, name: str, count: int) -> np.ndarray:
    """The rows of the images that are whole, of dtype _ROW; what lies behind them in both files is cut off."""
    data, noted = out / f"{name}.bin", out / f"{name}.rows"
    for path in (data, noted):
        path.touch()
    content = noted.read_bytes()
    rows = np.frombuffer(content[: len(content) // _ROW.itemsize * _ROW.itemsize], dtype=_ROW)[:count].copy()
    ends = np.cumsum(CHANNELS * rows["height"].astype(np.int64) * rows["width"].astype(np.int64))
    rows = rows[: int(np.searchsorted(ends, data.stat().st_size, side="right"))]
    os.truncate(noted, len(rows) * _ROW.itemsize)
    os.truncate(data, int(ends[len(rows) - 1]) if len(rows) else 0)
    return rows


def _flush(file: Any) -> None:
    file.flush()
    os.fsync(file.fileno())


def _decode_chunk(paths: Sequence[str], side: int) -> list[Decoded]:
    pixels = [decoded(path, side) for path in paths]
    return [(one.shape[0], one.shape[1], one.tobytes()) for one in pixels]


def _decoded_chunks(paths: Sequence[str], side: int, workers: int) -> Iterator[list[Decoded]]:
    """The images in order, chunk by chunk; never more chunks in memory than twice the workers."""
    chunks = deque(paths[start : start + CHUNK] for start in range(0, len(paths), CHUNK))
    if not workers:
        yield from (_decode_chunk(chunk, side) for chunk in chunks)
        return
    with ProcessPoolExecutor(min(workers, os.cpu_count() or 1), initializer=live_and_die_with_main) as pool:
        waiting: deque[Future[list[Decoded]]] = deque()
        try:
            while chunks or waiting:
                while chunks and len(waiting) < 2 * workers:
                    waiting.append(pool.submit(_decode_chunk, chunks.popleft(), side))
                yield waiting.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)
