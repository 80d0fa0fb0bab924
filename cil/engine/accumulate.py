"""A training step in micro-batches with the loss of the whole batch (as GradCache, Gao et al. 2021).

The network runs over a few images at a time, the loss over all outputs together: contrastive terms keep every
negative of the batch. First all outputs are computed without a graph; the loss on them gives the gradient of each
output; then each micro-batch is run again with a graph and back-propagates its part of that gradient. Two forward
passes instead of one, memory of one micro-batch. Only batch-norm sees smaller batches, so the result is not that
of an unsplit step.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import fields, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from cil.distributed.ranks import gather_outputs, own_share, processes
from cil.distributed.share import WHOLE, Share
from cil.engine.buffers import buffers_as_they_are
from cil.methods.base import Method, StepOutput


def micro_rows(images: int, parts: int, views: int = 2, share: Share = WHOLE) -> list[Tensor]:
    """Where the rows of each micro-batch are in `share`'s part of a batch: every view of the same images.

    The images of a micro-batch are the same for any number of processes.
    """
    chunks = np.array_split(np.arange(images), min(parts, max(1, images)))
    own = np.arange(images)[share.rows(images)]
    places = [np.flatnonzero(np.isin(own, chunk)) for chunk in chunks]
    return [torch.from_numpy(np.concatenate([part + view * len(own) for view in range(views)])) for part in places]


def _tensors(outputs: Any) -> dict[str, Tensor]:
    return {f.name: value for f in fields(outputs) if isinstance(value := getattr(outputs, f.name), Tensor)}


def _joined(pieces: list[Any], order: Tensor) -> Any:
    """The outputs of all micro-batches as one, rows in batch order, as leaves that collect gradient."""
    joined = {}
    for name in _tensors(pieces[0]):
        rows = torch.cat([_tensors(piece)[name] for piece in pieces])
        joined[name] = torch.empty_like(rows).index_copy_(0, order, rows).requires_grad_()
    return replace(pieces[0], **joined)


Forward = Callable[[Tensor | None], AbstractContextManager]
"""From rows (None: all) to the context that networks are run on them in."""


def backward(
    method: Method,
    views: Tensor,
    targets: Tensor,
    parts: int,
    forward: Forward,
    scale: Callable[[Tensor], Tensor],
) -> StepOutput:
    """Loss of the whole batch, and gradients of the parameters, in one go or in `parts` micro-batches.

    views: [views * B, ...], targets: [B]; `forward`: the context that networks and loss are computed in (autocast);
    `scale` is applied to the loss before it is differentiated. Where several processes share the batch, views has this
    one's rows, and the gradients are those of its rows.
    """
    if parts > 1:
        return backward_in_parts(method, views, targets, parts, forward, scale)
    done: list[StepOutput] = []
    coming = _in_turn(method, views, targets)
    while True:
        with forward(None):
            part = next(coming, None)
        if part is None:
            return StepOutput.joined(done, method.loss_weights())
        scale(part.total).backward()
        done.append(part)


def _run(method: Method, views: Tensor, rows: Tensor, forward: Forward) -> Any:
    """What the network gives for some rows of the views."""
    with forward(rows):
        return method.network(views[rows])


def _in_turn(method: Method, views: Tensor, targets: Tensor) -> Iterator[StepOutput]:
    """The parts of the loss, each for its gradients before the next one; the whole where processes share the batch."""
    if processes() == 1:
        yield from method.parts(views, targets)
    else:
        yield method.loss(gather_outputs(method.network(views), len(targets), method.views), targets)


def backward_in_parts(
    method: Method,
    views: Tensor,
    targets: Tensor,
    parts: int,
    forward: Forward,
    scale: Callable[[Tensor], Tensor],
) -> StepOutput:
    """The same with about 1/parts of the batch in the network at a time."""
    total = len(targets)
    share = own_share()
    # What each has of the same stretches of the batch: batch-norm lets the processes meet in every part.
    rows = [part.to(views.device, non_blocking=True) for part in micro_rows(total, parts, method.views, share)]
    # Each image must move the running statistics once a step.
    with torch.no_grad(), buffers_as_they_are(method.network):
        pieces = [_run(method, views, part, forward) for part in rows]
    outputs = _joined(pieces, torch.cat(rows))
    with forward(None):
        result = method.loss(gather_outputs(outputs, total, method.views), targets)
    scale(result.total).backward()
    gradients = {name: leaf.grad for name, leaf in _tensors(outputs).items() if leaf.grad is not None}
    for part in rows:
        again = _tensors(_run(method, views, part, forward))
        wanted = [name for name in gradients if again[name].requires_grad]
        torch.autograd.backward([again[name] for name in wanted], [gradients[name][part] for name in wanted])
    return result
