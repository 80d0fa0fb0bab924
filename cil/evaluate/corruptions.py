"""Corrupted test images: noise, blur and loss of contrast, each in five strengths.

Own definitions, relative to the side of the image so that they mean the same at 32 and at 224 pixels. They are not
those of ImageNet-C (Hendrycks and Dietterich, ICLR 2019): figures cannot be compared with published ones, only with
each other.
"""

import torch
from torch import Tensor

from cil.seeding import generator

STRENGTHS = {
    "noise": (0.02, 0.05, 0.10, 0.15, 0.20),
    "blur": (0.01, 0.02, 0.03, 0.045, 0.06),
    "contrast": (0.75, 0.50, 0.35, 0.20, 0.10),
}
"""noise: standard deviation of Gaussian noise, as a share of the range of a pixel. blur: standard deviation of a
Gaussian blur, as a share of the image's side. contrast: the factor by which a pixel's distance to the image's mean
shrinks."""


def corrupted(pixels: Tensor, kind: str, strength: int, batch: int, seed: int) -> Tensor:
    """Pixels uint8 [B, 3, H, W] -> the same, corrupted; strength 1 to 5.

    The noise of an image depends on (seed, strength, batch, row) only, not on the device.
    """
    amount = STRENGTHS[kind][strength - 1]
    values = pixels.to(torch.float32)
    if kind == "noise":
        stream = generator(seed, "corruption", strength, batch)
        values = values + 255 * amount * torch.randn(values.shape, generator=stream).to(values.device)
    elif kind == "blur":
        from torchvision.transforms.v2.functional import gaussian_blur  # nothing else here needs it

        sigma = amount * min(pixels.shape[-2:])
        values = gaussian_blur(values, kernel_size=[2 * int(3 * sigma + 0.5) + 1] * 2, sigma=[sigma])
    else:
        mean = values.mean(dim=(1, 2, 3), keepdim=True)
        values = mean + amount * (values - mean)
    return values.round().clamp(0, 255).to(torch.uint8)
