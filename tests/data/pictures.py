"""Test images for the image operations."""

import torch

from cil.seeding import generator


def pictures(count: int, height: int, width: int, key: str = "pictures") -> torch.Tensor:
    """Smooth images, noise, and the awkward ones: one value, two values, dark, a single outlier."""
    g = generator(5, key, height, width)
    coarse = torch.rand((count, 3, 4, 4), generator=g)
    images = torch.nn.functional.interpolate(coarse, size=(height, width), mode="bilinear") * 255
    images[1::6] = torch.randint(0, 256, images[1::6].shape, generator=g).float()
    images[2::6] = torch.randint(0, 256, (len(images[2::6]), 3, 1, 1), generator=g).float()
    images[3::6] = torch.randint(0, 2, images[3::6].shape, generator=g).float() * 200 + 20
    images[4::6] = images[4::6] // 16
    images[5::6] = 77
    images[5::6, :, 0, 0] = 255
    return images.to(torch.uint8)
