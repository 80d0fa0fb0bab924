"""Frozen networks in training steps: as they are, or as copies whose batch-norm is folded into the convolutions.

In eval mode batch-norm is one scale and one shift a channel; they can go into the weights and the bias of the
convolution before it (Jacob et al., CVPR 2018, section 3.2). The copies are derived from the networks: they are no
parameters, no part of a state_dict, a copy or a pickle, and are made anew when a weight or a statistic has changed.
"""

from collections.abc import Iterator
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.fx.experimental.optimization import fuse

from cil.config.schema import FrozenForm


class FrozenForward:
    """Runs frozen networks in the chosen form. A network is folded when it is first run; its copy is kept beside it."""

    def __init__(self, form: FrozenForm = FrozenForm.exact) -> None:
        self.form = form
        self._copies: WeakKeyDictionary[nn.Module, _Folded] = WeakKeyDictionary()

    def __call__(self, network: nn.Module, images: Tensor) -> Tensor:
        """What `network`, frozen and in eval mode, gives for images, in their dtype where it is folded to bfloat16."""
        if self.form is FrozenForm.exact:
            found: Tensor = network(images)
            return found
        copy = self._copy(network)
        if self.form is FrozenForm.folded:
            return copy(images)
        # Autocast to half precision of another kind would convert the weights in every step.
        with torch.autocast(images.device.type, enabled=False):
            return copy(images.to(torch.bfloat16)).to(images.dtype)

    def _copy(self, network: nn.Module) -> nn.Module:
        kept = self._copies.get(network)
        if kept is None or not kept.is_current():
            dtype = torch.bfloat16 if self.form is FrozenForm.folded_bf16 else None
            kept = self._copies[network] = _Folded(network, dtype)
        return kept.network

    def __getstate__(self) -> dict[str, Any]:
        """For copies and pickles: without what can be derived."""
        return {"form": self.form}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["form"])  # type: ignore[misc]


AS_THEY_ARE = FrozenForward()
"""Every network itself."""


class _Folded:
    """A folded copy, and what its source was when it was made. Holds no reference to the source itself."""

    def __init__(self, source: nn.Module, dtype: torch.dtype | None) -> None:
        # By place, not by tensor: a move to another device replaces buffers.
        self._places = [(owner, name) for owner in _owners(source) for name in owner if owner[name] is not None]
        self._made_of = [_state(owner[name]) for owner, name in self._places]
        self.network = folded(source).to(dtype)

    def is_current(self) -> bool:
        """Whether every weight and statistic of the source is still what it was. Does not wait for the device."""
        now = (_state(owner[name]) for owner, name in self._places)
        return all(a[0] is b[0] and a[1:] == b[1:] for a, b in zip(self._made_of, now, strict=True))


def _state(tensor: Tensor) -> tuple[Tensor, int, int]:
    """The tensor, where its numbers lie, and how often they have been written to."""
    return tensor, tensor.data_ptr(), tensor._version


def _owners(network: nn.Module) -> Iterator[dict[str, Any]]:
    """The dictionaries that hold a network's tensors: parameters and buffers of each module."""
    for module in network.modules():
        yield module._parameters
        yield module._buffers


@torch.no_grad()
def folded(network: nn.Module) -> nn.Module:
    """A frozen copy of `network` without batch-norm after convolutions. Raises ValueError unless it is in eval mode."""
    if any(module.training for module in network.modules()):
        raise ValueError("only a network in eval mode can be folded")
    device = next(network.parameters()).device
    with torch.autocast(device.type, enabled=False):
        return fuse(network).requires_grad_(False)
