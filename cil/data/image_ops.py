"""Image operations on whole batches: each row has its own magnitude, nothing synchronises with the device.

Every function takes uint8 images [m, 3, H, W] and gives new ones of the same shape; the input is never changed.
All arithmetic is elementwise float32 or integer, with each step rounded by itself, so that every device gives
the same bits: no matrix product or convolution, whose rounding depends on the library (and whose TF32 mode
would move pixels). Here are the operations on which Pillow and torchvision agree to the last bit; the others
are in pillow_ops.py, pillow_geometry.py and torchvision_ops.py.
"""

import torch
from torch import Tensor
from torch.nn.functional import pad


def column(parameters: Tensor, index: int) -> Tensor:
    """Column `index` of [m, PARAMETERS] as [m, 1, 1, 1]."""
    return parameters[:, index, None, None, None]


def to_uint8(values: Tensor) -> Tensor:
    """Clip to 0..255 and cut the fraction off."""
    return values.clamp_(0, 255).to(torch.uint8)


def brightness(images: Tensor, parameters: Tensor) -> Tensor:
    """Scale every pixel by p0."""
    return to_uint8(column(parameters, 0) * images)


def posterize(images: Tensor, parameters: Tensor) -> Tensor:
    """Keep the bits of the mask p0."""
    return images & column(parameters, 0).to(torch.uint8)


def solarize(images: Tensor, parameters: Tensor) -> Tensor:
    """Invert pixels of at least p0."""
    return torch.where(images >= column(parameters, 0), 255 - images, images)


def invert(images: Tensor, _parameters: Tensor) -> Tensor:
    """255 - pixel."""
    return 255 - images


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


def blurred(images: Tensor) -> Tensor:
    """Mean of 3x3 pixels (centre 5, others 1, over 13), rounded; border pixels stay.

    Images of at most two pixels a side stay whole. The sums are exact and a thirteenth is never near a tie, so
    the rounding is exact too.
    """
    height, width = images.shape[-2:]
    result = images.clone()
    if height > 2 and width > 2:
        wide = images.to(torch.float32)
        rows = wide[..., :-2, :] + wide[..., 1:-1, :] + wide[..., 2:, :]
        total = rows[..., :-2] + rows[..., 1:-1] + rows[..., 2:] + 4 * wide[..., 1:-1, 1:-1]
        result[..., 1:-1, 1:-1] = (total / 13).round_().to(torch.uint8)
    return result


def take_pixels(images: Tensor, x: Tensor, y: Tensor, fill: int) -> Tensor:
    """Images whose pixels come from column x and row y of the source; `fill` where that is outside.

    x, y: whole numbers [m, H, W] of one dtype, on the images' device.
    """
    height, width = images.shape[-2:]
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    # Outside pixels read one pixel of the fill put behind the last one.
    index = torch.where(inside, y * width + x, height * width).to(torch.int64)
    flat = pad(images.flatten(2), (0, 1), value=fill)
    return flat.gather(2, index.flatten(1)[:, None].expand(-1, images.shape[1], -1)).view_as(images)


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
