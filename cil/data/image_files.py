"""Image files to RGB pixels. Imports no torch, so that it can be used before it is known that a run will start."""

import warnings
from collections.abc import Iterable
from functools import cache

import numpy as np
from PIL import Image

from cil.config.schema import AugmentConfig
from cil.errors import DataError

# A palette's transparency and EXIF data play no part here, yet Pillow would warn about them in each worker process.
# A filter for good, since `catch_warnings` changes those of all threads.
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")

_NO_IMAGES = frozenset({"PDF", "PALM", "EPS", "WMF", "MPEG", "BUFR", "GRIB", "HDF5"})
"""Formats that Pillow knows of, but that are documents, drawings or films, or that it only writes or hands on."""


def evaluation_side(augment: AugmentConfig, image_size: int) -> int:
    """Shorter side of a test image before its centre is cut, of images that are read from files as they are needed."""
    return round(image_size * 256 / 224) if augment.test_resize is None else augment.test_resize


@cache
def image_suffixes() -> frozenset[str]:
    """Suffixes of the image formats that Pillow reads, in lower case with their dot.

    Pillow's own formats only: what another package may have registered would depend on what was imported before.
    """
    registered = Image.registered_extensions()
    own = {name for name, (factory, _) in Image.OPEN.items() if factory.__module__.startswith("PIL.")}
    own |= {"MPO"} if "JPEG" in own else set()  # the JPEG reader opens it
    return frozenset(suffix for suffix, name in registered.items() if name in own - _NO_IMAGES)


def open_rgb(path: str) -> Image.Image:
    """The image as three 8-bit channels, whatever its mode (grey, palette, CMYK, 16 bit, floating point).

    The pixels are those in the file: an orientation noted in its EXIF data is not applied, of transparency only the
    colours are kept, of several images in one file the first is taken.
    Raises DataError with path and reason if it cannot be read whole, or if its values have no clear meaning.
    """
    try:
        with Image.open(path) as image:
            if image.mode == "F":
                return _grey(_from_float(np.asarray(image)))
            if image.mode.startswith("I"):
                return _grey(_from_integer(np.asarray(image)))
            return image.convert("RGB")
    except MemoryError:
        raise
    except Exception as error:  # Pillow's readers raise OSError, SyntaxError, ValueError, struct.error, ...
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise DataError(f"cannot read image {path}: {' '.join(str(reason).split())}") from error


def _grey(values: np.ndarray) -> Image.Image:
    return Image.fromarray(values.astype(np.uint8)).convert("RGB")


def _from_integer(values: np.ndarray) -> np.ndarray:
    """16-bit grey [H, W] -> 0..255: the high byte, as Pillow itself does with 16-bit colour (but not with grey).

    Raises ValueError for values outside 0..65535, and for an image that the high byte would make all black.
    """
    values = values.astype(np.int64)
    low, high = values.min(), values.max()
    if low < 0 or high > 65535:
        raise ValueError(f"integers from {low} to {high}; valid: 8 bits, or 0 to 65535 in 16 bits")
    if 0 < high < 256:
        raise ValueError(f"16 or 32 bits a pixel, but no value above {high}: all black as such; store it in 8 bits")
    return values >> 8


def _from_float(values: np.ndarray) -> np.ndarray:
    """Floating-point grey [H, W] -> 0..255, rounded. Values all in [0, 1] are taken as shares of white.

    Raises ValueError for values outside [0, 255] and for those that are no numbers.
    """
    values = values.astype(np.float64)
    low, high = values.min(), values.max()
    if not (low >= 0 and high <= 255):  # also if one is not a number
        raise ValueError(f"floating-point values from {low:g} to {high:g}; valid: 0 to 1, or 0 to 255")
    return np.rint(values * 255 if high <= 1 else values)


def shorter_side(image: Image.Image, length: int) -> Image.Image:
    """The whole image with its shorter side resized to `length` pixels (bilinear, averaging where it shrinks)."""
    if min(image.size) == length:
        return image
    scale = length / min(image.size)
    width, height = (max(length, int(scale * side)) for side in image.size)
    return image.resize((width, height), Image.Resampling.BILINEAR)


def centre_resized(image: Image.Image, shorter: int, size: int) -> Image.Image:
    """Resize the shorter side to `shorter` pixels, then cut the central size x size square."""
    image = shorter_side(image, shorter)
    if image.size == (size, size):
        return image
    left, top = round((image.width - size) / 2), round((image.height - size) / 2)
    return image.crop((left, top, left + size, top + size))


def decode_files(paths: np.ndarray, size: int) -> np.ndarray:
    """Pixels uint8 [N, 3, size, size] of N image files: shorter side resized to `size`, centre cut.

    In one thread: with small files opening dominates, and more threads only fight for the interpreter lock
    (measured on two cores, 10,000 PNGs of CIFAR: 1.1 s with one thread, 1.8 s with two, 2.5 s with eight).
    Raises DataError like `open_rgb`.
    """
    return decode_images((open_rgb(str(path)) for path in paths), len(paths), size)


def decode_images(images: Iterable[Image.Image], count: int, size: int) -> np.ndarray:
    """The same of `count` RGB images."""
    pixels = np.empty((count, 3, size, size), dtype=np.uint8)
    for row, image in zip(pixels, images, strict=True):
        row[:] = np.asarray(centre_resized(image, size, size)).transpose(2, 0, 1)
    return pixels


def resize_pixels(pixels: np.ndarray, size: int) -> np.ndarray:
    """Pixels uint8 [N, 3, H, W] -> [N, 3, size, size], exactly as `decode_files` would resize the same images."""
    if pixels.shape[2:] == (size, size):
        return pixels
    resized = np.empty((len(pixels), 3, size, size), dtype=np.uint8)
    for i, image in enumerate(pixels):
        picture = Image.fromarray(np.ascontiguousarray(image.transpose(1, 2, 0)))
        resized[i] = np.asarray(centre_resized(picture, size, size)).transpose(2, 0, 1)
    return resized
