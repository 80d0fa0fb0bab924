"""Small image files for the tests of everything that decodes."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from cil.seeding import generator


def smooth_image(number: int, width: int, height: int) -> Image.Image:
    """An RGB image of low frequencies, so that JPEG keeps it nearly."""
    coarse = torch.rand((1, 3, 5, 5), generator=generator(11, "files", number)) * 255
    pixels = torch.nn.functional.interpolate(coarse, size=(height, width), mode="bilinear")[0]
    return Image.fromarray(pixels.permute(1, 2, 0).to(torch.uint8).numpy())


def write_images(folder: Path, count: int) -> np.ndarray:
    """`count` JPEG files of different shapes; their paths as an array of str."""
    paths = []
    for number in range(count):
        path = folder / f"{number:03d}.jpg"
        smooth_image(number, 50 + 7 * (number % 4), 44 + 9 * (number % 3)).save(path, quality=95)
        paths.append(str(path))
    return np.array(paths)
