"""Which images of a class become its exemplars: strategies by name (`memory.selection`)."""

from collections.abc import Callable

import torch
from torch import Tensor

from cil.data.herding import herd

Selection = Callable[[int, int, Callable[[], Tensor], torch.Generator], Tensor]
"""(images N, exemplars wanted k, features, stream) -> indices int64 [min(k, N)], the most important first.

features: gives the L2-normalised features [N, d] of the class's images; they cost a pass over the images, so only
a strategy that needs them asks. stream: a generator for this task and class.
"""


def herding(images: int, wanted: int, features: Callable[[], Tensor], stream: torch.Generator) -> Tensor:
    """Those whose running mean stays nearest to the class mean (Rebuffi et al. 2017)."""
    del stream
    return herd(features(), min(wanted, images))


def random(images: int, wanted: int, features: Callable[[], Tensor], stream: torch.Generator) -> Tensor:
    """Any."""
    del features
    return torch.randperm(images, generator=stream)[:wanted]


SELECTIONS: dict[str, Selection] = {"herding": herding, "random": random}
