"""What AutoAugment needs to know of one implementation of its operations (pillow_ops.py, torchvision_ops.py)."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from torch import Tensor

BINS = 10
"""Magnitude bins of every operation."""
PARAMETERS = 6
"""Numbers per row that an operation receives; those it does not use are 0."""

Kernel = Callable[[Tensor, Tensor], Tensor]
"""uint8 images [m, 3, H, W] and float32 parameters [m, PARAMETERS] -> new images."""
Rule = Callable[[float, int], list[float]]
"""Magnitude (sign included) and image side -> the numbers the kernel reads."""


@dataclass(frozen=True)
class OperationSet:
    """The fourteen operations by name, and how they are asked for.

    operations: kernel and parameter rule of each. magnitudes: (name, side) -> magnitudes of bins 0..9.
    acts: (number drawn, probability) -> whether the step acts; torch.lt or torch.le.
    """

    operations: dict[str, tuple[Kernel, Rule]]
    magnitudes: Callable[[str, int], list[float]]
    acts: Callable[[Tensor, Tensor], Tensor]

    @cached_property
    def kernels(self) -> list[Kernel]:
        """The distinct kernels, in a fixed order."""
        return list(dict.fromkeys(kernel for kernel, _ in self.operations.values()))

    def parameters(self, name: str, magnitude: float, size: int) -> list[float]:
        """The six numbers operation `name` reads at `magnitude` (sign included) on size x size images."""
        values = self.operations[name][1](magnitude, size)
        return values + [0.0] * (PARAMETERS - len(values))


def posterize_mask(magnitude: float, _size: int) -> list[float]:
    """Mask that keeps the upper `magnitude` bits of a pixel."""
    return [256.0 - 2 ** (8 - int(magnitude))]


def as_it_is(magnitude: float, _size: int) -> list[float]:
    """The magnitude itself."""
    return [magnitude]


def nothing(_magnitude: float, _size: int) -> list[float]:
    """For operations without a magnitude."""
    return []
