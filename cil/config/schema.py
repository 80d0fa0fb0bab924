"""The typed schema of every configuration key. Imports no torch: `--help` and errors must be instant.

The text under a field is its documentation: docs/config.md is generated from it. Value rules that need
more than one key are in cil/planning/validate.py.
"""

from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from cil.config.schema_loss import Formulation as Formulation
from cil.config.schema_loss import LossConfig, MarginScheduleConfig
from cil.config.schema_loss import Negatives as Negatives
from cil.config.schema_loss import Reference as Reference
from cil.config.schema_loss import ScheduleName as ScheduleName
from cil.config.schema_loss import ScheduleUnit as ScheduleUnit

MemoryPolicy = Enum("MemoryPolicy", ["total", "fixed"])
Precision = Enum("Precision", ["fp32", "bf16", "fp16"])
Stem = Enum("Stem", ["cifar", "imagenet", "imagenet_stride1"])
AutoAugmentPolicy = Enum("AutoAugmentPolicy", ["none", "cifar10", "imagenet"])
AutoAugmentOps = Enum("AutoAugmentOps", ["published", "torchvision"])
BranchInit = Enum("BranchInit", ["interpolate", "copy", "fresh"])
OnOom = Enum("OnOom", ["fail", "accumulate"])


@dataclass
class DatasetConfig:
    """Which images. A dataset also brings defaults for split, backbone, augment, epochs and memory."""

    name: str = "digits"
    """Name shown in tables and result.json."""
    source: str = "digits"
    """Reader: a module of cil/data/sources (digits, cifar, image_folder)."""
    root: str | None = None
    """Folder of the data. Relative paths start where the command was launched; `~` works."""
    download: bool = False
    """Download the data into `root` if it is not there (cifar10 and cifar100 only)."""
    classes: int | None = None
    """Number of classes. null: counted from `class_list` or the class folders."""
    class_list: str | None = None
    """Text file with one class-folder name a line: these classes only. null: every folder of the train split."""
    image_size: int = 8
    """Side of the square training image in pixels."""
    max_train_per_class: int | None = None
    """Use only the first N training images of each class, in file order. null: all."""
    max_test_per_class: int | None = None
    """Use only the first N test images of each class, in file order. null: all."""
    holdout_per_class: int | None = None
    """Cut the last N training images of each class off as a validation set (figures named `val`). null: none."""
    num_workers: int = 4
    """Processes that decode image files. Unused by data sets that are held in memory. Never changes a result."""


@dataclass
class SplitConfig:
    """How the classes are cut into tasks."""

    base: int | None = 2
    """Classes of task 1. null, with `increment` null: all classes in one task (joint training)."""
    increment: int | None = 2
    """Classes of every later task."""
    sizes: list[int] | None = None
    """Classes of each task as a list; replaces base and increment. May sum to less than the class count."""


@dataclass
class AugmentConfig:
    """Augmentation of the two training views, and normalisation."""

    crop_padding: int = 0
    """Random crop of the image padded with this many black pixels a side. 0: off."""
    resized_crop: bool = False
    """Random resized crop to `dataset.image_size` at decoding (image files only; area 8-100 %, aspect 3/4-4/3)."""
    test_resize: int | None = None
    """Shorter side in pixels before the centre crop of test images (image files only). null: image_size * 256/224."""
    flip: bool = False
    """Horizontal flip with probability 1/2."""
    brightness: float = 0.0
    """Brightness factor drawn from [1 - x, 1 + x]."""
    auto_augment: AutoAugmentPolicy = AutoAugmentPolicy.none
    """AutoAugment policy: none, cifar10 or imagenet."""
    auto_augment_ops: AutoAugmentOps | None = AutoAugmentOps.published
    """Its operations. published: Pillow's, bicubic shears, grey outside. torchvision: nearest, black outside."""
    cutout: int = 0
    """Side in pixels of one black square, its centre anywhere in the image. 0: off."""
    mean: list[float] = field(default_factory=lambda: [0.5, 0.5, 0.5])
    """Channel means subtracted from pixel values in [0, 1]."""
    std: list[float] = field(default_factory=lambda: [0.5, 0.5, 0.5])
    """Channel deviations that pixel values are divided by."""


