"""The mean of a network's weights over the last epochs of a task (as in stochastic weight averaging, Izmailov et al.,
UAI 2018, arXiv 1803.05407, with equal weights and without a schedule of its own).
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn


class WeightAverage:
    """Adds up weights at the end of each of the last `last` epochs of a task; with `last` 1 it does nothing.

    Floating-point tensors are averaged, batch-norm statistics included; counters are those of the last epoch. Sums
    are kept in float64, so that the mean of equal weights is exactly those weights.
    """

    def __init__(self, last: int) -> None:
        self.last = last
        self.count = 0
        self.sums: dict[str, Tensor] = {}
        self._counts = False
        """Whether the present epoch is one of the last."""

    def begin_epoch(self, epoch: int, epochs: int) -> None:
        """0-based `epoch` of the `epochs` of a task begins."""
        self._counts = self.last > 1 and epoch >= epochs - self.last
        if epoch == 0:
            self.count, self.sums = 0, {}

    def add(self, weights: Mapping[str, Tensor]) -> None:
        """The epoch ends with these weights. New tensors are made: an earlier `state_dict` stays as it is."""
        if not self._counts:
            return
        averaged = {name: t.detach().double() if t.is_floating_point() else t.clone() for name, t in weights.items()}
        for name, tensor in averaged.items():
            if name in self.sums and tensor.is_floating_point():
                averaged[name] = self.sums[name].to(tensor.device) + tensor
        self.sums = averaged
        self.count += 1

    def replace(self, module: nn.Module) -> None:
        """Give `module`, a copy of what was added up, the mean weights; then start anew."""
        if self.count:
            means = {name: t / self.count if t.is_floating_point() else t for name, t in self.sums.items()}
            with torch.no_grad():
                for name, tensor in module.state_dict().items():
                    tensor.copy_(means[name])
        self.count, self.sums = 0, {}

    def state_dict(self) -> dict[str, Any]:
        """Nothing while it does nothing, so that the states of other runs stay as they were."""
        return {"average": {"count": self.count, "sums": dict(self.sums)}} if self.last > 1 else {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from `state`; without an entry of its own (a branch that takes averaging up) from nothing."""
        stored = state.get("average", {"count": 0, "sums": {}})
        self.count, self.sums = (stored["count"], dict(stored["sums"])) if self.last > 1 else (0, {})
