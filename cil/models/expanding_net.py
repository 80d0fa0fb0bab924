"""A network that grows by a branch a task: DER (whole backbones) and MEMO (last stages on shared earlier ones)."""

import copy
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor, nn

from cil.config.schema import BackboneConfig
from cil.models.folding import AS_THEY_ARE, FrozenForward
from cil.models.heads import aligned_weight, fresh_linear, grown_linear
from cil.models.incremental_net import ClassifierOutputs
from cil.models.resnet import make_backbone, pool


@dataclass(frozen=True)
class ExpandingOutputs(ClassifierOutputs):
    """logits: [B, C]; features: [B, t * d]; aux_logits: [B, n + 1] from the newest branch alone, None in task 1."""

    aux_logits: Tensor | None = None


class ExpandingNet(nn.Module):
    """Branches on a trunk; their features side by side go into one classifier.

    shared: the trunk is the backbone without its last stage, which is the branch, and goes on training; otherwise
    the trunk is empty and every branch a whole backbone. Branches of earlier tasks are frozen, in eval mode.
    """

    def __init__(
        self, backbone: BackboneConfig, shared: bool, stream: torch.Generator, run_frozen: FrozenForward = AS_THEY_ARE
    ) -> None:
        super().__init__()
        self.run_frozen = run_frozen
        net = make_backbone(backbone, stream)
        self.width = net.width
        self.trunk: nn.Module = nn.Sequential(net.stem, *net.stages[:-1]) if shared else nn.Identity()
        self.branches = nn.ModuleList([net.stages[-1] if shared else net])
        self.classifier: nn.Linear | None = None
        self.aux_head: nn.Linear | None = None
        self.known = self.old = 0

    def grow(self, new_classes: int, head_stream: torch.Generator, aux_stream: torch.Generator) -> None:
        """Begin a task of `new_classes` classes: freeze the newest branch, go on from a copy of it."""
        self.old, self.known = self.known, self.known + new_classes
        like = next(self.branches[-1].parameters())
        if self.classifier is None:
            self.classifier = fresh_linear(self.width, self.known, head_stream)
        else:
            self.branches.append(copy.deepcopy(self.branches[-1]))
            self.branches[-2].requires_grad_(False)
            inputs = len(self.branches) * self.width
            self.classifier = grown_linear(self.classifier, inputs, self.known, head_stream, quiet=False)
            self.aux_head = fresh_linear(self.width, new_classes + 1, aux_stream)
        self.to(like)
        self.train(self.training)

    def train(self, mode: bool = True) -> Self:
        """Like nn.Module.train, but frozen branches stay in eval mode."""
        super().train(mode)
        for branch in self.branches[:-1]:
            branch.eval()
        return self

    def classify(self, images: Tensor, run_frozen: FrozenForward = AS_THEY_ARE) -> ClassifierOutputs:
        """Images [B, 3, H, W] -> logits of all classes so far, and features."""
        assert self.classifier is not None
        below = self.trunk(images)
        # Through a frozen branch gradients are needed only for a trunk below it.
        with torch.set_grad_enabled(torch.is_grad_enabled() and below.requires_grad):
            frozen = [run_frozen.features(branch, below) for branch in self.branches[:-1]]
        features = torch.cat([*frozen, pool(self.branches[-1](below))], dim=1)
        return ClassifierOutputs(self.classifier(features), features)

    def forward(self, images: Tensor) -> ExpandingOutputs:
        """Images [B, 3, H, W] -> what the loss of a batch needs."""
        own = self.classify(images, self.run_frozen)
        aux = None if self.aux_head is None else self.aux_head(own.features[:, -self.width :])
        return ExpandingOutputs(own.logits, own.features, aux)

    @torch.no_grad()
    def align(self) -> None:
        """Scale the new rows of the classifier to the mean norm of the old ones; the bias stays."""
        if self.old and self.classifier is not None:
            # A new parameter: a checkpoint taken just before keeps the old one.
            self.classifier.weight = nn.Parameter(aligned_weight(self.classifier.weight, self.old))
