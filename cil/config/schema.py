"""The typed schema of every configuration key. Imports no torch: `--help` and errors must be instant.

The text under a field is its documentation: docs/config.md is generated from it. What else is known of one key
(its range, when it is used, ...) is its `key(...)`, see cil/config/keys.py; value rules that need several keys are
in cil/planning/validate.py. Methods and the contrastive loss have files of their own beside this one.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Any

from cil.config.keys import (
    ABOVE_ZERO,
    ALWAYS,
    BELOW_ONE,
    TAG,
    WHERE_USED,
    at_least,
    between,
    group,
    is_,
    is_not,
    key,
    nonzero,
    null,
    when,
)
from cil.config.schema_loss import Formulation as Formulation
from cil.config.schema_loss import LossConfig, MarginScheduleConfig
from cil.config.schema_loss import Negatives as Negatives
from cil.config.schema_loss import Prototypes as Prototypes
from cil.config.schema_loss import Reference as Reference
from cil.config.schema_loss import ScheduleName as ScheduleName
from cil.config.schema_loss import ScheduleUnit as ScheduleUnit
from cil.config.schema_memory import MemoryConfig as MemoryConfig
from cil.config.schema_memory import MemoryPolicy as MemoryPolicy
from cil.config.schema_memory import MemorySelection as MemorySelection
from cil.config.schema_memory import TeacherConfig as TeacherConfig
from cil.config.schema_method import METHOD_SCHEMAS as METHOD_SCHEMAS
from cil.config.schema_method import BicConfig as BicConfig
from cil.config.schema_method import BranchInit as BranchInit
from cil.config.schema_method import DistillingConfig as DistillingConfig
from cil.config.schema_method import ExpandingConfig as ExpandingConfig
from cil.config.schema_method import FosterConfig as FosterConfig
from cil.config.schema_method import IcarlConfig as IcarlConfig
from cil.config.schema_method import IcarlLoss as IcarlLoss
from cil.config.schema_method import LwfConfig as LwfConfig
from cil.config.schema_method import MethodConfig as MethodConfig
from cil.config.schema_method import TagFexConfig as TagFexConfig
from cil.config.schema_method import WaConfig as WaConfig
from cil.config.schema_method import method_schema as method_schema

Precision = Enum("Precision", ["fp32", "bf16", "fp16"])
Stem = Enum("Stem", ["cifar", "imagenet", "imagenet_stride1"])
AutoAugmentPolicy = Enum("AutoAugmentPolicy", ["none", "cifar10", "imagenet"])
AutoAugmentOps = Enum("AutoAugmentOps", ["published", "torchvision"])
Mirror = Enum("Mirror", ["mlflow", "wandb"])
OnOom = Enum("OnOom", ["fail", "accumulate"])

_NO_SIZES = when("split.sizes", null)
_CONTRASTS = when("method.contrast_weight", nonzero)
"""A method without such a weight says in `USES` whether it has a contrastive loss."""


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
    classes: int | None = key(None, rule=at_least(1))
    """Number of classes. null: counted from `class_list` or the class folders."""
    class_list: str | None = None
    """Text file with one class-folder name a line: these classes only. null: every folder of the train split."""
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
    """Random resized crop to `dataset.image_size` at decoding (image files only; area 8-100 %, aspect 3/4-4/3)."""
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
    mean: list[float] = key([0.5, 0.5, 0.5], inherited=True)
    """Channel means subtracted from pixel values in [0, 1]."""
    std: list[float] = key([0.5, 0.5, 0.5], rule=ABOVE_ZERO, inherited=True)
    """Channel deviations that pixel values are divided by."""


@dataclass
class BackboneConfig:
    """The feature extractor of every branch."""

    name: str = "resnet8"
    """resnet18, resnet20, resnet32 or resnet8."""
    stem: Stem = Stem.cifar
    """cifar: 3x3 stride 1. imagenet: 7x7 stride 2 + max-pool. imagenet_stride1: 3x3 stride 1 + max-pool."""
    projector_hidden: int | None = key(128, rule=at_least(1), needed=ALWAYS, by_method=True)
    """Hidden width of the contrastive projector."""
    projector_out: int | None = key(64, rule=at_least(1), needed=ALWAYS, by_method=True)
    """Width of the embeddings that the contrastive loss compares."""


_STEPS = when("method.name", is_not("foster"))
"""Not a cosine schedule."""
_LATER_TASKS = when("method.name", is_not("joint"))
"""Later tasks are trained in another way than the first."""


@dataclass
class OptimizerConfig:
    """SGD with step decay, built anew for each task."""

    lr: float = key(0.1, rule=ABOVE_ZERO)
    """Learning rate at the start of a task."""
    momentum: float = key(0.9, rule=BELOW_ONE)
    """Momentum."""
    init_weight_decay: float = key(5e-4, rule=at_least(0), inherited=True)
    """Weight decay in task 1, on every trained parameter."""
    inc_weight_decay: float = key(2e-4, rule=at_least(0), used=_LATER_TASKS, idle=0.0)
    """Weight decay in later tasks."""
    init_milestones: list[int] = key([60, 120, 170], rule=at_least(0), used=_STEPS, idle=[], inherited=True)
    """0-based epochs of task 1 from which the rate is multiplied by gamma once more."""
    inc_milestones: list[int] = key([80, 120, 150], rule=at_least(0), used=_STEPS + _LATER_TASKS, idle=[])
    """The same for later tasks."""
    gamma: float = key(0.1, rule=ABOVE_ZERO, used=_STEPS, idle=1.0)
    """Factor at each milestone."""


@dataclass
class TrainerConfig:
    """The training loop."""

    init_epochs: int = key(200, rule=at_least(1), inherited=True)
    """Epochs of task 1."""
    inc_epochs: int = key(170, rule=at_least(1), used=_LATER_TASKS, idle=1)
    """Epochs of every later task."""
    batch_size: int = key(128, rule=at_least(1))
    """Images a batch (each gives two views)."""
    eval_batch_size: int = key(256, rule=at_least(1))
    """Images a batch in evaluation and herding."""
    eval_every: int = key(0, rule=at_least(0))
    """Evaluate every N epochs besides the end of a task. 0: only at the end of a task. Never changes training."""
    max_tasks: int | None = key(None, rule=at_least(1))
    """Stop after this many tasks. null: all."""
    precision: Precision = Precision.fp32
    """fp32, bf16 or fp16 (autocast; losses stay in float32)."""
    compile: bool = False
    """torch.compile for the trained backbones."""
    grad_clip_norm: float | None = key(None, rule=ABOVE_ZERO)
    """Largest gradient norm of a step. null: no clipping."""
    deterministic: bool = False
    """Bit-reproducible kernels on CUDA (slower). On a CPU results repeat anyway, with the same number
    of threads (recorded, and told on a resume with another one) on the same kind of processor."""
    check_every: int = key(20, rule=at_least(1))
    """A non-finite loss or gradient is found at most this many steps late."""
    on_oom: OnOom = OnOom.fail
    """When memory runs out: fail, or go on with the batch in micro-batches (recorded; batch-norm sees fewer images)."""
    micro_batches: int = key(1, rule=at_least(1), neutral=1, off=1)
    """Into how many parts a batch is split for the network, while the loss stays that of the whole batch: for batches
    larger than memory (docs/losses.md). Batch-norm sees one part at a time."""
    forecast: bool = key(True, neutral=False)
    """Before training, forecast the size of the last task's network (and on CUDA measure its peak memory)."""


