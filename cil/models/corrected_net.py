"""A distilling network whose logits are corrected task by task (BiC, arXiv 1905.13260)."""

from typing import Self

import torch
from torch import Tensor, nn

from cil.config.schema import BackboneConfig
from cil.models.distilling_net import DistillingNet
from cil.models.folding import AS_THEY_ARE, FrozenForward
from cil.models.heads import wide


class Correction(nn.Module):
    """q -> alpha q + beta for the logits of one task's classes. Starts as the identity."""

    def __init__(self) -> None:
        super().__init__()
        self.alpha = nn.Parameter(torch.ones(()))
        self.beta = nn.Parameter(torch.zeros(()))

    def forward(self, logits: Tensor) -> Tensor:
        """Of any shape; in half precision alpha could not move in small steps, so never below float32."""
        return self.alpha * wide(logits) + self.beta


class CorrectedNet(DistillingNet):
    """A correction beside each head. While one is trained (`correct`), the rest is frozen, batch-norm included."""

    def __init__(
        self, backbone: BackboneConfig, stream: torch.Generator, run_frozen: FrozenForward = AS_THEY_ARE
    ) -> None:
        super().__init__(backbone, stream, run_frozen)
        self.corrections = nn.ModuleList()
        self.correcting = False

    def grow(self, new_classes: int, stream: torch.Generator) -> None:
        """Add head and correction of a task's classes."""
        super().grow(new_classes, stream)
        self.corrections.append(Correction().to(next(self.backbone.parameters())))
        self.correct(False)

    def correct(self, correcting: bool) -> None:
        """Train only the newest correction, or everything but the corrections."""
        self.correcting = correcting
        for part in (self.backbone, self.heads):
            part.requires_grad_(not correcting)
        self.corrections.requires_grad_(False)
        self.corrections[-1].requires_grad_(correcting)
        self.train(self.training)

    def scores(self, features: Tensor) -> list[Tensor]:
        """Features [B, d] -> corrected logits of each task's classes."""
        return [correction(q) for correction, q in zip(self.corrections, super().scores(features), strict=True)]

    def train(self, mode: bool = True) -> Self:
        """Like nn.Module.train, but the statistics of a frozen backbone stand still."""
        super().train(mode)
        if self.correcting:
            self.backbone.eval()
        return self

    def taught(self, images: Tensor) -> Tensor | None:
        """The teacher's logits [B, K]; a correction is trained without it."""
        return None if self.correcting else super().taught(images)
