"""The published runs' AutoAugment operations on one PIL image, through Pillow's own functions."""

import numpy as np
import torch
from PIL import Image, ImageEnhance, ImageOps

from cil.data.pillow_ops import PUBLISHED

AFFINE, BICUBIC, NEAREST = Image.Transform.AFFINE, Image.Resampling.BICUBIC, Image.Resampling.NEAREST
GREY = (128, 128, 128)


def reference(image: Image.Image, name: str, number: int, sign: int) -> Image.Image:
    """Operation `name` with the magnitude of bin `number`."""

    def moved(matrix, how):
        return image.transform(image.size, AFFINE, matrix, how, fillcolor=GREY)

    shear = sign * np.linspace(0, 0.3, 10)[number]
    distance = sign * np.linspace(0, 150 / 331, 10)[number] * image.size[0]
    match name:
        case "ShearX":
            return moved((1, shear, 0, 0, 1, 0), BICUBIC)
        case "ShearY":
            return moved((1, 0, 0, shear, 1, 0), BICUBIC)
        case "TranslateX":
            return moved((1, 0, distance, 0, 1, 0), NEAREST)
        case "TranslateY":
            return moved((1, 0, 0, 0, 1, distance), NEAREST)
        case "Rotate":
            return image.rotate(sign * np.linspace(0, 30, 10)[number], NEAREST, fillcolor=GREY)
        case "Posterize":
            return ImageOps.posterize(image, int(np.linspace(8, 4, 10).round()[number]))
        case "Solarize":
            return ImageOps.solarize(image, np.linspace(256, 0, 10)[number])
        case "AutoContrast" | "Equalize" | "Invert":
            return getattr(ImageOps, name.lower())(image)
        case _:
            return getattr(ImageEnhance, name)(image).enhance(1 + sign * np.linspace(0, 0.9, 10)[number])


def to_pil(images: torch.Tensor) -> list[Image.Image]:
    return [Image.fromarray(image.permute(1, 2, 0).contiguous().numpy()) for image in images]


def from_pil(images: list[Image.Image]) -> torch.Tensor:
    return torch.from_numpy(np.stack([np.asarray(image) for image in images])).permute(0, 3, 1, 2)


def ours(images: torch.Tensor, name: str, number: int, sign: int) -> torch.Tensor:
    """The same on a batch by the code under test."""
    size = images.shape[-1]
    numbers = PUBLISHED.parameters(name, sign * PUBLISHED.magnitudes(name, size)[number], size)
    return PUBLISHED.operations[name][0](images, torch.tensor([numbers]).repeat(len(images), 1))


def distance(result: torch.Tensor, expected: torch.Tensor) -> torch.Tensor:
    """Levels between the pixels of two uint8 batches."""
    return (result.to(torch.int16) - expected.to(torch.int16)).abs()
