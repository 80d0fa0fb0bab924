"""The divergence guard: the first non-finite loss or gradient stops the run, without a wait in any step."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Place:
    """A step of a run; task, epoch and step count from 1."""

    task: int
    epoch: int
    step: int


class Diverged(Exception):
    """A loss or gradient is no longer finite. The message says where, and gives the value of every loss term there."""

    def __init__(self, place: Place, values: dict[str, float]) -> None:
        self.place = place
        self.values = values
        bad = [name for name, value in values.items() if not math.isfinite(value)]
        listed = ", ".join(f"{name}={value:g}" for name, value in values.items())
        super().__init__(
            f"training diverged in task {place.task}, epoch {place.epoch}, step {place.step}: "
            f"{' and '.join(bad)} not finite ({listed})"
        )


class DivergenceGuard:
    """Collects the values of each step on the device and looks at them at most `every` steps later.

    Half of the steps are on their way to the host while the other half is being made: when a copy is looked at
    it has long arrived.
    """

    def __init__(self, every: int) -> None:
        self.batch = max(1, every // 2)
        self._steps: list[tuple[Place, list[str], Tensor]] = []
        self._arriving: list[tuple[Place, list[str], Tensor]] = []
        self._arrived: torch.cuda.Event | None = None

    def watch(self, place: Place, values: dict[str, Tensor]) -> None:
        """Take over the values (0-d) of a step; may raise Diverged for an earlier one."""
        self._steps.append((place, list(values), torch.stack([value.detach().double() for value in values.values()])))
        if len(self._steps) >= self.batch:
            self._look()
            self._send()

    def flush(self) -> None:
        """Look at every step so far (waits for the device). Raises Diverged."""
        self._look()
        self._send()
        self._look()

    def _send(self) -> None:
        steps, self._steps = self._steps, []
        if steps and steps[0][2].is_cuda:
            self._arriving = [(place, names, values.to("cpu", non_blocking=True)) for place, names, values in steps]
            self._arrived = torch.cuda.Event()
            self._arrived.record()
        else:
            self._arriving = steps

    def _look(self) -> None:
        arriving, self._arriving = self._arriving, []
        if self._arrived is not None:
            self._arrived.synchronize()
            self._arrived = None
        for place, names, values in arriving:
            numbers = values.tolist()
            if not all(map(math.isfinite, numbers)):
                raise Diverged(place, dict(zip(names, numbers, strict=True)))


def gradient_norm(parameters: list[nn.Parameter]) -> Tensor:
    """Norm over all gradients, 0-d, on the device."""
    return torch.nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None])
