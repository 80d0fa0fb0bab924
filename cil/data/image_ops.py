"""Image operations on whole batches: each row has its own magnitude, nothing synchronises with the device.

Every function takes uint8 images [m, 3, H, W] and gives new ones of the same shape; the input is never changed.
The results equal torchvision's functional operations on uint8 CPU tensors. All arithmetic is elementwise
float32 or integer, with each step rounded by itself, so that every device gives the same bits: no matrix
product or convolution, whose rounding depends on the library (and whose TF32 mode would move pixels).

`parameters(name, magnitude, size)` turns a magnitude into the up to six numbers the operation reads.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import pad

PARAMETERS = 6
"""Numbers per row that an operation receives; those it does not use are 0."""


def _column(parameters: Tensor, index: int) -> Tensor:
    """Column `index` of [m, 6] as [m, 1, 1, 1]."""
    return parameters[:, index, None, None, None]


def _to_uint8(values: Tensor) -> Tensor:
    """Clip to 0..255 and cut the fraction off."""
    return values.clamp_(0, 255).to(torch.uint8)


def _blend(images: Tensor, other: Tensor, parameters: Tensor) -> Tensor:
    """p0 * images + p1 * other, as float32 rounded after each product."""
    return _to_uint8(_column(parameters, 0) * images + _column(parameters, 1) * other)


def _grey(images: Tensor) -> Tensor:
    """Luma of each pixel, uint8 [m, 1, H, W] (ITU-R 601 weights to four digits)."""
    red, green, blue = images.unbind(1)
    return (0.2989 * red + 0.587 * green + 0.114 * blue).to(torch.uint8).unsqueeze(1)


def brightness(images: Tensor, parameters: Tensor) -> Tensor:
    """Scale every pixel by p0."""
    return _to_uint8(_column(parameters, 0) * images)


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
    """Blend with a blurred image (3x3, centre 5, others 1, over 13): p0 is the share of the image, p1 = 1 - p0.

    Border pixels stay; images of at most two pixels a side stay whole. The blur is rounded to integers
    before blending; the sums are exact and a thirteenth is never near a tie, so the rounding is exact too.
    """
    height, width = images.shape[-2:]
    if height <= 2 or width <= 2:
        return images.clone()
    wide = images.to(torch.float32)
    rows = wide[..., :-2, :] + wide[..., 1:-1, :] + wide[..., 2:, :]
    total = rows[..., :-2] + rows[..., 1:-1] + rows[..., 2:] + 4 * wide[..., 1:-1, 1:-1]
    blurred = images.clone()
    blurred[..., 1:-1, 1:-1] = (total / 13).round_().to(torch.uint8)
    return _blend(images, blurred, parameters)


def posterize(images: Tensor, parameters: Tensor) -> Tensor:
    """Keep the bits of the mask p0."""
    return images & _column(parameters, 0).to(torch.uint8)


def solarize(images: Tensor, parameters: Tensor) -> Tensor:
    """Invert pixels of at least p0."""
    return torch.where(images >= _column(parameters, 0), 255 - images, images)


def invert(images: Tensor, _parameters: Tensor) -> Tensor:
    """255 - pixel."""
    return 255 - images


def autocontrast(images: Tensor, _parameters: Tensor) -> Tensor:
    """Stretch each channel to 0..255; a channel of one value stays."""
    low = images.amin((-2, -1), keepdim=True).to(torch.float32)
    spread = images.amax((-2, -1), keepdim=True) - low
    flat = spread == 0
    scale = torch.where(flat, 1.0, 255 / spread)
    return _to_uint8((images - torch.where(flat, 0.0, low)) * scale)


def equalize(images: Tensor, _parameters: Tensor) -> Tensor:
    """Flatten the histogram of each channel (PIL's integer rule); a channel with too few pixels a step stays."""
    count, channels, height, width = images.shape
    values = images.flatten(2).to(torch.int64)
    offsets = 256 * torch.arange(count * channels, device=images.device).view(count, channels, 1)
    flat = (values + offsets).flatten()
    # scatter_add_ on one dimension: bincount would synchronise on CUDA.
    histogram = torch.zeros(count * channels * 256, dtype=torch.int64, device=images.device)
    histogram = histogram.scatter_add_(0, flat, torch.ones_like(flat)).view(count, channels, 256)
    brightest = values.amax(2, keepdim=True)
    step = (height * width - histogram.gather(2, brightest)) // 255
    below = histogram.cumsum(2) - histogram
    table = ((below + step // 2) // step.clamp(min=1)).clamp(max=255)
    table = torch.where(step == 0, torch.arange(256, device=images.device), table)
    return table.to(torch.uint8).gather(2, values).view_as(images)


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
    inside = (source_x >= 0) & (source_x < width) & (source_y >= 0) & (source_y < height)
    # Outside pixels read one black pixel put behind the last one.
    index = torch.where(inside, source_y * width + source_x, float(height * width)).to(torch.int64)
    flat = pad(images.flatten(2), (0, 1))
    return flat.gather(2, index.flatten(1)[:, None].expand(-1, images.shape[1], -1)).view_as(images)


def _blend_parameters(magnitude: float, _size: int) -> list[float]:
    return [1.0 + magnitude, 1.0 - (1.0 + magnitude)]


def _posterize_parameters(magnitude: float, _size: int) -> list[float]:
    return [256.0 - 2 ** (8 - int(magnitude))]


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


Kernel = Callable[[Tensor, Tensor], Tensor]

OPERATIONS: dict[str, tuple[Kernel, Callable[[float, int], list[float]]]] = {
    "ShearX": (affine, _shear_x_parameters),
    "ShearY": (affine, _shear_y_parameters),
    "TranslateX": (affine, _translate_x_parameters),
    "TranslateY": (affine, _translate_y_parameters),
    "Rotate": (affine, _rotate_parameters),
    "Brightness": (brightness, _blend_parameters),
    "Color": (color, _blend_parameters),
    "Contrast": (contrast, _blend_parameters),
    "Sharpness": (sharpness, _blend_parameters),
    "Posterize": (posterize, _posterize_parameters),
    "Solarize": (solarize, lambda magnitude, _size: [magnitude]),
    "AutoContrast": (autocontrast, lambda _magnitude, _size: []),
    "Equalize": (equalize, lambda _magnitude, _size: []),
    "Invert": (invert, lambda _magnitude, _size: []),
}
"""Kernel and parameter rule of each operation, by its name in AutoAugment. Five of them share one kernel."""

KERNELS: list[Kernel] = list(dict.fromkeys(kernel for kernel, _ in OPERATIONS.values()))
"""The distinct kernels, in a fixed order."""


def parameters(name: str, magnitude: float, size: int) -> list[float]:
    """The six numbers operation `name` reads at `magnitude` (sign included) on size x size images.

    Shears: tangent; translations: pixels (the fraction is cut off); Rotate: degrees; enhancements: factor - 1;
    Posterize: bits kept; Solarize: threshold.
    """
    values = OPERATIONS[name][1](magnitude, size)
    return values + [0.0] * (PARAMETERS - len(values))


def random_crop(images: Tensor, offsets: Tensor, padding: int) -> Tensor:
    """Windows of the images' own size from the images padded with black.

    offsets: int64 [n, 2] on the images' device, top and left corner in the padded image (0..2 * padding).
    """
    count, channels, height, width = images.shape
    padded = pad(images, (padding,) * 4)
    rows = offsets[:, :1] + torch.arange(height, device=images.device)
    columns = offsets[:, 1:] + torch.arange(width, device=images.device)
    index = (rows[:, :, None] * padded.shape[-1] + columns[:, None]).view(count, 1, -1)
    return padded.flatten(2).gather(2, index.expand(-1, channels, -1)).view_as(images)


def flip_rows(images: Tensor, rows: Tensor) -> Tensor:
    """Mirror the images numbered in rows (int64 [k], on the images' device) left to right."""
    return images.index_copy(0, rows, images.index_select(0, rows).flip(-1))


def cutout(images: Tensor, centres: Tensor, side: int) -> Tensor:
    """Blacken one square per image, clipped at the border.

    centres: int64 [n, 2] (row, column); the square covers centre - side // 2 up to, not including, that + side.
    """
    inside = []
    for axis, length in enumerate(images.shape[-2:]):
        start = centres[:, axis, None] - side // 2
        position = torch.arange(length, device=images.device)
        inside.append((position >= start) & (position < start + side))
    keep = ~(inside[0][:, :, None] & inside[1][:, None])
    return images * keep[:, None].to(torch.uint8)
