"""Buffers that a forward pass may change: the running statistics of what is trained."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


def moving_buffers(network: nn.Module) -> list[Tensor]:
    """The buffers of modules in training mode, each once. Those of frozen parts stand still and need no copy."""
    owners = (module for module in network.modules() if module.training)
    return list({id(buffer): buffer for owner in owners for buffer in owner.buffers(recurse=False)}.values())


class Kept:
    """The values that the moving buffers of a network have now."""

    def __init__(self, network: nn.Module) -> None:
        self._kept = [(buffer, buffer.clone()) for buffer in moving_buffers(network)]

    @torch.no_grad()
    def put_back(self) -> None:
        """Give the buffers these values again."""
        for buffer, value in self._kept:
            buffer.copy_(value)


@contextmanager
def buffers_as_they_are(network: nn.Module) -> Iterator[None]:
    """Undo what is done to buffers inside, whatever happens there."""
    kept = Kept(network)
    try:
        yield
    finally:
        kept.put_back()
