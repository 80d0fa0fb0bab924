"""Frozen networks in training steps: as they are, or as copies whose batch-norm is folded into the convolutions.

In eval mode batch-norm is one scale and one shift a channel; they can go into the weights and the bias of the
convolution before it (Jacob et al., CVPR 2018, section 3.2). The copies are derived from the networks: they are no
parameters, no part of a state_dict, a copy or a pickle, and are made anew when a weight or a statistic has changed.
"""

import copy
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.fx.experimental.optimization import fuse

from cil.config.schema import FrozenForm, TrainerConfig
from cil.models.batch_norm import BatchNorm2d
from cil.models.frozen_graph import Captured, GraphedRun
from cil.models.resnet import pool


class FrozenForward:
    """Runs frozen networks in the chosen form. A network is folded when it is first run; its copy is kept beside it.

    graphs: on CUDA, by CUDA graphs. A result is then valid until the same network is run again.
    """

    capture = Captured

    def __init__(self, form: FrozenForm = FrozenForm.exact, graphs: bool = False) -> None:
        self.form = form
        self.graphs = graphs
        self._prepared: WeakKeyDictionary[nn.Module, _Prepared] = WeakKeyDictionary()
        self._known: Mapping[nn.Module, Tensor] = {}

    @classmethod
    def of(cls, config: TrainerConfig) -> "FrozenForward":
        """As `trainer.frozen` and `trainer.cuda_graph_frozen` say."""
        return cls(config.frozen, config.cuda_graph_frozen)

    def __call__(self, network: nn.Module, images: Tensor) -> Tensor:
        """What `network`, frozen and in eval mode, gives for images; in their dtype where it is folded to bfloat16."""
        graphs = self.graphs and images.is_cuda
        if self.form is FrozenForm.exact and not graphs:
            found: Tensor = network(images)
            return found
        prepared = self._prepared.get(network)
        if prepared is None or not prepared.is_current():
            # The old graph and copy go first: they may be of the size of the network.
            self._prepared.pop(network, None)
            prepared = self._prepared[network] = _Prepared(network, self.form, GraphedRun(self.capture))
        # The network itself is not kept in what is kept beside it: then both would stay for ever.
        run = prepared.copy or network
        return prepared.graphed(run, images) if graphs else run(images)

    def features(self, network: nn.Module, images: Tensor) -> Tensor:
        """Pooled features [B, d] of images [B, 3, H, W]: what is known of them, or what `network` gives."""
        known = self._known.get(network)
        if known is None:
            return pool(self(network, images))
        assert len(known) == len(images), "features of other images"
        return known

    @contextmanager
    def knowing(self, known: Mapping[nn.Module, Tensor], rows: Tensor | None = None) -> Iterator[None]:
        """While active, networks are run on images whose pooled features [B, d] are `known`; rows: on these of them."""
        self._known = known if rows is None else {network: features[rows] for network, features in known.items()}
        try:
            yield
        finally:
            self._known = {}

    def __getstate__(self) -> dict[str, Any]:
        """For copies and pickles: without what can be derived."""
        return {"form": self.form, "graphs": self.graphs}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state)  # type: ignore[misc]


AS_THEY_ARE = FrozenForward()
"""Every network itself."""


class _Prepared:
    """What is derived from a network, and what that was at the time. Holds no reference to the network itself.

    copy: the folded network; None: the network itself is run.
    """

    def __init__(self, source: nn.Module, form: FrozenForm, graphed: GraphedRun) -> None:
        # By place, not by tensor: a move to another device replaces buffers.
        self._places = [(owner, name) for owner in _owners(source) for name in owner if owner[name] is not None]
        self._made_of = [_state(owner[name]) for owner, name in self._places]
        self.copy = None if form is FrozenForm.exact else folded(source)
        if self.copy is not None and form is FrozenForm.folded_bf16:
            self.copy = _InBfloat16(self.copy)
        self.graphed = graphed

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


class _InBfloat16(nn.Module):
    """A network in bfloat16 between inputs and outputs of another dtype."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network.to(torch.bfloat16)

    def forward(self, images: Tensor) -> Tensor:
        """The network's result in the dtype of the images."""
        # Autocast to half precision of another kind would convert the weights in every step.
        with torch.autocast(images.device.type, enabled=False):
            return self.network(images.to(torch.bfloat16)).to(images.dtype)


@torch.no_grad()
def folded(network: nn.Module) -> nn.Module:
    """A frozen copy of `network` without batch-norm after convolutions. Raises ValueError unless it is in eval mode."""
    if any(module.training for module in network.modules()):
        raise ValueError("only a network in eval mode can be folded")
    device = next(network.parameters()).device
    with torch.autocast(device.type, enabled=False):
        return fuse(_with_plain_norms(network), inplace=True).requires_grad_(False)


def _with_plain_norms(network: nn.Module) -> nn.Module:
    """A copy whose batch-norms are PyTorch's own: `fuse` knows no other class, and in eval mode they are the same."""
    plain = copy.deepcopy(network)
    for module in plain.modules():
        if type(module) is BatchNorm2d:
            module.__class__ = nn.BatchNorm2d  # type: ignore[assignment]
    return plain
