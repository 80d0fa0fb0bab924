"""Epoch values of batch statistics, summed on the device: one transfer an epoch, no waiting in between."""

import torch
from torch import Tensor

from cil.losses.base import EPOCH_MINIMUM, Stat, weights_of

_Key = tuple[str, tuple[str, ...]]


class EpochStats:
    """Sums the statistics of the batches of one epoch; make a new one for the next.

    A value counts as sum(value * weight) / sum(weight) over batches, names in EPOCH_MINIMUM as the minimum over
    batches with weight. Values of weight 0 are ignored, NaN included.
    """

    def __init__(self) -> None:
        # For each set of names that came together: rows sum(value * weight), sum(weight), minimum; float64 [3, N].
        self._totals: dict[_Key, Tensor] = {}

    def add(self, prefix: str, stats: dict[str, Stat]) -> None:
        """Add one batch. Names become `prefix/name`, or stay as they are if `prefix` is empty."""
        if not stats:
            return
        values = torch.stack([stat.value.detach() for stat in stats.values()]).double()
        weights = weights_of(list(stats.values()), values.device)
        seen = weights > 0
        products = torch.where(seen, values * weights, 0.0)
        batch = torch.stack([products, weights, torch.where(seen, values, torch.inf)])
        key = (prefix, tuple(stats))
        totals = self._totals.get(key)
        # Totals from a checkpoint are on the CPU until the first batch shows the device.
        self._totals[key] = batch if totals is None else _combined(totals.to(batch.device), batch)

    def compute(self) -> dict[str, float | None]:
        """The epoch values by full name; None for what no batch had data for.

        A value that is not finite because the training diverged comes back as it is (nan, inf): whoever writes
        it as JSON turns it into null, and can tell it from absent data before.
        """
        if not self._totals:
            return {}
        names = [f"{prefix}/{name}" if prefix else name for prefix, keys in self._totals for name in keys]
        table = torch.cat([totals.t() for totals in self._totals.values()]).tolist()
        merged: dict[str, list[float]] = {}
        for name, (total, weight, least) in zip(names, table, strict=True):
            row = merged.setdefault(name, [0.0, 0.0, float("inf")])
            merged[name] = [row[0] + total, row[1] + weight, least if least != least else min(row[2], least)]
        return {name: _value(name, *row) for name, row in merged.items()}

    def state_dict(self) -> dict[str, list[dict[str, object]]]:
        """Everything added so far: strings and CPU tensors."""
        return {
            "groups": [
                {"prefix": prefix, "names": list(names), "totals": totals.cpu()}
                for (prefix, names), totals in self._totals.items()
            ]
        }

    def load_state_dict(self, state: dict[str, list[dict[str, object]]]) -> None:
        """Go on from `state`, exactly as if nothing had come between."""
        self._totals = {}
        for group in state["groups"]:
            prefix, names, totals = group["prefix"], group["names"], group["totals"]
            assert isinstance(prefix, str) and isinstance(names, list) and isinstance(totals, Tensor)
            self._totals[(prefix, tuple(names))] = totals.clone()


def _combined(totals: Tensor, batch: Tensor) -> Tensor:
    return torch.cat([totals[:2] + batch[:2], torch.minimum(totals[2:], batch[2:])])


def _value(name: str, total: float, weight: float, least: float) -> float | None:
    if not weight > 0:
        return None
    return least if name.rpartition("/")[2] in EPOCH_MINIMUM else total / weight
