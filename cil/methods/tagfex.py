"""TagFex: Task-Agnostic Guided Feature Expansion (CVPR 2025, arXiv 2503.00823)."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cil.config.schema import Prototypes, RunConfig, TagFexConfig
from cil.data.stream import Task
from cil.losses.base import ContrastiveLoss, LossOutput, Stat, make_loss
from cil.losses.margins import MarginSchedule
from cil.losses.settings import LossSettings
from cil.losses.similarity import cosine_matrix, split_pairs
from cil.methods.base import Method, Prediction, StepOutput, Term, classified, wide
from cil.methods.heads import CLASSIFIER
from cil.methods.weight_average import WeightAverage
from cil.models.tagfex_net import AgnosticOutputs, SpecificOutputs, TagFexNet, TrainOutputs

USES = (
    "loss",
    "margin_schedule",
    "ant_margin",
    "backbone.projector_hidden",
    "backbone.projector_out",
    "memory",
    "teacher",
    "prune",
)


class TagFex(Method):
    """The TagFex objective around a TagFexNet; the contrastive loss is swappable (conf/loss)."""

    network: TagFexNet
    views = 2

    def __init__(self, config: RunConfig) -> None:
        super().__init__(config)
        assert isinstance(config.method, TagFexConfig)
        self.settings = config.method
        self.contrastive_loss = None if config.loss.name is None else make_loss(config.loss)
        self.schedule = MarginSchedule(config.margin_schedule, config.ant_margin) if self.contrastive_loss else None
        prune_ratio = config.prune.ratio or 0.0
        self.network = TagFexNet(config.backbone, config.method, self.stream, self.run_frozen, prune_ratio)
        self.average = WeightAverage(config.teacher.average_last or 1)
        self.prototypes: Tensor | None = None
        """Mean embeddings of the classes of earlier tasks, [C, D], where the loss wants them."""
        self.margin = 0.0
        self.previous_gap: float | None = None

    def begin_task(self, task: Task) -> None:
        """Grow the network; the gap of an earlier task does not cap this one's margin."""
        self.network.grow(task.size, lambda part: self.stream(part, task.number))
        if self.network.teacher is not None:
            self.average.replace(self.network.teacher)
        self.previous_gap = None

    def begin_epoch(self, epoch: int, epochs: int) -> None:
        """Set the margin of this epoch."""
        self.average.begin_epoch(epoch, epochs)
        if self.schedule is not None:
            self.margin = self.schedule.margin(epoch, epochs, self.previous_gap)

    def end_epoch(self, means: Mapping[str, Mapping[str, float | None]]) -> None:
        """Remember the gap, by which a schedule may cap the next epoch's margin, and the weights of a next teacher."""
        self.average.add(self.network.taught())
        self.previous_gap = means.get("contrast", {}).get("gap")

    def loss(self, outputs: TrainOutputs, targets: Tensor) -> StepOutput:
        """All loss terms of a batch; see Method.loss."""
        parts = [*self._agnostic_loss(outputs, targets), self._specific_loss(outputs, targets)]
        return StepOutput.joined(parts, self.loss_weights())

    def parts(self, views: Tensor, targets: Tensor) -> Iterator[StepOutput]:
        """The terms of the task-agnostic net, then those of the task-specific one."""
        agnostic, agnostic_map = self.network.agnostic(views)
        yield from self._agnostic_loss(agnostic, targets)
        del agnostic
        yield self._specific_loss(self.network.specific(views, agnostic_map), targets)

    def _agnostic_loss(self, outputs: AgnosticOutputs, targets: Tensor) -> list[StepOutput]:
        """The contrastive terms; nothing where they have no weight."""
        weights = self.loss_weights()
        terms: dict[str, Term] = {}
        stats: dict[str, Mapping[str, Stat]] = {}
        # One after the other: the order in which the graph grows decides how gradients are rounded.
        for name, pair in self.compared(outputs).items():
            found = self._contrastive(pair, targets)
            # Only the term of the images themselves is opened into its parts (tracking.gradient_share_every).
            terms[name] = Term(weights[name], found.loss, found.parts if name == "contrast" else {})
            stats[name] = found.stats
        return [StepOutput(terms, stats)] if terms else []

    def _specific_loss(self, outputs: SpecificOutputs, targets: Tensor) -> StepOutput:
        """The terms of classification and transfer."""
        rows = targets.repeat(2)
        weights = self.loss_weights()
        values: dict[str, Tensor] = {"cls": F.cross_entropy(wide(outputs.logits), rows)}
        active = None
        if outputs.aux_logits is not None:
            expansion, active = self._expansion_terms(outputs, rows, values["cls"], weights)
            values |= expansion
        stats, correct = classified(outputs.logits, targets)
        if active is not None:
            stats["loss"] = {"transfer_active": Stat(active, 1)}
        return StepOutput({name: Term(weights[name], value) for name, value in values.items()}, stats, correct)

    def _contrastive(self, compared: tuple[Tensor, Tensor, Tensor | None], targets: Tensor) -> LossOutput:
        assert self.contrastive_loss is not None
        anchors, columns, prototypes = compared
        return self.contrastive_loss(anchors, columns, self.margin, targets, prototypes)

    def _expansion_terms(
        self, outputs: SpecificOutputs, rows: Tensor, cls: Tensor, weights: dict[str, float]
    ) -> tuple[dict[str, Tensor], Tensor | None]:
        """The terms that exist from task 2 on, contrastive distillation aside, and whether transfer acts (0-d)."""
        assert outputs.aux_logits is not None and outputs.transfer_logits is not None
        old = self.network.old
        new = (rows >= old).to(cls.dtype)
        new_rows = new.sum().clamp(min=1)
        labels = (rows - old).clamp(min=0)
        terms: dict[str, Tensor] = {}
        if weights["aux"]:
            terms["aux"] = F.cross_entropy(wide(outputs.aux_logits), (rows - old + 1).clamp(min=0))
        if not (weights["trans_cls"] or weights["transfer"]):
            return terms, None
        transfer_logits = wide(outputs.transfer_logits)
        trans_cls = (F.cross_entropy(transfer_logits, labels, reduction="none") * new).sum() / new_rows
        if weights["trans_cls"]:
            terms["trans_cls"] = trans_cls
        active = None
        if weights["transfer"]:
            temperature = self.settings.transfer_temperature
            teacher = F.log_softmax(transfer_logits.detach() / temperature, dim=1)
            student = F.log_softmax(wide(outputs.logits)[:, old:] / temperature, dim=1)
            divergence = F.kl_div(student, teacher, reduction="none", log_target=True).sum(dim=1)
            # Decided on the device: a branch in Python would wait for it in every step.
            active = ((trans_cls < cls) & (new.sum() > 0)).to(cls.dtype).detach()
            terms["transfer"] = active * (divergence * new).sum() / new_rows
        return terms, active

    def compared(self, outputs: AgnosticOutputs) -> dict[str, tuple[Tensor, Tensor, Tensor | None]]:
        """The embeddings with themselves; from task 2 on also the predicted ones with the teacher's."""
        weights = self.loss_weights()
        pairs: dict[str, tuple[Tensor, Tensor, Tensor | None]] = {}
        if weights["contrast"]:
            pairs["contrast"] = (outputs.embeddings, outputs.embeddings, self.prototypes)
        if outputs.teacher_embeddings is not None and weights["distill"]:
            assert outputs.predicted is not None
            pairs["distill"] = (outputs.predicted, outputs.teacher_embeddings, None)
        return pairs

    def contrast(self) -> tuple[ContrastiveLoss, float] | None:
        """The loss of both branches."""
        return None if self.contrastive_loss is None else (self.contrastive_loss, self.margin)

    def contrast_networks(self) -> dict[str, nn.Module]:
        """The task-agnostic net, its projector and, from task 2 on, the predictor."""
        network = self.network
        parts = {"ta_net": network.ta_net, "projector": network.projector, "predictor": network.predictor}
        return {name: part for name, part in parts.items() if part is not None}

    def shared_parameters(self) -> list[nn.Parameter]:
        """Those of the task-agnostic net."""
        return list(self.network.ta_net.parameters())

    def frozen_backbones(self) -> Sequence[nn.Module]:
        """The task-specific nets of earlier tasks, and the teacher."""
        teacher = self.network.teacher
        return [] if teacher is None else [*self.network.ts_nets[:-1], teacher.ta_net]

    def compiled(self) -> Sequence[nn.Module]:
        """The task-agnostic net and the newest task-specific one."""
        return [self.network.ta_net, self.network.ts_nets[-1]]

    def deployed(self) -> Sequence[nn.Module]:
        """The task-specific nets and the classifier: all else is there for the training alone."""
        assert self.network.classifier is not None
        return [self.network.kept_ts_nets(), self.network.classifier]

    def loss_weights(self) -> dict[str, float]:
        """Weights by term: the bracket of contrast and distill is shared in proportion to the old classes."""
        c = self.settings
        if not self.network.old:
            return {"cls": 1.0, "contrast": c.contrast_weight}
        share = self.network.old / self.network.known
        return {
            "cls": 1.0,
            "contrast": c.contrast_weight * (1 - share),
            "aux": c.aux_weight,
            "trans_cls": c.trans_cls_weight,
            "transfer": c.transfer_weight,
            "distill": c.contrast_weight * (c.distill_weight or 0.0) * share,
        }

    def end_training(self) -> None:
        """Prune the net of the task (TagFex-P), so that exemplars, class means and evaluation are of what is kept."""
        self.network.prune()

    def end_task(self) -> None:
        """Align the new classifier rows with the old ones."""
        if self.settings.align_weights:
            self.network.align()

    def predict(self, images: Tensor) -> Prediction:
        """Classifier scores on the concatenated task-specific features."""
        assert self.network.classifier is not None
        features = self.network.features(images)
        with torch.no_grad():
            return Prediction({CLASSIFIER: wide(self.network.classifier(features))}, wide(features))

    def embed(self, images: Tensor) -> Tensor | None:
        """The task-agnostic embeddings; None where the contrastive bracket has no weight."""
        return None if self.contrastive_loss is None else self.network.embed(images)

    def remember(self, prototypes: Tensor) -> None:
        """Keep them for the next task, where the loss wants them. The embeddings of that time stay in place."""
        if self.contrastive_loss is not None and self.contrastive_loss.settings.prototypes is not Prototypes.none:
            self.prototypes = prototypes

    def similarities(self, views: Tensor) -> tuple[Tensor, Tensor] | None:
        """Of the task-agnostic embeddings; None where the contrastive bracket has no weight."""
        if self.contrastive_loss is None:
            return None
        embeddings = self.network.embed(views)
        pairs = split_pairs(cosine_matrix(embeddings, embeddings), LossSettings.of(self.config.loss).negatives)
        return pairs.positives, pairs.negatives

    def step_cost(self, task: int, computed: float = 1.0) -> float:
        """Two trained nets (three passes each), frozen nets and the teacher, all over two views."""
        return 12.0 if task == 1 else 12.0 + 2 * task * computed

    def state_dict(self) -> dict[str, Any]:
        """Network, margin state, the mean weights for the next teacher as far as they are known, and what the next
        task-specific net starts from where the last one has been pruned.
        """
        own = {"previous_gap": self.previous_gap} | self.average.state_dict()
        if self.network.unpruned is not None:
            own["unpruned"] = self.network.unpruned
        if self.prototypes is not None:
            own["prototypes"] = self.prototypes
        return super().state_dict() | own

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Strict: a missing or unexpected tensor is an error."""
        start, device = state.get("unpruned"), next(self.network.parameters()).device
        if start is not None:
            self.network.prune()  # for the shapes
            self.network.unpruned = [tensor.to(device) for tensor in start]
        super().load_state_dict(state)
        self.previous_gap = state["previous_gap"]
        self.average.load_state_dict(state)
        stored = state.get("prototypes")
        self.prototypes = None if stored is None else stored.to(device)


METHOD = TagFex