@dataclass
class BackboneConfig:
    """The feature extractor of every branch."""

    name: str = "resnet8"
    """resnet18, resnet20, resnet32 or resnet8."""
    stem: Stem = Stem.cifar
    """cifar: 3x3 stride 1. imagenet: 7x7 stride 2 + max-pool. imagenet_stride1: 3x3 stride 1 + max-pool."""
    projector_hidden: int = 128
    """Hidden width of the contrastive projector."""
    projector_out: int = 64
    """Width of the embeddings that the contrastive loss compares."""


@dataclass
class MethodConfig:
    """Keys every method has. A method with keys of its own adds a subclass to METHOD_SCHEMAS."""

    name: str = "tagfex"
    """Module of cil/methods."""


@dataclass
class TagFexConfig(MethodConfig):
    """TagFex (CVPR 2025, arXiv 2503.00823): loss weights and growth."""

    attention_heads: int = 8
    """Heads of the merge attention; divides the feature width."""
    init: BranchInit = BranchInit.interpolate
    """Start of a new task-specific net: interpolate (previous net and task-agnostic net), copy (previous) or fresh."""
    init_factor: float = 0.95
    """Share of the previous task-specific net in `init=interpolate`."""
    contrast_weight: float = 1.0
    """Weight of the contrastive bracket (lambda_c)."""
    distill_weight: float = 2.0
    """Weight of contrastive distillation inside the bracket (lambda_kd)."""
    aux_weight: float = 2.0
    """Weight of the auxiliary head's cross-entropy."""
    trans_cls_weight: float = 1.0
    """Weight of the transfer head's cross-entropy."""
    transfer_weight: float = 1.0
    """Weight of the transfer of merged features to the classifier."""
    transfer_temperature: float = 2.0
    """Temperature of the transfer term."""
    align_weights: bool = True
    """Scale the new classifier rows to the mean norm of the old ones at the end of a task."""


@dataclass
class OptimizerConfig:
    """SGD with step decay, built anew for each task."""

    lr: float = 0.1
    """Learning rate at the start of a task."""
    momentum: float = 0.9
    """Momentum."""
    init_weight_decay: float = 5e-4
    """Weight decay in task 1, on every trained parameter."""
    inc_weight_decay: float = 2e-4
    """Weight decay in later tasks."""
    init_milestones: list[int] = field(default_factory=lambda: [60, 120, 170])
    """0-based epochs of task 1 from which the rate is multiplied by gamma once more."""
    inc_milestones: list[int] = field(default_factory=lambda: [80, 120, 150])
    """The same for later tasks."""
    gamma: float = 0.1
    """Factor at each milestone."""


@dataclass
class MemoryConfig:
    """Exemplars kept of old classes."""

    size: int = 2000
    """Images in total. 0: no rehearsal (and no nearest-mean figures)."""
    policy: MemoryPolicy = MemoryPolicy.total
    """Quota of a class: size // classes so far (total) or size // all classes (fixed)."""


