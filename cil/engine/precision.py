"""Numeric precision and reproducibility of a run."""

import os
from contextlib import AbstractContextManager, nullcontext

import torch

from cil.config.schema import Precision, TrainerConfig

AUTOCAST_DTYPE = {Precision.bf16: torch.bfloat16, Precision.fp16: torch.float16}


# cuBLAS reads this once in a process, at its first call: too late for a deterministic job behind another one.
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")


def autocast(precision: Precision, device: torch.device) -> AbstractContextManager:
    """Autocast for forward passes; nothing in fp32."""
    if precision is Precision.fp32:
        return nullcontext()
    return torch.autocast(device.type, AUTOCAST_DTYPE[precision])


def set_reproducibility(config: TrainerConfig) -> None:
    """Set every switch explicitly: in a sweep the job before must not decide for this one."""
    torch.use_deterministic_algorithms(config.deterministic)
    torch.backends.cudnn.deterministic = config.deterministic
    torch.backends.cudnn.benchmark = not config.deterministic
    # Without trainer.tf32 fp32 is fp32: PyTorch's own default rounds the inputs of convolutions to TF32.
    rounding = "tf32" if config.tf32 else "ieee"
    torch.backends.cuda.matmul.fp32_precision = rounding
    # The older switch too: left at its default it contradicts the newer ones, and then torch.export and torch.compile
    # refuse to work in this process (pytorch/pytorch#179445). The one for recurrent networks likewise.
    torch.backends.cudnn.allow_tf32 = config.tf32
    torch.backends.cudnn.conv.fp32_precision = rounding  # type: ignore[attr-defined]
    torch.backends.cudnn.rnn.fp32_precision = rounding  # type: ignore[attr-defined]
