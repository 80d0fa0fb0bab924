"""An incremental network beside a frozen copy of itself: the teacher of methods that distil."""

import copy
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from cil.config.schema import BackboneConfig
from cil.models.folding import AS_THEY_ARE, FrozenForward
from cil.models.incremental_net import ClassifierOutputs, IncrementalNet


@dataclass(frozen=True)
class DistillingOutputs(ClassifierOutputs):
    """logits: [B, C]; features: [B, d]; teacher_logits: [B, K] of the K old classes, None without a teacher."""

    teacher_logits: Tensor | None = None


class DistillingNet(IncrementalNet):
    """An IncrementalNet with a teacher from task 2 on: the whole network as it was at the end of the last task."""

    def __init__(
        self, backbone: BackboneConfig, stream: torch.Generator, run_frozen: FrozenForward = AS_THEY_ARE
    ) -> None:
        super().__init__(backbone, stream)
        self.run_frozen = run_frozen
        self.teacher: IncrementalNet | None = None

    def grow(self, new_classes: int, stream: torch.Generator) -> None:
        """Add the head of a task's classes; what the network is before that becomes the teacher."""
        if self.sizes:
            self.teacher = None  # the copy needs none of its own
            self.teacher = copy.deepcopy(self).requires_grad_(False)
        super().grow(new_classes, stream)

    def train(self, mode: bool = True) -> Self:
        """Like nn.Module.train, but the teacher stays in eval mode."""
        super().train(mode)
        if self.teacher is not None:
            self.teacher.eval()
        return self

    def forward(self, images: Tensor) -> DistillingOutputs:
        """Images [B, 3, H, W] -> what the loss of a batch needs."""
        own = self.classify(images)
        return DistillingOutputs(own.logits, own.features, self.taught(images))

    @torch.no_grad()
    def taught(self, images: Tensor) -> Tensor | None:
        """The teacher's logits [B, K]."""
        return None if self.teacher is None else self.teacher.classify(images, self.run_frozen).logits
