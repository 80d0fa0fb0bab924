"""Decoding: every mode becomes three channels; files and arrays are resized alike."""

import os
import struct
import subprocess
import sys
import zlib

import numpy as np
import pytest
from PIL import Image

from cil.data.image_files import centre_resized, decode_files, image_suffixes, open_rgb, resize_pixels
from cil.errors import DataError
from tests.commands import PROJECT


@pytest.mark.parametrize("mode", ["L", "1", "P", "RGBA", "LA", "CMYK", "RGB"])
def test_every_mode_becomes_rgb(tmp_path, mode):
    suffix = ".tif" if mode == "CMYK" else ".png"
    grey = np.arange(64, dtype=np.uint8).reshape(8, 8) * 4
    Image.fromarray(grey).convert(mode).save(tmp_path / f"x{suffix}")
    image = open_rgb(str(tmp_path / f"x{suffix}"))
    assert image.mode == "RGB"
    if mode != "1":
        np.testing.assert_allclose(np.asarray(image)[..., 1], grey, atol=1)


def test_suffixes_are_those_of_images_that_pillow_reads():
    suffixes = image_suffixes()
    published = {".jpg", ".jpeg", ".png", ".bmp", ".gif", ".pgm", ".ppm", ".tif", ".tiff", ".webp"}
    assert published | {".jfif", ".jpe", ".jp2", ".j2k", ".tga", ".apng", ".mpo", ".ico"} <= suffixes
    assert not suffixes & {".pdf", ".ps", ".eps", ".wmf", ".emf", ".mpg", ".mpeg", ".h5", ".grib", ".palm", ".txt", ""}


def test_suffixes_do_not_depend_on_what_else_is_installed():
    code = "from PIL import Image; Image.init()\n"
    code += "Image.register_open('ODD', lambda *a: None); Image.register_extension('ODD', '.odd')\n"
    code += "from cil.data.image_files import image_suffixes; import sys\n"
    code += "sys.exit('.odd' in image_suffixes() or '.png' not in image_suffixes() or 'torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=60, check=False).returncode == 0


def levels(path) -> list[int]:
    """The grey values of an image file, which must be the same in all channels."""
    pixels = np.asarray(open_rgb(str(path)))
    assert (pixels == pixels[..., :1]).all()
    return pixels[..., 0].ravel().tolist()


def png16(path, values, channels: int) -> None:
    """A 16-bit PNG of [H, W], the same in all channels; Pillow writes grey ones only."""
    height, width = values.shape
    rows = np.repeat(values.astype(">u2")[..., None], channels, axis=2)
    parts = [
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 16, {1: 0, 3: 2}[channels], 0, 0, 0)),
        (b"IDAT", zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))),
        (b"IEND", b""),
    ]
    chunks = [
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in parts
    ]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunks))


SIXTEEN = np.arange(16).reshape(4, 4) * 4096 + 255


@pytest.mark.parametrize("channels", [1, 3])
def test_sixteen_bits_give_their_high_byte_in_grey_as_in_colour(tmp_path, channels):
    png16(tmp_path / "x.png", SIXTEEN, channels)
    assert levels(tmp_path / "x.png") == [16 * i for i in range(16)]


def test_sixteen_bits_of_other_formats(tmp_path):
    Image.fromarray(SIXTEEN.astype(np.uint16)).save(tmp_path / "x.tif")
    Image.fromarray(SIXTEEN.astype(np.int32)).save(tmp_path / "wide.tif")
    (tmp_path / "x.pgm").write_bytes(b"P5 4 4 65535\n" + SIXTEEN.astype(">u2").tobytes())
    for name in ("x.tif", "wide.tif", "x.pgm"):
        assert levels(tmp_path / name) == [16 * i for i in range(16)], name


