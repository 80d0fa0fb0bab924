"""The typed schema of every configuration key. Imports no torch: `--help` and errors must be instant.

The text under a field is its documentation: docs/config.md is generated from it. What else is known of one key
(its range, when it is used, ...) is its `key(...)`, see cil/config/keys.py; value rules that need several keys are
in cil/planning/validate.py. The groups of keys have files of their own beside this one.
"""

from dataclasses import dataclass
from typing import Any

from cil.config.keys import TAG, at_least, between, group, is_, is_not, key, nonzero, when
from cil.config.schema_data import AugmentConfig as AugmentConfig
from cil.config.schema_data import AutoAugmentOps as AutoAugmentOps
from cil.config.schema_data import AutoAugmentPolicy as AutoAugmentPolicy
from cil.config.schema_data import CropResampling as CropResampling
from cil.config.schema_data import DatasetConfig as DatasetConfig
from cil.config.schema_data import SplitConfig as SplitConfig
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
from cil.config.schema_memory import PruneConfig as PruneConfig
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
from cil.config.schema_records import BranchConfig as BranchConfig
from cil.config.schema_records import CheckpointConfig as CheckpointConfig
from cil.config.schema_records import Mirror as Mirror
from cil.config.schema_records import TrackingConfig as TrackingConfig
from cil.config.schema_training import BackboneConfig as BackboneConfig
from cil.config.schema_training import FrozenForm as FrozenForm
from cil.config.schema_training import OnOom as OnOom
from cil.config.schema_training import OptimizerConfig as OptimizerConfig
from cil.config.schema_training import Precision as Precision
from cil.config.schema_training import Stem as Stem
from cil.config.schema_training import TrainerConfig as TrainerConfig

_CONTRASTS = when("method.contrast_weight", nonzero)
"""A method without such a weight says in `USES` whether it has a contrastive loss."""


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
    prune: PruneConfig = group(PruneConfig, by_method=True)
    """What is left of a network when its task ends."""
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
