"""Schema of backbone, optimiser and training loop; part of cil/config/schema.py, which exports it."""

from dataclasses import dataclass
from enum import Enum

from cil.config.keys import ABOVE_ZERO, ALWAYS, BELOW_ONE, at_least, is_not, key, when

Precision = Enum("Precision", ["fp32", "bf16", "fp16"])
Stem = Enum("Stem", ["cifar", "imagenet", "imagenet_stride1"])
OnOom = Enum("OnOom", ["fail", "accumulate"])
FrozenForm = Enum("FrozenForm", ["exact", "folded", "folded_bf16"])


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


_FREEZES = when("method.name", is_not("finetune", "replay", "joint"))
"""There are networks that are run in training without being trained."""


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
    frozen: FrozenForm = key(FrozenForm.exact, neutral="exact", used=_FREEZES, idle="exact")
    """Frozen branches and teachers in training steps. exact: as they are. folded: copies with batch-norm folded into
    the convolutions (same to about 1e-6). folded_bf16: such copies in bfloat16. Evaluation never uses the copies."""
    cuda_graph_frozen: bool = key(False, neutral=False, used=_FREEZES, idle=False)
    """Run what is frozen by CUDA graphs in training steps (full batches only). Without CUDA it does nothing."""
    compile: bool = False
    """torch.compile for the trained backbones, in training steps with a full batch."""
    channels_last: bool = key(False, neutral=False)
    """Keep weights and feature maps with the channels innermost, which kernels for half precision on GPUs want."""
    tf32: bool = key(False, neutral=False)
    """Let float32 convolutions and products on CUDA round their inputs to TensorFloat-32. false: float32 is float32."""
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
