"""Batched augmentation against the per-image PIL pipeline of torchvision, on one core.

Both sides do the same operations on CIFAR-sized images: random crop with padding 4, flip, brightness 63/255,
AutoAugment (CIFAR-10 policy), 16 x 16 cutout, normalisation. The sides run in turn in one process; the times are
medians over the rounds. The PIL side starts from PIL images already in memory, so no decoding is counted.

    python scripts/benchmarks/augmentation.py --rows 256 --rounds 10
"""

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torchvision import transforms

from cil.config.schema import AugmentConfig, AutoAugmentPolicy
from cil.data.augment import Augmenter
from cil.seeding import generator

SIZE = 32
MEAN, STD = [0.5071, 0.4867, 0.4408], [0.2675, 0.2565, 0.2761]


class PilCutout:
    """One black square of side 16, its centre anywhere, clipped at the border."""

    def __call__(self, image: Image.Image) -> Image.Image:
        """A changed copy of the image."""
        pixels = np.array(image)
        row, column = torch.randint(SIZE, (2,)).tolist()
        pixels[max(0, row - 8) : row + 8, max(0, column - 8) : column + 8] = 0
        return Image.fromarray(pixels)


def pil_pipeline() -> Callable[[Image.Image], Tensor]:
    """The per-image side."""
    pipeline: Callable[[Image.Image], Tensor] = transforms.Compose(
        [
            transforms.RandomCrop(SIZE, padding=4),
            transforms.RandomHorizontalFlip(),
            transforms.ColorJitter(brightness=63 / 255),
            transforms.AutoAugment(transforms.AutoAugmentPolicy.CIFAR10),
            PilCutout(),
            transforms.ToTensor(),
            transforms.Normalize(MEAN, STD),
        ]
    )
    return pipeline


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=256, help="images a batch (two views of 128 are 256 rows)")
    parser.add_argument("--rounds", type=int, default=10, help="timed rounds of each side")
    parser.add_argument("--threads", type=int, default=1, help="torch threads")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)

    # Smooth random images: noise would make the histogram operations untypical.
    coarse = torch.rand((args.rows, 3, 8, 8), generator=generator(0, "images"))
    images = (torch.nn.functional.interpolate(coarse, size=SIZE, mode="bilinear") * 255).to(torch.uint8)
    pil_images = [Image.fromarray(image.permute(1, 2, 0).numpy()) for image in images]
    cfg = AugmentConfig(
        crop_padding=4,
        flip=True,
        brightness=63 / 255,
        auto_augment=AutoAugmentPolicy.cifar10,
        cutout=16,
        mean=MEAN,
        std=STD,
    )
    augmenter, per_image = Augmenter(cfg, SIZE), pil_pipeline()

    times: dict[str, list[float]] = {"batched": [], "per image": []}
    for number in range(args.rounds + 1):
        start = time.perf_counter()
        augmenter.train(images, augmenter.draw(args.rows, generator(0, number)))
        middle = time.perf_counter()
        torch.stack([per_image(image) for image in pil_images])
        end = time.perf_counter()
        if number:  # The first round warms up.
            times["batched"].append(1e3 * (middle - start))
            times["per image"].append(1e3 * (end - middle))
    medians = {side: statistics.median(values) for side, values in times.items()}
    for side, values in times.items():
        print(f"{side:10s} {medians[side]:8.2f} ms per {args.rows} rows (fastest {min(values):.2f})")
    ratio = medians["per image"] / medians["batched"]
    print(f"ratio      {ratio:8.1f} ({args.threads} torch thread(s), torch {torch.__version__})")


if __name__ == "__main__":
    main()
