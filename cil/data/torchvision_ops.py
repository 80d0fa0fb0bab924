"""AutoAugment's operations as torchvision has them on uint8 CPU tensors, bit by bit: black outside, nearest.

Kernels as in image_ops.py.
"""

import math

import torch
from torch import Tensor

from cil.data.image_ops import blurred, brightness, column, equalize, invert, posterize, solarize, take_pixels, to_uint8
from cil.data.operation_set import BINS, PARAMETERS, OperationSet, as_it_is, nothing, posterize_mask


def _blend(images: Tensor, other: Tensor, parameters: Tensor) -> Tensor:
    """p0 * images + p1 * other, as float32 rounded after each product."""
    return to_uint8(column(parameters, 0) * images + column(parameters, 1) * other)


def _grey(images: Tensor) -> Tensor:
    """Luma of each pixel, uint8 [m, 1, H, W] (ITU-R 601 weights to four digits)."""
    red, green, blue = images.unbind(1)
    return (0.2989 * red + 0.587 * green + 0.114 * blue).to(torch.uint8).unsqueeze(1)


def color(images: Tensor, parameters: Tensor) -> Tensor:
    """Blend with the grey image: p0 is the share of the image, p1 = 1 - p0."""
    return _blend(images, _grey(images), parameters)


def contrast(images: Tensor, parameters: Tensor) -> Tensor:
    """Blend with the mean grey value: p0 is the share of the image, p1 = 1 - p0.

    The sum of the grey values is exact in float32 up to 256 x 256 pixels, so that its order cannot matter.
    """
    total = _grey(images).to(torch.float32).sum((1, 2, 3), keepdim=True)
    return _blend(images, total / (images.shape[-2] * images.shape[-1]), parameters)


def sharpness(images: Tensor, parameters: Tensor) -> Tensor:
    """Blend with a blurred image: p0 is the share of the image, p1 = 1 - p0. Border pixels stay."""
    if min(images.shape[-2:]) <= 2:
        return images.clone()
    return _blend(images, blurred(images), parameters)


def autocontrast(images: Tensor, _parameters: Tensor) -> Tensor:
    """Stretch each channel to 0..255; a channel of one value stays."""
    low = images.amin((-2, -1), keepdim=True).to(torch.float32)
    spread = images.amax((-2, -1), keepdim=True) - low
    flat = spread == 0
    scale = torch.where(flat, 1.0, 255 / spread)
    return to_uint8((images - torch.where(flat, 0.0, low)) * scale)


def affine(images: Tensor, parameters: Tensor) -> Tensor:
    """Nearest-neighbour resampling, black outside.

    p0..p5 = [a, b, c, d, e, f]: the output pixel at (x, y) from the centre shows the source at
    (a x + b y + c, d x + e y + f), in units of half the image's width and height.
    """
    height, width = images.shape[-2:]
    device = images.device
    x = torch.arange(width, device=device) - (width - 1) / 2
    y = torch.arange(height, device=device)[:, None] - (height - 1) / 2
    a, b, c, d, e, f = (parameters[:, index, None, None] for index in range(PARAMETERS))
    # The same steps in the same order as torchvision's sampling grid, so that ties round the same way.
    source_x = ((x * a + y * b + c + 1) * (width / 2) - 0.5).round_()
    source_y = ((x * d + y * e + f + 1) * (height / 2) - 0.5).round_()
    return take_pixels(images, source_x, source_y, fill=0)


def magnitudes(name: str, size: int) -> list[float]:
    """The magnitudes of bins 0..9 of operation `name` on size x size images.

    Shears: tangent; translations: pixels (the fraction is cut off later); Rotate: degrees, clockwise;
    enhancements: factor - 1; Posterize: bits kept; Solarize: threshold.
    """
    match name:
        case "ShearX" | "ShearY":
            values = torch.linspace(0.0, 0.3, BINS)
        case "TranslateX" | "TranslateY":
            values = torch.linspace(0.0, 150.0 / 331.0 * size, BINS)
        case "Rotate":
            values = torch.linspace(0.0, 30.0, BINS)
        case "Brightness" | "Color" | "Contrast" | "Sharpness":
            values = torch.linspace(0.0, 0.9, BINS)
        case "Posterize":
            values = 8 - (torch.arange(BINS) / ((BINS - 1) / 4)).round()
        case "Solarize":
            values = torch.linspace(255.0, 0.0, BINS)
        case _:
            values = torch.zeros(BINS)
    return [float(value) for value in values]


def _blend_parameters(magnitude: float, _size: int) -> list[float]:
    return [1.0 + magnitude, 1.0 - (1.0 + magnitude)]


def _matrix_parameters(matrix: list[float], size: int) -> list[float]:
    """A 2 x 3 matrix in pixels from the centre, scaled to half image sides in float32."""
    scaled: list[float] = (torch.tensor(matrix, dtype=torch.float32) / torch.tensor(0.5 * size)).tolist()
    return scaled


def _shear_x_parameters(magnitude: float, size: int) -> list[float]:
    # About the top left corner: the middle row moves by magnitude * size / 2.
    return _matrix_parameters([1.0, magnitude, magnitude * size / 2, 0.0, 1.0, 0.0], size)


def _shear_y_parameters(magnitude: float, size: int) -> list[float]:
    return _matrix_parameters([1.0, 0.0, 0.0, magnitude, 1.0, magnitude * size / 2], size)


def _translate_x_parameters(magnitude: float, size: int) -> list[float]:
    return _matrix_parameters([1.0, 0.0, -float(int(magnitude)), 0.0, 1.0, 0.0], size)


def _translate_y_parameters(magnitude: float, size: int) -> list[float]:
    return _matrix_parameters([1.0, 0.0, 0.0, 0.0, 1.0, -float(int(magnitude))], size)


def _rotate_parameters(magnitude: float, size: int) -> list[float]:
    cosine, sine = math.cos(math.radians(magnitude)), math.sin(math.radians(magnitude))
    return _matrix_parameters([cosine, -sine, 0.0, sine, cosine, 0.0], size)


TORCHVISION = OperationSet(
    operations={
        "ShearX": (affine, _shear_x_parameters),
        "ShearY": (affine, _shear_y_parameters),
        "TranslateX": (affine, _translate_x_parameters),
        "TranslateY": (affine, _translate_y_parameters),
        "Rotate": (affine, _rotate_parameters),
        "Brightness": (brightness, _blend_parameters),
        "Color": (color, _blend_parameters),
        "Contrast": (contrast, _blend_parameters),
        "Sharpness": (sharpness, _blend_parameters),
        "Posterize": (posterize, posterize_mask),
        "Solarize": (solarize, as_it_is),
        "AutoContrast": (autocontrast, nothing),
        "Equalize": (equalize, nothing),
        "Invert": (invert, nothing),
    },
    magnitudes=magnitudes,
    acts=torch.le,
)
"""Five operations share one kernel. A step acts where the number drawn is at most its probability."""
