"""The networks of FOSTER (arXiv 2204.04662): one that stays, a branch that boosts it, and the student of both."""

import copy
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor, nn

from cil.config.schema import BackboneConfig
from cil.models.folding import AS_THEY_ARE, FrozenForward
from cil.models.heads import fresh_linear
from cil.models.incremental_net import ClassifierOutputs, IncrementalNet
from cil.models.resnet import pool


@dataclass(frozen=True)
class FosterOutputs(ClassifierOutputs):
    """logits: [B, C], features: [B, d or 2 d] of what is trained; the rest is None where a phase has no use for it."""

    aux_logits: Tensor | None = None
    """[B, C] of the branch's own head, in boosting."""
    old_logits: Tensor | None = None
    """[B, K] of the network of before, in boosting."""
    teacher_logits: Tensor | None = None
    """[B, C] of the boosted network, in compression."""


class BoostedNet(nn.Module):
    """A frozen network with a branch beside it that fits what it leaves: logits of both are added.

    The branch starts as a copy of the old backbone. The head sees both features; it begins with zeros from the old
    feature to the old classes, so that their logits start as the old ones plus what the branch gives.
    """

    def __init__(self, old: IncrementalNet, new_classes: int, stream: torch.Generator) -> None:
        super().__init__()
        self.branch = copy.deepcopy(old.backbone).requires_grad_(True)
        self.old = old.requires_grad_(False)
        width, self.known = old.backbone.width, old.known + new_classes
        self.head = fresh_linear(2 * width, self.known, stream)
        with torch.no_grad():
            self.head.weight[: old.known, :width] = 0
        self.aux_head = fresh_linear(width, self.known, stream)
        self.frozen = False
        self.to(next(self.branch.parameters()))

    def train(self, mode: bool = True) -> Self:
        """Like nn.Module.train, but what is frozen stays in eval mode."""
        super().train(mode and not self.frozen)
        self.old.eval()
        return self

    def freeze(self) -> None:
        """All of it is a teacher from now on."""
        self.frozen = True
        self.requires_grad_(False).eval()

    def forward(self, images: Tensor, run: FrozenForward = AS_THEY_ARE) -> FosterOutputs:
        """Images [B, 3, H, W] -> what boosting needs. `run`: how, of what is frozen."""
        with torch.no_grad():
            old = self.old.classify(images, run)
        feature = run.features(self.branch, images) if self.frozen else pool(self.branch(images))
        features = torch.cat([old.features, feature], dim=1)
        logits = self.head(features)
        known = old.logits.shape[1]
        logits = torch.cat([logits[:, :known] + old.logits, logits[:, known:]], dim=1)
        return FosterOutputs(logits, features, self.aux_head(feature), old.logits)

    @torch.no_grad()
    def align(self) -> None:
        """Scale the rows of the new classes to the mean norm of the old ones, which act together with the old head."""
        known, width = self.old.known, self.old.backbone.width
        acting = self.head.weight.clone()
        acting[:known, :width] += torch.cat([head.get_parameter("weight") for head in self.old.heads])
        norms = acting.norm(dim=1)
        scaled = self.head.weight[known:] * (norms[:known].mean() / norms[known:].mean())
        self.head.weight = nn.Parameter(torch.cat([self.head.weight[:known], scaled]))


class FosterNet(nn.Module):
    """`single` in the first task; then `boosted` (with the network of before inside), and its `student` in the end."""

    def __init__(
        self, backbone: BackboneConfig, stream: torch.Generator, run_frozen: FrozenForward = AS_THEY_ARE
    ) -> None:
        super().__init__()
        self.run_frozen = run_frozen
        self.single: IncrementalNet | None = IncrementalNet(backbone, stream)
        self.boosted: BoostedNet | None = None
        self.student: IncrementalNet | None = None

    @property
    def deployed(self) -> IncrementalNet | BoostedNet:
        """What is to be tested: the compressed network, where there is one already."""
        found = self.student or self.boosted or self.single
        assert found is not None
        return found

    def boost(self, new_classes: int, stream: torch.Generator) -> None:
        """Begin a task from 2 on: what the last one ended with is frozen and gets a branch."""
        old = self.student or self.single
        assert old is not None
        self.boosted, self.single, self.student = BoostedNet(old, new_classes, stream), None, None
        self.train(self.training)

    def compress(self, new_classes: int, stream: torch.Generator) -> None:
        """Freeze the boosted network; the student starts from the network of before, with a new head beside."""
        assert self.boosted is not None
        self.student = copy.deepcopy(self.boosted.old).requires_grad_(True)
        self.student.grow(new_classes, stream)
        self.boosted.freeze()
        self.train(self.training)

    def forward(self, images: Tensor) -> FosterOutputs:
        """Images [B, 3, H, W] -> what the loss of the present phase needs."""
        if self.student is not None:
            assert self.boosted is not None
            own = self.student.classify(images)
            with torch.no_grad():
                taught = self.boosted(images, self.run_frozen).logits
            return FosterOutputs(own.logits, own.features, teacher_logits=taught)
        if self.boosted is not None:
            found: FosterOutputs = self.boosted(images, self.run_frozen)
            return found
        assert self.single is not None
        own = self.single.classify(images)
        return FosterOutputs(own.logits, own.features)
