"""One backbone with a classifier that grows: the network of methods that do not expand their features."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from cil.config.schema import BackboneConfig
from cil.models.folding import AS_THEY_ARE, FrozenForward
from cil.models.heads import aligned_weight, fresh_linear
from cil.models.resnet import make_backbone


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

    def classify(self, images: Tensor, run: FrozenForward = AS_THEY_ARE) -> ClassifierOutputs:
        """Images [B, 3, H, W] -> logits of all classes so far, and features. `run`: how, where this net is frozen."""
        features = run.features(self.backbone, images)
        return ClassifierOutputs(torch.cat(self.scores(features), dim=1), features)

    def scores(self, features: Tensor) -> list[Tensor]:
        """Features [B, d] -> logits of each task's classes."""
        return [head(features) for head in self.heads]

    def forward(self, images: Tensor) -> ClassifierOutputs:
        """What the loss of a batch needs: the same as `classify`, and more in networks with a teacher."""
        return self.classify(images)

    @torch.no_grad()
    def align(self) -> None:
        """Scale the newest head's rows to the mean norm of the old rows (Zhao et al. 2020); biases stay."""
        if self.old:
            weight = torch.cat([head.get_parameter("weight") for head in self.heads])
            # A new parameter: a checkpoint taken just before keeps the old one.
            self.heads[-1].weight = nn.Parameter(aligned_weight(weight, self.old)[self.old :])
