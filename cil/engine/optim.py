"""The optimiser of a phase."""

from collections.abc import Iterable

import torch
from torch import nn

from cil.methods.phases import Phase


def make_optimizer(parameters: Iterable[nn.Parameter], phase: Phase, momentum: float) -> torch.optim.SGD:
    """Plain SGD with decay on every trained parameter, batch-norm and biases included."""
    trained = [p for p in parameters if p.requires_grad]
    optimizer = torch.optim.SGD(
        trained, lr=phase.lr, momentum=momentum, weight_decay=phase.weight_decay, fused=trained[0].is_cuda or None
    )
    for parameter in trained:
        # The fused kernel leaves a new buffer unset when the fp16 scaler skips the first step. From zero, the first
        # step gives the gradient itself, as without a buffer.
        optimizer.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
    return optimizer
