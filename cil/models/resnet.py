"""ResNets: ResNet-18 and the CIFAR ResNets of depth 8, 20 and 32 (He et al. 2016).

Every backbone maps images [B, 3, H, W] to its last feature map [B, width, h, w], after the last block's ReLU.
The image's feature is the mean over positions (`pool`); the same map gives the tokens of merge attention.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cil.config.schema import BackboneConfig, Stem
from cil.models.batch_norm import BatchNorm2d


def pool(feature_map: Tensor) -> Tensor:
    """Global mean of a feature map: [B, d, h, w] -> [B, d]."""
    return feature_map.mean(dim=(2, 3))


def _conv3x3(inputs: int, outputs: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)


class PaddingShortcut(nn.Module):
    """Option A of He et al.: every second position, missing channels filled with zeros behind the existing ones."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.missing = outputs - inputs

    def forward(self, x: Tensor) -> Tensor:
        """[B, inputs, H, W] -> [B, outputs, ceil(H / stride), ceil(W / stride)]."""
        return F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, 0, self.missing))


def projection_shortcut(inputs: int, outputs: int, stride: int) -> nn.Module:
    """Option B of He et al.: a 1x1 convolution with batch-norm."""
    return nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), BatchNorm2d(outputs))


Shortcut = Callable[[int, int, int], nn.Module]


class BasicBlock(nn.Module):
    """Two 3x3 convolutions with batch-norm around a shortcut."""

    def __init__(self, inputs: int, outputs: int, stride: int, shortcut: Shortcut) -> None:
        super().__init__()
        self.conv1 = _conv3x3(inputs, outputs, stride)
        self.norm1 = BatchNorm2d(outputs)
        self.conv2 = _conv3x3(outputs, outputs)
        self.norm2 = BatchNorm2d(outputs)
        same_shape = stride == 1 and inputs == outputs
        self.shortcut = nn.Identity() if same_shape else shortcut(inputs, outputs, stride)

    def forward(self, x: Tensor) -> Tensor:
        """[B, inputs, H, W] -> [B, outputs, H / stride, W / stride]."""
        out = F.relu(self.norm1(self.conv1(x)))
        out = self.norm2(self.conv2(out))
        return F.relu(out + self.shortcut(x))


def make_stem(stem: Stem, width: int) -> nn.Sequential:
    """The layers before the first stage; see BackboneConfig.stem."""
    if stem is Stem.imagenet:
        conv = nn.Conv2d(3, width, 7, 2, padding=3, bias=False)
    else:
        conv = _conv3x3(3, width)
    layers: list[nn.Module] = [conv, BatchNorm2d(width), nn.ReLU()]
    if stem is not Stem.cifar:
        layers.append(nn.MaxPool2d(3, 2, padding=1))
    return nn.Sequential(*layers)


class ResNet(nn.Module):
    """A ResNet of basic blocks without a classifier.

    widths: channels of each stage; blocks: how many blocks a stage has. Stages after the first halve the map.
    """

    def __init__(self, stem: Stem, widths: list[int], blocks: int, shortcut: Shortcut) -> None:
        super().__init__()
        self.width = widths[-1]
        self.stem = make_stem(stem, widths[0])
        stages = []
        inputs = widths[0]
        for i, outputs in enumerate(widths):
            first = BasicBlock(inputs, outputs, 1 if i == 0 else 2, shortcut)
            rest = [BasicBlock(outputs, outputs, 1, shortcut) for _ in range(blocks - 1)]
            stages.append(nn.Sequential(first, *rest))
            inputs = outputs
        self.stages = nn.Sequential(*stages)

    def forward(self, images: Tensor) -> Tensor:
        """Images [B, 3, H, W] -> feature map [B, width, h, w]."""
        return self.stages(self.stem(images))

    def reset_parameters(self, generator: torch.Generator) -> None:
        """Kaiming-normal convolutions (fan-out, ReLU), batch-norm at 1 and 0 with fresh statistics."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu", generator=generator)
            elif isinstance(module, BatchNorm2d):
                module.reset_parameters()


CIFAR_BLOCKS = {"resnet8": 1, "resnet20": 3, "resnet32": 5}


def make_backbone(config: BackboneConfig, generator: torch.Generator) -> ResNet:
    """A freshly initialised backbone.

    Raises ValueError for an unknown name; the valid ones are resnet18, resnet20, resnet32 and resnet8.
    """
    if config.name == "resnet18":
        net = ResNet(config.stem, [64, 128, 256, 512], 2, projection_shortcut)
    elif config.name in CIFAR_BLOCKS:
        net = ResNet(config.stem, [16, 32, 64], CIFAR_BLOCKS[config.name], PaddingShortcut)
    else:
        raise ValueError(f"backbone.name={config.name}: valid names are resnet18, {', '.join(CIFAR_BLOCKS)}")
    net.reset_parameters(generator)
    return net