@dataclass
class TrainerConfig:
    """The training loop."""

    init_epochs: int = 200
    """Epochs of task 1."""
    inc_epochs: int = 170
    """Epochs of every later task."""
    batch_size: int = 128
    """Images a batch (each gives two views)."""
    eval_batch_size: int = 256
    """Images a batch in evaluation and herding."""
    eval_every: int = 0
    """Evaluate every N epochs besides the end of a task. 0: only at the end of a task. Never changes training."""
    max_tasks: int | None = None
    """Stop after this many tasks. null: all."""
    precision: Precision = Precision.fp32
    """fp32, bf16 or fp16 (autocast; losses stay in float32)."""
    compile: bool = False
    """torch.compile for the trained backbones."""
    grad_clip_norm: float | None = None
    """Largest gradient norm of a step. null: no clipping."""
    deterministic: bool = False
    """Bit-reproducible kernels on CUDA (slower); the CPU is always reproducible."""
    check_every: int = 20
    """A non-finite loss or gradient is found at most this many steps late."""
    on_oom: OnOom = OnOom.fail
    """When memory runs out: fail, or go on with the batch in micro-batches (recorded; batch-norm sees fewer images)."""
    forecast: bool = True
    """Before training, forecast the size of the last task's network (and on CUDA measure its peak memory)."""


@dataclass
class CheckpointConfig:
    """When the state of a run is saved, and what is kept. Never changes a result."""

    every_minutes: float = 10.0
    """Minutes between checkpoints inside a task; one more is written at every task end and at a stop signal."""
    keep_tasks: bool = False
    """Keep the model of every task end, for later evaluation."""
    keep_all: bool = False
    """Keep the full state of a finished run (optimiser included), not only its final model."""
    max_failures: int = 3
    """Failed saves in a row (a full disk) after which the run stops. Until then it goes on and tries again."""


@dataclass
class TrackingConfig:
    """What is shown and written. Never changes a result."""

    tensorboard: bool = True
    """Write TensorBoard events into the run's folder."""
    progress: bool = True
    """Show the progress bar."""
    confusion_matrix: bool = True
    """Draw the confusion matrix of every task into TensorBoard."""
    similarity_histogram: bool = True
    """Draw the similarities of positive and negative pairs after every task into TensorBoard."""
    gradient_share_every: int = 0
    """Every N epochs of a task (the first and the last too), on one batch: gradient of each loss term in the shared
    net, and cosines. 0: off."""


@dataclass
class RunConfig:
    """One run."""

    name: str = "run"
    """Folder name under outputs/: letters, digits, '.', '_' and '-'."""
    seed: int = 1993
    """Seed of weights, sample order and augmentation."""
    device: str = "auto"
    """auto, cpu, cuda or cuda:N."""
    class_order: Any = "natural"
    """pycil, natural, random (see class_order_seed) or a list of every class position."""
    class_order_seed: int = 0
    """Seed of class_order=random, independent of `seed`."""
    ant_margin: float | None = None
    """Margin at the start of a task (>= 0). null: the loss's or preset's own."""
    dataset: DatasetConfig = field(default_factory=DatasetConfig)
    """The images."""
    split: SplitConfig = field(default_factory=SplitConfig)
    """Tasks."""
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    """Augmentation and normalisation."""
    backbone: BackboneConfig = field(default_factory=BackboneConfig)
    """Feature extractor."""
    method: Any = field(default_factory=TagFexConfig)
    """The method; its keys depend on `method.name`."""
    loss: LossConfig = field(default_factory=LossConfig)
    """The contrastive loss."""
    margin_schedule: MarginScheduleConfig = field(default_factory=MarginScheduleConfig)
    """The ANT margin over the epochs of a task."""
    memory: MemoryConfig = field(default_factory=MemoryConfig)
    """Exemplars."""
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    """Optimiser and learning-rate steps."""
    trainer: TrainerConfig = field(default_factory=TrainerConfig)
    """Training loop."""
    tracking: TrackingConfig = field(default_factory=TrackingConfig)
    """Display and logs."""
    checkpoint: CheckpointConfig = field(default_factory=CheckpointConfig)
    """Saving of a run's state."""


METHOD_SCHEMAS: dict[str, type[MethodConfig]] = {"tagfex": TagFexConfig}
"""Schema of each method's own keys, by name; a method without a row has only MethodConfig's."""

FEATURE_WIDTHS = {"resnet18": 512, "resnet20": 64, "resnet32": 64, "resnet8": 64}
"""Width d of each backbone's feature, by name: the backbones there are."""
