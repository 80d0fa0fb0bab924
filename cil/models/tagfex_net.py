"""The expandable network of TagFex (CVPR 2025, arXiv 2503.00823, figure 2)."""

import copy
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from cil.config.schema import BackboneConfig, BranchInit, TagFexConfig
from cil.models.attention import MergeAttention, tokens
from cil.models.folding import AS_THEY_ARE, FrozenForward
from cil.models.heads import aligned_weight, fresh_linear, grown_linear
from cil.models.pruning import pruned
from cil.models.resnet import ResNet, make_backbone, pool

StreamFactory = Callable[[str], torch.Generator]
"""From the name of a part to the random generator that initialises it."""


@dataclass(frozen=True, kw_only=True)
class AgnosticOutputs:
    """What the task-agnostic net says of R = 2B rows; the fields after `embeddings` are None in task 1."""

    embeddings: Tensor
    """[R, D] projected task-agnostic features."""
    predicted: Tensor | None = None
    """[R, D] predicted task-agnostic features through the teacher's projector."""
    teacher_embeddings: Tensor | None = None
    """[R, D] the teacher's embeddings, without gradient."""


@dataclass(frozen=True, kw_only=True)
class SpecificOutputs:
    """What the task-specific nets say; C classes so far, n of them new. Fields after `logits` are None in task 1."""

    logits: Tensor
    """[R, C] classifier."""
    aux_logits: Tensor | None = None
    """[R, n + 1] auxiliary head."""
    transfer_logits: Tensor | None = None
    """[R, n] transfer head on the merged feature."""


@dataclass(frozen=True, kw_only=True)
class TrainOutputs(SpecificOutputs, AgnosticOutputs):
    """Everything the loss of a batch needs."""


class Teacher(nn.Module):
    """Frozen copies of the task-agnostic net and its projector at the end of the previous task."""

    def __init__(self, ta_net: ResNet, projector: nn.Module) -> None:
        super().__init__()
        self.ta_net = copy.deepcopy(ta_net)
        self.projector = copy.deepcopy(projector)
        self.requires_grad_(False)