@dataclass
class CheckpointConfig:
    """When the state of a run is saved, and what is kept. Never changes a result."""

    every_minutes: float = key(10.0, rule=ABOVE_ZERO)
    """Minutes between checkpoints inside a task; one more is written at every task end and at a stop signal."""
    keep_tasks: bool = False
    """Keep the state of every task end (no optimiser), for later evaluation and for `from_task`."""
    keep_all: bool = False
    """Keep the full state of a finished run (optimiser included), not only its final model."""
    max_failures: int = key(3, rule=at_least(1))
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
    mirror: Mirror | None = key(None, neutral=None)
    """Send every record of metrics.jsonl to a tracker too: mlflow or wandb, where its package is installed."""
    gradient_share_every: int = key(0, rule=at_least(0))
    """Every N epochs of a task (the first and the last too), on one batch: gradient of each loss term in the shared
    net, and cosines. 0: off."""
    mechanism_every: int = key(0, rule=at_least(0), neutral=0)
    """Every N epochs of a task (the first and the last too), on one fixed batch: what all eight forms of ANT do with
    the same similarities, and ANT's gradient beside InfoNCE's (docs/mechanism.md). 0: off."""


@dataclass
class BranchConfig:
    """Where a run branched off another one. Set by `rerun=RUN from_task=k`, never by hand."""

    run_id: str | None = key(None, neutral=None)
    """Identity of the run whose tasks 1 to `task` this one inherits. null: it inherits none."""
    task: int | None = key(None, neutral=None, rule=at_least(1))
    """The last inherited task."""
    run: str | None = key(None, neutral=None)
    """Folder of that run when the branch was started. Where it lies is no part of the identity."""


