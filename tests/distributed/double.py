"""`python -m cil.train`, with networks and losses in double precision: `python -m tests.distributed.double ARGUMENTS`.

What processes sum in another order than one process differs by 1e-16 then instead of 1e-7, which 40 epochs of digits
do not raise to anything that a test image shows.
"""

import runpy
from typing import Any

import torch
from torch import Tensor, nn


def widened(module: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    """Images come in single precision."""
    del module
    return tuple(x.double() if isinstance(x, Tensor) and x.dtype is torch.float32 else x for x in inputs)


def main() -> None:
    torch.set_default_dtype(torch.float64)
    nn.modules.module.register_module_forward_pre_hook(widened)
    runpy.run_module("cil.train", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
