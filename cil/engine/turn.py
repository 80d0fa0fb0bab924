"""The gradients of a batch whose loss falls into parts that share no graph (Method.parts)."""

from collections.abc import Callable
from contextlib import AbstractContextManager

from torch import Tensor

from cil.methods.base import Method, StepOutput


def backward_in_turn(
    method: Method,
    views: Tensor,
    targets: Tensor,
    autocast: Callable[[], AbstractContextManager],
    scale: Callable[[Tensor], Tensor] = lambda loss: loss,
) -> StepOutput:
    """Each part of the loss, and its gradients before the next one; together what they are parts of.

    views: [views * B, ...], targets: [B]; `scale` is applied to a part before it is differentiated.
    """
    parts: list[StepOutput] = []
    coming = method.parts(views, targets)
    while True:
        with autocast():
            part = next(coming, None)
        if part is None:
            return StepOutput.joined(parts, method.loss_weights())
        scale(part.total).backward()
        parts.append(part)
