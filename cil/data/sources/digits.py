"""The 1,797 handwritten digits that scikit-learn ships: 8x8 grey, ten classes, real images, no download.

Source: test part of the "Optical Recognition of Handwritten Digits" set (Alpaydin and Kaynak, UCI, 1998),
13 writers. The images lie writer after writer, so a random split would test on writers that it trained on.
Here the last quarter of each class in file order (n // 4 images, 445 in all) is the test set and the rest
(1,352) the train set: deterministic, stratified, independent of every seed, and nearly disjoint in writers
(harder than a random split: an RBF support vector machine gets 96.6 % here and 99.6 % on every fourth image).
"""

import hashlib
from functools import cache

import numpy as np

from cil.config.schema import DatasetConfig
from cil.data.base import ImageSet, RawDataset
from cil.data.image_files import resize_pixels
from cil.data.sources._folders import check_resident_size
from cil.errors import ConfigError

CLASSES = tuple("0123456789")
SIDE = 8
SHA256 = "979238cd166dcd11466902172be284ed55e8021431af5596c67420b299263ac7"
"""Of the pixels and labels that every figure of this project was measured on."""


def locate(cfg: DatasetConfig) -> None:
    """Nothing to look for: the images come with scikit-learn. Raises ConfigError for keys that do not fit."""
    check_resident_size(cfg.image_size, SIDE, "digits")
    if cfg.class_list is not None:
        raise ConfigError("dataset.class_list: digits has no class folders to choose from; valid: null")
    if cfg.classes not in (None, len(CLASSES)):
        raise ConfigError(f"dataset.classes: {cfg.classes}, but digits has {len(CLASSES)}; valid: 10 or null")


def count_classes(cfg: DatasetConfig) -> int:  # noqa: ARG001  (every source has the same interface)
    """Ten."""
    return len(CLASSES)


@cache
def _read() -> tuple[np.ndarray, np.ndarray]:
    """Pixels uint8 [1797, 3, 8, 8], scaled from 0..16 to 0..255, and labels int64 [1797], in file order."""
    from sklearn.datasets import load_digits  # slow to import, and not needed to validate a configuration

    images, labels = load_digits(return_X_y=True)
    grey = np.rint(images.reshape(-1, 1, SIDE, SIDE) * (255 / 16)).astype(np.uint8)
    return np.repeat(grey, 3, axis=1), labels.astype(np.int64)


def checksum() -> str:
    """SHA-256 of pixels and labels in file order, as scikit-learn ships them."""
    pixels, labels = _read()
    return hashlib.sha256(pixels.tobytes() + labels.astype("<i8").tobytes()).hexdigest()


def load(cfg: DatasetConfig) -> RawDataset:
    """Both splits (see above), resized to `image_size` where that is not 8. Raises ConfigError like `locate`."""
    locate(cfg)
    pixels, labels = _read()
    pixels = resize_pixels(pixels, cfg.image_size)
    is_test = np.zeros(len(labels), dtype=bool)
    for label in range(len(CLASSES)):
        rows = np.flatnonzero(labels == label)
        is_test[rows[len(rows) - len(rows) // 4 :]] = True
    return RawDataset(
        name=cfg.name,
        classes=CLASSES,
        train=ImageSet(labels[~is_test], pixels=pixels[~is_test]),
        test=ImageSet(labels[is_test], pixels=pixels[is_test]),
    )
