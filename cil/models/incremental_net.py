"""One backbone with a classifier that grows: the network of methods that do not expand their features."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from cil.config.schema import BackboneConfig
from cil.models.heads import fresh_linear
from cil.models.resnet import make_backbone, pool


@dataclass(frozen=True)
class ClassifierOutputs:
    """logits: [B, classes so far]; features: [B, d]."""

    logits: Tensor
    features: Tensor


class IncrementalNet(nn.Module):
    """A backbone and one linear head a task, side by side: their logits together are those of one growing classifier.

    Old rows and biases stay as they are when a head is added; a head of its own can be frozen or scaled.
    """

    def __init__(self, backbone: BackboneConfig, stream: torch.Generator) -> None:
        super().__init__()
        self.backbone = make_backbone(backbone, stream)
        self.heads = nn.ModuleList()
        self.sizes: list[int] = []
        """Classes of each head."""

    @property
    def known(self) -> int:
        """Classes so far."""
        return sum(self.sizes)

    @property
    def old(self) -> int:
        """Classes of earlier tasks."""
        return sum(self.sizes[:-1])

    def grow(self, new_classes: int, stream: torch.Generator) -> None:
        """Add the head of a task's classes."""
        self.sizes.append(new_classes)
        head = fresh_linear(self.backbone.width, new_classes, stream)
        self.heads.append(head.to(next(self.backbone.parameters())))

    def forward(self, images: Tensor) -> ClassifierOutputs:
        """Images [B, 3, H, W] -> logits of all classes so far, and features."""
        features = pool(self.backbone(images))
        return ClassifierOutputs(torch.cat([head(features) for head in self.heads], dim=1), features)