def test_an_all_black_sixteen_bit_image_is_black(tmp_path):
    Image.fromarray(np.zeros((2, 2), dtype=np.uint16)).save(tmp_path / "x.png")
    assert levels(tmp_path / "x.png") == [0, 0, 0, 0]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0.0, 0.25, 0.5, 1.0], [0, 64, 128, 255]),
        ([0.0, 1.0, 1.4, 254.6], [0, 1, 1, 255]),
        ([0.0, 0.0, 0.0, 0.0], [0, 0, 0, 0]),
    ],
)
@pytest.mark.parametrize("suffix", [".tif", ".pfm"])
def test_floating_point_grey(tmp_path, values, expected, suffix):
    if suffix not in image_suffixes():
        pytest.skip("this Pillow does not know the format")
    Image.fromarray(np.array(values, dtype=np.float32).reshape(2, 2)).save(tmp_path / f"x{suffix}")
    assert levels(tmp_path / f"x{suffix}") == expected


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (np.float32([0, -0.1, 0.5, 1]), "floating-point values from -0.1 to 1; valid: 0 to 1, or 0 to 255"),
        (np.float32([0, 1, 2, 256]), "floating-point values from 0 to 256; valid"),
        (np.float32([0, 1, 2, np.nan]), "floating-point values from nan to nan; valid"),
        (np.float32([0, 1, 2, np.inf]), "floating-point values from 0 to inf; valid"),
        (np.int32([-1, 0, 0, 9000]), "integers from -1 to 9000; valid: 8 bits, or 0 to 65535 in 16 bits"),
        (np.int32([0, 0, 0, 65536]), "integers from 0 to 65536; valid"),
        (np.int32([0, 100, 200, 255]), "16 or 32 bits a pixel, but no value above 255: all black as such"),
        (np.uint16([0, 0, 0, 1]), "16 or 32 bits a pixel, but no value above 1: all black as such"),
    ],
)
def test_values_without_a_clear_meaning_are_refused(tmp_path, values, reason):
    path = tmp_path / "x.tif"
    Image.fromarray(values.reshape(2, 2)).save(path)
    with pytest.raises(DataError) as error:
        open_rgb(str(path))
    assert f"cannot read image {path}: {reason}" in str(error.value)
    assert "\n" not in str(error.value)


def test_pixels_are_taken_as_stored_whatever_exif_says(tmp_path):
    stored = Image.fromarray(np.random.default_rng(0).integers(0, 256, (4, 6, 3), dtype=np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be shown turned by a quarter
    stored.save(tmp_path / "x.png", exif=exif)
    assert Image.open(tmp_path / "x.png").getexif()[0x0112] == 6
    np.testing.assert_array_equal(np.asarray(open_rgb(str(tmp_path / "x.png"))), np.asarray(stored))


@pytest.mark.parametrize("size", [(20, 10), (10, 21), (7, 7), (5, 30)])
def test_centre_square(size):
    wide = np.zeros((size[1], size[0], 3), dtype=np.uint8)
    assert centre_resized(Image.fromarray(wide), 7, 7).size == (7, 7)
    assert centre_resized(Image.fromarray(wide), 9, 7).size == (7, 7)


NOISY = """
import sys
import numpy as np
from PIL import Image
Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8)).convert("P").save("a.png", transparency=bytes(range(256)))
if sys.argv[1] == "ours":
    from cil.data.image_files import open_rgb
    print(open_rgb("a.png").getpixel((3, 0)))
else:
    print(Image.open("a.png").convert("RGB").getpixel((3, 0)))
"""


def test_what_pillow_says_of_transparency_is_not_said_in_a_run(tmp_path):
    """In a process of its own: pytest has filters of its own for warnings."""
    environment = os.environ | {"PYTHONPATH": str(PROJECT)}
    done = [
        subprocess.run(
            [sys.executable, "-c", NOISY, whose], cwd=tmp_path, env=environment, capture_output=True, text=True
        )
        for whose in ("pillow", "ours")
    ]
    assert [one.stdout for one in done] == ["(3, 3, 3)\n"] * 2
    assert "Palette images with Transparency" in done[0].stderr and done[1].stderr == ""


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
