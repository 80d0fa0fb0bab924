"""Batched augmentation against a per-image PIL pipeline of the same operations, on one core.

Both sides work on CIFAR-sized images: random crop with padding 4, flip, brightness 63/255, AutoAugment (CIFAR-10
policy), 16 x 16 cutout, normalisation. The sides run in turn in one process; the times are medians over the
rounds. The PIL side starts from PIL images already in memory, so no decoding is counted. With `--ops published`
its AutoAugment is Pillow's own functions, with `--ops torchvision` torchvision's transform.

    python scripts/benchmarks/augmentation.py --rows 256 --rounds 10
"""

import argparse
import math
import random
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
from PIL import Image, ImageEnhance, ImageOps
from torch import Tensor
from torchvision import transforms

from cil.config.schema import AugmentConfig, AutoAugmentOps, AutoAugmentPolicy
from cil.data.augment import Augmenter
from cil.data.autoaugment import SIGNED, Step, policy_steps
from cil.data.pillow_ops import magnitudes
from cil.run.process import keep_freed_memory
from cil.seeding import generator

SIZE = 32
MEAN, STD = [0.5071, 0.4867, 0.4408], [0.2675, 0.2565, 0.2761]
AFFINE, BICUBIC, GREY = Image.Transform.AFFINE, Image.Resampling.BICUBIC, (128, 128, 128)


class PilCutout:
    """One black square of side 16, its centre anywhere, clipped at the border."""

    def __call__(self, image: Image.Image) -> Image.Image:
        """A changed copy of the image."""
        pixels = np.array(image)
        row, column = torch.randint(SIZE, (2,)).tolist()
        pixels[max(0, row - 8) : row + 8, max(0, column - 8) : column + 8] = 0
        return Image.fromarray(pixels)


class PilAutoAugment:
    """The CIFAR-10 policy of the published runs through Pillow's functions."""

    def __init__(self) -> None:
        self._steps = policy_steps("cifar10")
        names = {step[0] for pair in self._steps for step in pair}
        self._magnitudes = {name: magnitudes(name, SIZE) for name in names}

    def __call__(self, image: Image.Image) -> Image.Image:
        """A changed copy of the image."""
        for step in random.choice(self._steps):
            if random.random() < step[1]:
                image = self._apply(image, step)
        return image

    def _apply(self, image: Image.Image, step: Step) -> Image.Image:
        name, _, number = step
        value = self._magnitudes[name][number or 0] * (random.choice((1, -1)) if name in SIGNED else 1)
        match name:
            case "ShearY":
                return image.transform(image.size, AFFINE, (1, 0, 0, value, 1, 0), BICUBIC, fillcolor=GREY)
            case "TranslateX":
                return image.transform(image.size, AFFINE, (1, 0, value, 0, 1, 0), fillcolor=GREY)
            case "TranslateY":
                return image.transform(image.size, AFFINE, (1, 0, 0, 0, 1, value), fillcolor=GREY)
            case "Rotate":
                return image.rotate(value, fillcolor=GREY)
            case "Posterize":
                return ImageOps.posterize(image, int(value))
            case "Solarize":
                return ImageOps.solarize(image, math.ceil(value))
            case "AutoContrast" | "Equalize" | "Invert":
                return getattr(ImageOps, name.lower())(image)
            case _:
                return getattr(ImageEnhance, name)(image).enhance(1 + value)


def pil_pipeline(ops: str) -> Callable[[Image.Image], Tensor]:
    """The per-image side."""
    theirs = transforms.AutoAugment(transforms.AutoAugmentPolicy.CIFAR10)
    pipeline: Callable[[Image.Image], Tensor] = transforms.Compose(
        [
            transforms.RandomCrop(SIZE, padding=4),
            transforms.RandomHorizontalFlip(),
            transforms.ColorJitter(brightness=63 / 255),
            PilAutoAugment() if ops == "published" else theirs,
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
    parser.add_argument("--ops", choices=[ops.name for ops in AutoAugmentOps], default="published")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    keep_freed_memory()  # as every training process does

    # Smooth random images: noise would make the histogram operations untypical.
    coarse = torch.rand((args.rows, 3, 8, 8), generator=generator(0, "images"))
    images = (torch.nn.functional.interpolate(coarse, size=SIZE, mode="bilinear") * 255).to(torch.uint8)
    pil_images = [Image.fromarray(image.permute(1, 2, 0).numpy()) for image in images]
    cfg = AugmentConfig(
        crop_padding=4,
        flip=True,
        brightness=63 / 255,
        auto_augment=AutoAugmentPolicy.cifar10,
        auto_augment_ops=AutoAugmentOps[args.ops],
        cutout=16,
        mean=MEAN,
        std=STD,
    )
    augmenter, per_image = Augmenter(cfg, SIZE), pil_pipeline(args.ops)

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