@dataclass
class RunConfig:
    """One run."""

    name: str = "run"
    """Folder name under outputs/: letters, digits, '.', '_' and '-'."""
    tags: list[str] = key([], rule=TAG, neutral=[])
    """Words to find runs by: [a,b]. No part of a run's identity; `cil.report --tag a` takes the runs that have it."""
    notes: str | None = key(None, neutral=None)
    """What a person should know of the run, in one text. No part of a run's identity."""
    seed: int = key(1993, rule=between(0, 2**63 - 1))
    """Seed of weights, sample order and augmentation."""
    device: str = "auto"
    """auto, cpu, cuda or cuda:N."""
    class_order: Any = key("natural", inherited=True)
    """pycil, natural, random (see class_order_seed) or a list of every class position."""
    class_order_seed: int = key(
        0, rule=between(0, 2**32 - 1), used=when("class_order", is_("random")), idle=0, inherited=True
    )
    """Seed of class_order=random, independent of `seed`."""
    ant_margin: float | None = key(
        None,
        rule=at_least(0),
        used=_CONTRASTS,
        trains=when("loss.ant_beta", nonzero) + when("margin_schedule.name", is_not("curriculum")),
        tried=0.2,
        by_method=True,
    )
    """Margin at the start of a task (>= 0). null: the loss's or preset's own."""
    dataset: DatasetConfig = group(DatasetConfig, inherited=True)
    """The images."""
    split: SplitConfig = group(SplitConfig, inherited=True)
    """Tasks."""
    augment: AugmentConfig = group(AugmentConfig)
    """Augmentation and normalisation."""
    backbone: BackboneConfig = group(BackboneConfig, inherited=True)
    """Feature extractor."""
    method: Any = group(TagFexConfig)
    """The method; its keys depend on `method.name`."""
    loss: LossConfig = group(LossConfig, used=_CONTRASTS, by_method=True)
    """The contrastive loss."""
    margin_schedule: MarginScheduleConfig = group(MarginScheduleConfig, used=_CONTRASTS, by_method=True)
    """The ANT margin over the epochs of a task."""
    memory: MemoryConfig = group(MemoryConfig, by_method=True)
    """Exemplars."""
    teacher: TeacherConfig = group(TeacherConfig, used=_CONTRASTS, by_method=True)
    """What is distilled from."""
    optimizer: OptimizerConfig = group(OptimizerConfig)
    """Optimiser and learning-rate steps."""
    trainer: TrainerConfig = group(TrainerConfig)
    """Training loop."""
    tracking: TrackingConfig = group(TrackingConfig)
    """Display and logs."""
    checkpoint: CheckpointConfig = group(CheckpointConfig)
    """Saving of a run's state."""
    branch: BranchConfig = group(BranchConfig)
    """Where the run branched off another one."""


FEATURE_WIDTHS = {"resnet18": 512, "resnet20": 64, "resnet32": 64, "resnet8": 64}
"""Width d of each backbone's feature, by name: the backbones there are."""
