"""Which images of a class become its exemplars: strategies by name (`memory.selection`)."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from cil.config.schema import MemoryConfig
from cil.data.herding import herd


@dataclass(frozen=True)
class Candidates:
    """The images of a class, in the order of the data set."""

    count: int
    features: Callable[[Tensor | None], Tensor]
    """Gives the L2-normalised features [N, d] of the images at places int64 [N] (None: of all). They cost a pass over
    the images, so only a strategy that needs them asks."""
    speeds: Callable[[], Tensor]
    """Gives the share of epochs in which each was classified correctly, [count]."""
    stream: torch.Generator
    """A generator for this task and class."""


Selection = Callable[[Candidates, int], Tensor]
"""(images, exemplars wanted k) -> places int64 [min(k, count)], the most important first."""


def herding(images: Candidates, wanted: int) -> Tensor:
    """Those whose running mean stays nearest to the class mean (Rebuffi et al. 2017)."""
    return herd(images.features(None), min(wanted, images.count))


def random(images: Candidates, wanted: int) -> Tensor:
    """Any."""
    return torch.randperm(images.count, generator=images.stream)[:wanted]


def speed(images: Candidates, wanted: int, slow: float, fast: float) -> Tensor:
    """Herding among those that are left without the `slow` share that was learned slowest and the `fast` share that
    was learned quickest; of equally quick ones any. Never fewer than `wanted` are left: first fewer of the quickest are
    taken out, then fewer of the slowest.
    """
    spare = max(images.count - wanted, 0)
    slowest = min(int(slow * images.count), spare)
    quickest = min(int(fast * images.count), spare - slowest)
    # Many images are right in every epoch: which of them go must not be a matter of file order.
    shuffled = torch.randperm(images.count, generator=images.stream)
    order = shuffled[images.speeds()[shuffled].sort(stable=True).indices]
    left = order[slowest : images.count - quickest].sort().values
    return left[herd(images.features(left), min(wanted, len(left))).to(left.device)]


def selection_of(config: MemoryConfig) -> Selection:
    """The strategy of a configuration."""
    assert config.selection is not None
    strategies: dict[str, Selection] = {"herding": herding, "random": random}
    if config.selection.name == "speed":
        return partial(speed, slow=config.slow or 0.0, fast=config.fast or 0.0)
    return strategies[config.selection.name]
