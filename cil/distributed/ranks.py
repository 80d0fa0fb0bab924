"""What the processes of one run tell each other. A process that works alone says all of it to itself.

Every function is a meeting: all processes must call it, in the same order. They talk only inside `together`, so that
what the first process computes on its own (a forecast, a probe) waits for nobody.
"""

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields, is_dataclass, replace
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from cil.distributed.share import WHOLE, Share

_talking = False


@contextmanager
def together(talking: bool = True) -> Iterator[None]:
    """While active, the processes of the group (if there is one) work on the same batches."""
    global _talking
    before, _talking = _talking, talking
    try:
        yield
    finally:
        _talking = before


def alone() -> Any:
    """While active, this process works on whole batches, whatever the others do (a context manager)."""
    return together(talking=False)


def processes() -> int:
    """How many processes work on a batch."""
    return dist.get_world_size() if _talking and dist.is_available() and dist.is_initialized() else 1


def own_share() -> Share:
    """The part of every batch that is this process's."""
    count = processes()
    return WHOLE if count == 1 else Share(dist.get_rank(), count)


class _Gather(torch.autograd.Function):
    """Rows of all processes, [views * own, ...] each, put together to [views * images, ...].

    Backward: a process takes the gradient of its own rows. No sum is needed there: every process computes the same loss
    of all rows, so each has the whole gradient.
    """

    @staticmethod
    def forward(ctx: Any, local: Tensor, images: int, views: int) -> Tensor:
        own = own_share()
        ctx.own, ctx.whole = own.rows(images), (views, images)
        padded = local.new_zeros(views * own.all()[0].size(images), *local.shape[1:])
        padded[: len(local)] = local
        parts = [torch.empty_like(padded) for _ in own.all()]
        dist.all_gather(parts, padded)
        whole = local.new_empty(views, images, *local.shape[1:])
        for share, part in zip(own.all(), parts, strict=True):
            size = share.size(images)
            whole[:, share.rows(images)] = part[: views * size].unflatten(0, (views, size))
        return whole.flatten(0, 1)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (gradient,) = gradients
        return gradient.unflatten(0, ctx.whole)[:, ctx.own].flatten(0, 1), None, None


def gather_rows(local: Tensor, total: int | None = None, views: int = 1) -> Tensor:
    """The rows of a whole batch, of the rows [views * own, ...] that this process has; with gradient.

    total: images of the whole batch, shared out by `own_share`; None: the processes ask each other. The result
    [views * total, ...] has the first views of all images, then the second ones.
    """
    if processes() == 1:
        return local
    images = total if total is not None else sum(everyone(len(local))) // views
    found: Tensor = _Gather.apply(local.contiguous(), images, views)
    return found


def gather_outputs(outputs: Any, total: int | None = None, views: int = 1) -> Any:
    """A dataclass whose tensors, those in its dicts too, have a row for each image and view: for the whole batch."""
    if processes() == 1:
        return outputs
    assert is_dataclass(outputs) and not isinstance(outputs, type)
    whole: dict[str, Any] = {}
    for field in fields(outputs):
        value = getattr(outputs, field.name)
        if isinstance(value, Tensor):
            whole[field.name] = gather_rows(value, total, views)
        elif isinstance(value, dict):
            whole[field.name] = {name: gather_rows(one, total, views) for name, one in value.items()}
    return replace(outputs, **whole)


def sum_gradients(parameters: Sequence[nn.Parameter]) -> None:
    """Add up the gradients of all processes, in place, in one message."""
    if processes() == 1:
        return
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    flat = torch.cat([gradient.flatten() for gradient in gradients])
    dist.all_reduce(flat)
    pieces = flat.split([gradient.numel() for gradient in gradients])
    with torch.no_grad():
        for gradient, piece in zip(gradients, pieces, strict=True):
            gradient.copy_(piece.view_as(gradient))


def largest(value: int) -> int:
    """The largest of the numbers that the processes bring. On the CPU: no device is waited for."""
    if processes() == 1:
        return value
    found = torch.tensor(value)
    dist.all_reduce(found, dist.ReduceOp.MAX)
    return int(found)


def everyone(value: Any) -> list[Any]:
    """What each process brings, by rank."""
    if processes() == 1:
        return [value]
    found: list[Any] = [None] * processes()
    dist.all_gather_object(found, value)
    return found


def from_first(value: Any) -> Any:
    """What the first process brings, for all."""
    if processes() == 1:
        return value
    found = [value]
    dist.broadcast_object_list(found, src=0)
    return found[0]


def state_from_first(state: Any) -> Any:
    """The same of something with large tensors, which come out on the CPU; only the first process has to bring it."""
    if processes() == 1:
        return state
    written = io.BytesIO()
    if dist.get_rank() == 0:
        torch.save(state, written)
    size = from_first(len(written.getbuffer()))
    content = torch.empty(size, dtype=torch.uint8)
    if dist.get_rank() == 0:
        content = torch.frombuffer(written.getbuffer(), dtype=torch.uint8)
    dist.broadcast(content, src=0)
    if dist.get_rank() == 0:
        return state
    return torch.load(io.BytesIO(content.numpy().tobytes()), map_location="cpu", weights_only=True)