class TagFexNet(nn.Module):
    """One task-agnostic net, one task-specific net a task, and the heads around them. Starts without a task."""

    def __init__(
        self,
        backbone: BackboneConfig,
        config: TagFexConfig,
        stream: StreamFactory,
        run_frozen: FrozenForward = AS_THEY_ARE,
        prune_ratio: float = 0.0,
    ) -> None:
        super().__init__()
        self.run_frozen = run_frozen
        self.backbone = backbone
        self.config = config
        self.prune_ratio = prune_ratio
        self.ta_net = make_backbone(backbone, stream("ta_net"))
        self.width = self.ta_net.width
        assert backbone.projector_hidden is not None and backbone.projector_out is not None
        projector_stream = stream("projector")
        self.projector = nn.Sequential(
            fresh_linear(self.width, backbone.projector_hidden, projector_stream),
            nn.ReLU(),
            fresh_linear(backbone.projector_hidden, backbone.projector_out, projector_stream),
        )
        self.ts_nets = nn.ModuleList()
        self.classifier: nn.Linear | None = None
        self.aux_head: nn.Linear | None = None
        self.predictor: nn.Linear | None = None
        self.attention: MergeAttention | None = None
        self.transfer_head: nn.Linear | None = None
        self.teacher: Teacher | None = None
        self.known = 0
        """Classes so far (C_t)."""
        self.old = 0
        """Classes of earlier tasks (C_{t-1})."""
        self.pruned = 0
        """How many task-specific nets are pruned: the first ones."""
        self.unpruned: list[Tensor] | None = None
        """Parameters that the newest one had before it was pruned, from which the next one starts."""

    def grow(self, new_classes: int, stream: StreamFactory) -> None:
        """Begin a task of `new_classes` classes: freeze what is old, add what is new.

        `stream` must give other generators for every task.
        """
        self.old, self.known = self.known, self.known + new_classes
        like = next(self.ta_net.parameters())
        first = not self.ts_nets
        if not first:
            self.teacher = Teacher(self.ta_net, self.projector)
        newest = self._new_ts_net(stream("ts_net"))
        if not first:
            self.prune()  # was done when the task ended, unless the network is only built, to be loaded or measured
            self.ts_nets[-1].requires_grad_(False)
        self.unpruned = None
        self.ts_nets.append(newest)
        inputs = len(self.ts_nets) * self.width
        if first or self.classifier is None:
            self.classifier = fresh_linear(inputs, self.known, stream("classifier"))
        else:
            self.classifier = grown_linear(self.classifier, inputs, self.known, stream("classifier"))
            self._new_transfer_parts(new_classes, stream)
        self.to(like)
        self.train(self.training)

    def prune(self) -> None:
        """Replace the newest task-specific net by a smaller one, where pruning is on and has not been done yet."""
        if not self.prune_ratio or self.pruned == len(self.ts_nets):
            return
        whole = self.ts_nets[-1]
        assert isinstance(whole, ResNet)
        # A new module: a checkpoint taken just before keeps the old tensors.
        self.ts_nets[-1] = pruned(whole, self.prune_ratio)
        self.pruned += 1
        self.unpruned = [parameter.detach() for parameter in whole.parameters()]

    def kept_ts_nets(self) -> nn.ModuleList:
        """The task-specific nets as they are after the present task; before its end, the newest one is a copy."""
        if not self.prune_ratio or self.pruned == len(self.ts_nets):
            return self.ts_nets
        *older, newest = self.ts_nets
        assert isinstance(newest, ResNet)
        return nn.ModuleList([*older, pruned(newest, self.prune_ratio)])

    def taught(self) -> dict[str, Tensor]:
        """What the next teacher is a copy of, by the teacher's names; the live tensors."""
        parts = {"ta_net": self.ta_net, "projector": self.projector}
        return {f"{part}.{name}": t for part, module in parts.items() for name, t in module.state_dict().items()}

    def _new_transfer_parts(self, new_classes: int, stream: StreamFactory) -> None:
        self.aux_head = fresh_linear(self.width, new_classes + 1, stream("aux_head"))
        self.transfer_head = fresh_linear(self.width, new_classes, stream("transfer_head"))
        if self.predictor is None:
            self.predictor = fresh_linear(self.width, self.width, stream("predictor"))
            self.attention = MergeAttention(self.width, self.config.attention_heads)
        assert self.attention is not None
        # Drawn on the CPU, so that a run has the same weights on every device.
        fresh = MergeAttention(self.width, self.config.attention_heads)
        fresh.reset_parameters(stream("attention"))
        self.attention.load_state_dict(fresh.state_dict())

    @torch.no_grad()
    def _new_ts_net(self, generator: torch.Generator) -> ResNet:
        net = make_backbone(self.backbone, generator).to(next(self.ta_net.parameters()))
        if not self.ts_nets or self.config.init is BranchInit.fresh:
            return net
        share = self.config.init_factor if self.config.init is BranchInit.interpolate else 1.0
        # Parameters only: batch-norm statistics start fresh.
        last = self.ts_nets[-1].parameters() if self.unpruned is None else self.unpruned
        sources = zip(net.parameters(), last, self.ta_net.parameters(), strict=True)
        for new, previous, agnostic in sources:
            new.copy_(previous if share == 1.0 else share * previous + (1 - share) * agnostic)
        return net

    def train(self, mode: bool = True) -> "TagFexNet":
        """Like nn.Module.train, but frozen branches stay in eval mode: their statistics must not move."""
        super().train(mode)
        for net in self.ts_nets[:-1]:
            net.eval()
        if self.teacher is not None:
            self.teacher.eval()
        return self

    def forward(self, images: Tensor) -> TrainOutputs:
        """Images of both views [R, 3, H, W] -> everything the loss needs."""
        agnostic, agnostic_map = self.agnostic(images)
        return TrainOutputs(**vars(agnostic), **vars(self.specific(images, agnostic_map)))

    def agnostic(self, images: Tensor) -> tuple[AgnosticOutputs, Tensor]:
        """Images [R, 3, H, W] -> the task-agnostic part, and its feature map without the graph."""
        feature_map = self.ta_net(images)
        feature = pool(feature_map)
        embeddings = self.projector(feature)
        if self.teacher is None:
            return AgnosticOutputs(embeddings=embeddings), feature_map.detach()
        assert self.predictor is not None
        with torch.no_grad():
            teacher_embeddings = self.teacher.projector(self.run_frozen.features(self.teacher.ta_net, images))
        predicted = self.teacher.projector(self.predictor(feature))
        outputs = AgnosticOutputs(embeddings=embeddings, predicted=predicted, teacher_embeddings=teacher_embeddings)
        return outputs, feature_map.detach()

    def specific(self, images: Tensor, agnostic_map: Tensor) -> SpecificOutputs:
        """Images [R, 3, H, W] and their detached task-agnostic map -> the task-specific part. The graphs of the two
        parts share nothing.
        """
        assert self.classifier is not None
        feature_map = self.ts_nets[-1](images)
        feature = pool(feature_map)
        logits = self.classifier(torch.cat([*self._frozen_features(images), feature], dim=1))
        if self.teacher is None:
            return SpecificOutputs(logits=logits)
        assert self.aux_head and self.attention and self.transfer_head
        merged = self.attention(tokens(agnostic_map), tokens(feature_map)).mean(dim=1)
        return SpecificOutputs(
            logits=logits, aux_logits=self.aux_head(feature), transfer_logits=self.transfer_head(merged)
        )

    @torch.no_grad()
    def _frozen_features(self, images: Tensor) -> list[Tensor]:
        return [self.run_frozen.features(net, images) for net in self.ts_nets[:-1]]

    @torch.no_grad()
    def features(self, images: Tensor) -> Tensor:
        """Concatenated task-specific features [B, t * d]. Put the network into eval mode first."""
        return torch.cat([pool(net(images)) for net in self.ts_nets], dim=1)

    @torch.no_grad()
    def embed(self, images: Tensor) -> Tensor:
        """Projected task-agnostic features [B, D]. Put the network into eval mode first."""
        return self.projector(pool(self.ta_net(images)))

    @torch.no_grad()
    def align(self) -> None:
        """Weight alignment at the end of a task (a no-op in the first); the bias stays as it is."""
        if self.old and self.classifier is not None:
            # A new parameter: a checkpoint taken just before keeps the old one.
            self.classifier.weight = nn.Parameter(aligned_weight(self.classifier.weight, self.old))
