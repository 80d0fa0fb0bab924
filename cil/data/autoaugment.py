"""AutoAugment on batches (Cubuk et al. 2019, arXiv 1805.09501): the published policies.

An image draws one of 25 sub-policies; each of its two steps acts with the step's probability. The batch is
grouped by operation, not by sub-policy: at most twelve kernels run for each of the two steps, whatever the
batch size, with a magnitude per row. What an operation does to the pixels is a choice (`IMPLEMENTATIONS`).
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from cil.data.operation_set import OperationSet
from cil.data.pillow_ops import PUBLISHED
from cil.data.torchvision_ops import TORCHVISION
from cil.data.transfer import to_device

IMPLEMENTATIONS = {"published": PUBLISHED, "torchvision": TORCHVISION}
"""The values of `augment.auto_augment_ops`."""
POLICY_COUNT = 25
SIGNED = frozenset(
    ["ShearX", "ShearY", "TranslateX", "TranslateY", "Rotate", "Brightness", "Color", "Contrast", "Sharpness"]
)
"""Operations whose magnitude is negated with probability 1/2."""

Step = tuple[str, float, int | None]
"""Operation, probability, magnitude bin (None: the operation has no magnitude)."""

CIFAR10 = """
Invert 0.1 - | Contrast 0.2 6
Rotate 0.7 2 | TranslateX 0.3 9
Sharpness 0.8 1 | Sharpness 0.9 3
ShearY 0.5 8 | TranslateY 0.7 9
AutoContrast 0.5 - | Equalize 0.9 -
ShearY 0.2 7 | Posterize 0.3 7
Color 0.4 3 | Brightness 0.6 7
Sharpness 0.3 9 | Brightness 0.7 9
Equalize 0.6 - | Equalize 0.5 -
Contrast 0.6 7 | Sharpness 0.6 5
Color 0.7 7 | TranslateX 0.5 8
Equalize 0.3 - | AutoContrast 0.4 -
TranslateY 0.4 3 | Sharpness 0.2 6
Brightness 0.9 6 | Color 0.2 8
Solarize 0.5 2 | Invert 0.0 -
Equalize 0.2 - | AutoContrast 0.6 -
Equalize 0.2 - | Equalize 0.6 -
Color 0.9 9 | Equalize 0.6 -
AutoContrast 0.8 - | Solarize 0.2 8
Brightness 0.1 3 | Color 0.7 0
Solarize 0.4 5 | AutoContrast 0.9 -
TranslateY 0.9 9 | TranslateY 0.7 9
AutoContrast 0.9 - | Solarize 0.8 3
Equalize 0.8 - | Invert 0.1 -
TranslateY 0.7 9 | AutoContrast 0.9 -
"""

IMAGENET = """
Posterize 0.4 8 | Rotate 0.6 9
Solarize 0.6 5 | AutoContrast 0.6 -
Equalize 0.8 - | Equalize 0.6 -
Posterize 0.6 7 | Posterize 0.6 6
Equalize 0.4 - | Solarize 0.2 4
Equalize 0.4 - | Rotate 0.8 8
Solarize 0.6 3 | Equalize 0.6 -
Posterize 0.8 5 | Equalize 1.0 -
Rotate 0.2 3 | Solarize 0.6 8
Equalize 0.6 - | Posterize 0.4 6
Rotate 0.8 8 | Color 0.4 0
Rotate 0.4 9 | Equalize 0.6 -
Equalize 0.0 - | Equalize 0.8 -
Invert 0.6 - | Equalize 1.0 -
Color 0.6 4 | Contrast 1.0 8
Rotate 0.8 8 | Color 1.0 2
Color 0.8 8 | Solarize 0.8 7
Sharpness 0.4 7 | Invert 0.6 -
ShearX 0.6 5 | Equalize 1.0 -
Color 0.4 0 | Equalize 0.6 -
Equalize 0.4 - | Solarize 0.2 4
Solarize 0.6 5 | AutoContrast 0.6 -
Invert 0.6 - | Equalize 1.0 -
Color 0.6 4 | Contrast 1.0 8
Equalize 0.8 - | Equalize 0.6 -
"""

POLICIES = {"cifar10": CIFAR10, "imagenet": IMAGENET}


def policy_steps(policy: str) -> list[tuple[Step, Step]]:
    """The 25 sub-policies of "cifar10" or "imagenet"."""
    steps = []
    for line in POLICIES[policy].strip().splitlines():
        first, second = (_parse_step(text) for text in line.split("|"))
        steps.append((first, second))
    return steps


def _parse_step(text: str) -> Step:
    name, probability, bin_number = text.split()
    return name, float(probability), None if bin_number == "-" else int(bin_number)


@dataclass(frozen=True)
class Groups:
    """What one of the two steps does: the rows sorted by kernel, those left alone last, and what they need.

    rows: int64 [n]. back: int64 [n], the place of each row in `rows`. parameters: float32 [n, PARAMETERS]. All on
    the images' device. spans: (kernel number, start, stop) into `rows`.
    """

    rows: Tensor
    back: Tensor
    parameters: Tensor
    spans: list[tuple[int, int, int]]


class AutoAugment:
    """One policy for size x size images.

    policy: "cifar10" or "imagenet". ops: a key of IMPLEMENTATIONS.
    """

    def __init__(self, policy: str, size: int, ops: str = "published") -> None:
        steps = policy_steps(policy)
        self._set = IMPLEMENTATIONS[ops]
        kernels = [[self._set.operations[step[0]][0] for step in pair] for pair in steps]
        self._probability = torch.tensor([[step[1] for step in pair] for pair in steps], dtype=torch.float64)
        self._kernel = torch.tensor([[self._set.kernels.index(kernel) for kernel in pair] for pair in kernels])
        # [policy, step, negative?, 6]: everything an operation can be asked for, worked out once.
        self._parameters = torch.tensor(
            [[[_step_parameters(self._set, step, sign, size) for sign in (1, -1)] for step in pair] for pair in steps]
        )

    def groups(self, policy: Tensor, chance: Tensor, negative: Tensor, device: torch.device) -> list[Groups]:
        """Sort the rows by kernel, on the CPU, for each of the two steps.

        policy: int64 [n] in 0..24. chance: float64 [n, 2] in [0, 1), compared with the steps' probabilities.
        negative: bool [n, 2]. All on the CPU.
        """
        result = []
        idle = len(self._set.kernels)
        for step in range(2):
            acts = self._set.acts(chance[:, step], self._probability[policy, step])
            kernel = torch.where(acts, self._kernel[policy, step], idle)
            counts = torch.bincount(kernel, minlength=idle + 1)[:idle].tolist()
            rows = torch.argsort(kernel, stable=True)
            values = self._parameters[policy[rows], step, negative[rows, step].to(torch.int64)]
            spans, start = [], 0
            for number, count in enumerate(counts):
                if count:
                    spans.append((number, start, start + count))
                start += count
            there, back = to_device(rows, device), to_device(torch.argsort(rows), device)
            result.append(Groups(there, back, to_device(values, device), spans))
        return result

    def __call__(self, images: Tensor, policy: Tensor, chance: Tensor, negative: Tensor) -> Tensor:
        """Augment uint8 images [n, 3, size, size] on any device; draws as in `groups`. Gives new images."""
        for group in self.groups(policy, chance, negative, images.device):
            # Sorted once and put back once: writing each group into place costs more than its operation.
            images = images.index_select(0, group.rows)
            acting = group.spans[-1][2] if group.spans else 0
            parts = [
                self._set.kernels[number](images[start:stop], group.parameters[start:stop])
                for number, start, stop in group.spans
            ]
            images = torch.cat([*parts, images[acting:]]).index_select(0, group.back)
        return images


def _step_parameters(operations: OperationSet, step: Step, sign: int, size: int) -> list[float]:
    name, _, bin_number = step
    magnitude = 0.0 if bin_number is None else operations.magnitudes(name, size)[bin_number]
    return operations.parameters(name, magnitude * (sign if name in SIGNED else 1), size)
