"""The keys of the training loop (see cil/config/schema.py)."""

from dataclasses import dataclass
from enum import Enum

from cil.config.keys import ABOVE_ZERO, at_least, is_not, key, when

Precision = Enum("Precision", ["fp32", "bf16", "fp16"])
OnOom = Enum("OnOom", ["fail", "accumulate"])
FrozenForm = Enum("FrozenForm", ["exact", "folded", "folded_bf16"])

LATER_TASKS = when("method.name", is_not("joint"))
"""Later tasks are trained in another way than the first."""
_FREEZES = when("method.name", is_not("finetune", "replay", "joint"))
"""There are networks that are run in training without being trained."""


@dataclass
class TrainerConfig:
    """The training loop."""

    init_epochs: int = key(200, rule=at_least(1), inherited=True)
    """Epochs of task 1."""
    inc_epochs: int = key(170, rule=at_least(1), used=LATER_TASKS, idle=1)
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
    forecast: bool = key(True, neutral=False)
    """Before training, forecast the size of the last task's network (and on CUDA measure its peak memory)."""
