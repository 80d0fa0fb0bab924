"""The optimiser of a task and its learning rate."""

from collections.abc import Iterable

import torch
from torch import nn

from cil.config.schema import OptimizerConfig


def make_optimizer(config: OptimizerConfig, parameters: Iterable[nn.Parameter], first_task: bool) -> torch.optim.SGD:
    """Plain SGD with decay on every trained parameter, batch-norm and biases included."""
    trained = [p for p in parameters if p.requires_grad]
    optimizer = torch.optim.SGD(
        trained,
        lr=config.lr,
        momentum=config.momentum,
        weight_decay=config.init_weight_decay if first_task else config.inc_weight_decay,
        fused=trained[0].is_cuda or None,
    )
    for parameter in trained:
        # The fused kernel leaves a new buffer unset when the fp16 scaler skips the first step. From zero, the first
        # step gives the gradient itself, as without a buffer.
        optimizer.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
    return optimizer


def learning_rate(config: OptimizerConfig, epoch: int, first_task: bool) -> float:
    """Rate of 0-based `epoch`: multiplied by gamma from each milestone on.

    A function of the epoch alone, so a resumed run needs no scheduler state.
    """
    milestones = config.init_milestones if first_task else config.inc_milestones
    return config.lr * config.gamma ** sum(m <= epoch for m in milestones)
