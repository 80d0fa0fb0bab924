"""AutoAugment's operations as the published class-incremental runs have them: Pillow's, pixel by pixel.

Kernels as in image_ops.py. Magnitudes: Cubuk et al. 2019 (arXiv 1805.09501), table 6, in ten bins.
"""

import numpy as np
import torch
from torch import Tensor

from cil.data.image_ops import blurred, brightness, column, equalize, invert, posterize, solarize, to_uint8
from cil.data.operation_set import BINS, OperationSet, as_it_is, nothing, posterize_mask
from cil.data.pillow_geometry import move, rotate, shear, shear_x, shear_y, translate_x, translate_y


def _blend(images: Tensor, other: Tensor, parameters: Tensor) -> Tensor:
    """other + p0 * (images - other)."""
    other = other.to(torch.float32)
    return to_uint8((images - other).mul_(column(parameters, 0)).add_(other))


def _luma(images: Tensor) -> Tensor:
    """Whole-numbered grey value of each pixel, float32 [m, 1, H, W] (ITU-R 601 in units of 1 / 65536).

    Every sum is below 2**24, so that float32 holds it exactly.
    """
    red, green, blue = images.unbind(1)
    total = (19595.0 * red).add_(38470.0 * green).add_(7471.0 * blue).add_(32768.0)
    return total.mul_(1 / 65536).floor_().unsqueeze(1)


def color(images: Tensor, parameters: Tensor) -> Tensor:
    """Blend with the grey image: p0 is the share of the image."""
    return _blend(images, _luma(images), parameters)


def contrast(images: Tensor, parameters: Tensor) -> Tensor:
    """Blend with the mean grey value, rounded: p0 is the share of the image."""
    count = images.shape[-2] * images.shape[-1]
    total = _luma(images).to(torch.int32).sum((1, 2, 3), keepdim=True)
    return _blend(images, (2 * total + count).div(2 * count, rounding_mode="floor"), parameters)


def sharpness(images: Tensor, parameters: Tensor) -> Tensor:
    """Blend with a blurred image: p0 is the share of the image. Border pixels stay."""
    return _blend(images, blurred(images), parameters)


def autocontrast(images: Tensor, _parameters: Tensor) -> Tensor:
    """Stretch each channel to 0..255; a channel of one value stays."""
    low = images.amin((-2, -1), keepdim=True)
    spread = images.amax((-2, -1), keepdim=True) - low
    # The numbers are so small that the float32 quotient is never rounded up to a whole one.
    stretched = to_uint8((images - low).to(torch.float32).mul_(255).div_(spread.clamp(min=1)))
    return torch.where(spread == 0, images, stretched)


def magnitudes(name: str, size: int) -> list[float]:
    """The magnitudes of bins 0..9 of operation `name` on size x size images.

    Shears: tangent; translations: pixels; Rotate: degrees, counter-clockwise; enhancements: factor - 1;
    Posterize: bits kept; Solarize: threshold.
    """
    match name:
        case "ShearX" | "ShearY":
            values = np.linspace(0, 0.3, BINS)
        case "TranslateX" | "TranslateY":
            values = np.linspace(0, 150 / 331, BINS) * size
        case "Rotate":
            values = np.linspace(0, 30, BINS)
        case "Brightness" | "Color" | "Contrast" | "Sharpness":
            values = np.linspace(0, 0.9, BINS)
        case "Posterize":
            values = np.linspace(8, 4, BINS).round()
        case "Solarize":
            values = np.linspace(256, 0, BINS)
        case _:
            values = np.zeros(BINS)
    return [float(value) for value in values]


def _factor(magnitude: float, _size: int) -> list[float]:
    return [1.0 + magnitude]


PUBLISHED = OperationSet(
    operations={
        "ShearX": (shear_x, shear),
        "ShearY": (shear_y, shear),
        "TranslateX": (move, translate_x),
        "TranslateY": (move, translate_y),
        "Rotate": (move, rotate),
        "Brightness": (brightness, _factor),
        "Color": (color, _factor),
        "Contrast": (contrast, _factor),
        "Sharpness": (sharpness, _factor),
        "Posterize": (posterize, posterize_mask),
        "Solarize": (solarize, as_it_is),
        "AutoContrast": (autocontrast, nothing),
        "Equalize": (equalize, nothing),
        "Invert": (invert, nothing),
    },
    magnitudes=magnitudes,
    acts=torch.lt,
)
"""Three operations share one kernel. A step acts where the number drawn is below its probability."""
