"""Decoding: every mode becomes three channels; files and arrays are resized alike."""

import numpy as np
import pytest
from PIL import Image

from cil.data.image_files import centre_resized, decode_files, open_rgb, resize_pixels


@pytest.mark.parametrize("mode", ["L", "1", "P", "RGBA", "LA", "CMYK", "RGB"])
def test_every_mode_becomes_rgb(tmp_path, mode):
    suffix = ".tif" if mode == "CMYK" else ".png"
    grey = np.arange(64, dtype=np.uint8).reshape(8, 8) * 4
    Image.fromarray(grey).convert(mode).save(tmp_path / f"x{suffix}")
    image = open_rgb(str(tmp_path / f"x{suffix}"))
    assert image.mode == "RGB"
    if mode != "1":
        np.testing.assert_allclose(np.asarray(image)[..., 1], grey, atol=1)


def test_sixteen_bit_grey_is_scaled(tmp_path):
    Image.fromarray((np.arange(16, dtype=np.uint16) * 4096).reshape(4, 4)).save(tmp_path / "x.png")
    assert np.asarray(open_rgb(str(tmp_path / "x.png")))[..., 0].ravel().tolist() == [16 * i for i in range(16)]


@pytest.mark.parametrize("size", [(20, 10), (10, 21), (7, 7), (5, 30)])
def test_centre_square(size):
    wide = np.zeros((size[1], size[0], 3), dtype=np.uint8)
    assert centre_resized(Image.fromarray(wide), 7, 7).size == (7, 7)
    assert centre_resized(Image.fromarray(wide), 9, 7).size == (7, 7)


def test_the_middle_is_kept():
    image = np.zeros((10, 30, 3), dtype=np.uint8)
    image[:, 10:20] = 200
    assert (np.asarray(centre_resized(Image.fromarray(image), 10, 10)) == 200).all()


def test_files_and_arrays_agree(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (3, 3, 16, 16), dtype=np.uint8)
    paths = np.array([str(tmp_path / f"{i}.png") for i in range(3)])
    for path, image in zip(paths, pixels, strict=True):
        Image.fromarray(image.transpose(1, 2, 0).copy()).save(path)
    np.testing.assert_array_equal(decode_files(paths, 16), pixels)
    np.testing.assert_array_equal(decode_files(paths, 7), resize_pixels(pixels, 7))
    assert resize_pixels(pixels, 16) is pixels
