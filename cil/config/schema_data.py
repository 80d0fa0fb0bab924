"""Schema of the images: data set, split into tasks, augmentation; part of cil/config/schema.py, which exports it."""

from dataclasses import dataclass
from enum import Enum

from cil.config.keys import ABOVE_ZERO, WHERE_USED, at_least, between, is_not, key, not_null, null, true, when

AutoAugmentPolicy = Enum("AutoAugmentPolicy", ["none", "cifar10", "imagenet"])
AutoAugmentOps = Enum("AutoAugmentOps", ["published", "torchvision"])
CropResampling = Enum("CropResampling", ["pillow", "torch"])

_NO_SIZES = when("split.sizes", null)


@dataclass
class DatasetConfig:
    """Which images. A dataset also brings defaults for split, backbone, augment, epochs and memory."""

    name: str = "digits"
    """Name shown in tables and result.json."""
    source: str = "digits"
    """Reader: a module of cil/data/sources (digits, cifar, image_folder, cub)."""
    root: str | None = None
    """Folder of the data. Relative paths start where the command was launched; `~` works."""
    download: bool = False
    """Download the data into `root` if it is not there (cifar10 and cifar100 only)."""
    classes: int | None = key(None, rule=at_least(1))
    """Number of classes. null: counted from `class_list` or the class folders."""
    class_list: str | None = None
    """Text file with one class-folder name a line, or a shipped list's name (docs/data.md): these classes only. null:
    every folder of the train split."""
    image_size: int = key(8, rule=at_least(1))
    """Side of the square training image in pixels."""
    max_train_per_class: int | None = key(None, rule=at_least(1))
    """Use only the first N training images of each class, in file order. null: all."""
    max_test_per_class: int | None = key(None, rule=at_least(1))
    """Use only the first N test images of each class, in file order. null: all."""
    holdout_per_class: int | None = key(None, rule=at_least(1))
    """Cut the last N training images of each class off as a validation set (figures named `val`). null: none."""
    num_workers: int = key(4, rule=at_least(0))
    """Processes that decode image files. Unused by data sets that are held in memory. Never changes a result."""
    pack_side: int | None = key(None, neutral=None, rule=at_least(1))
    """Shorter side in pixels of the images in a pack (docs/data.md). Set where `root` is one; null: image files."""
    resident_gb: float = key(0.0, neutral=0.0, rule=at_least(0), used=when("dataset.pack_side", not_null), idle=0.0)
    """Memory of the device in GB for a pack: a task whose images fit lives there and is cropped there. 0: workers do
    it. Never changes a result."""


@dataclass
class SplitConfig:
    """How the classes are cut into tasks."""

    base: int | None = key(2, rule=at_least(1), used=_NO_SIZES)
    """Classes of task 1. null, with `increment` null: all classes in one task (joint training)."""
    increment: int | None = key(2, rule=at_least(1), used=_NO_SIZES)
    """Classes of every later task."""
    sizes: list[int] | None = key(None, rule=at_least(1))
    """Classes of each task as a list; replaces base and increment. May sum to less than the class count."""


@dataclass
class AugmentConfig:
    """Augmentation of the two training views, and normalisation."""

    crop_padding: int = key(0, rule=at_least(0))
    """Random crop of the image padded with this many black pixels a side. 0: off."""
    resized_crop: bool = False
    """Random resized crop to `dataset.image_size` (image files and packs only; area 8-100 %, aspect 3/4-4/3)."""
    crop_resampling: CropResampling | None = key(
        CropResampling.pillow,
        neutral="pillow",
        used=when("augment.resized_crop", true),
        needed=WHERE_USED,
    )
    """How these crops are resized, both bilinear and averaging where they shrink. pillow: Pillow's. torch: PyTorch's
    for 8 bits, up to one grey level away, three times as fast; a pack in the device's memory needs it."""
    test_resize: int | None = key(None, rule=at_least(1), inherited=True)
    """Shorter side in pixels before the centre crop of test images (image files only). null: image_size * 256/224."""
    flip: bool = False
    """Horizontal flip with probability 1/2."""
    brightness: float = key(0.0, rule=between(0, 1))
    """Brightness factor drawn from [1 - x, 1 + x]."""
    auto_augment: AutoAugmentPolicy = AutoAugmentPolicy.none
    """AutoAugment policy: none, cifar10 or imagenet."""
    auto_augment_ops: AutoAugmentOps | None = key(
        AutoAugmentOps.published,
        neutral="torchvision",
        used=when("augment.auto_augment", is_not("none")),
        needed=WHERE_USED,
    )
    """Its operations. published: Pillow's, bicubic shears, grey outside. torchvision: nearest, black outside."""
    cutout: int = key(0, rule=at_least(0))
    """Side in pixels of one black square, its centre anywhere in the image. 0: off."""
    view_bank: int | None = key(None, neutral=None, rule=at_least(1))
    """Another augmentation, for speed: each image has this many fixed pairs of views in a task, which the epochs use in
    turn; what frozen networks say of them is computed once (docs/view_bank.md). null: new views in every epoch."""
    mean: list[float] = key([0.5, 0.5, 0.5], inherited=True)
    """Channel means subtracted from pixel values in [0, 1]."""
    std: list[float] = key([0.5, 0.5, 0.5], rule=ABOVE_ZERO, inherited=True)
    """Channel deviations that pixel values are divided by."""
