"""TagFex: Task-Agnostic Guided Feature Expansion (CVPR 2025, arXiv 2503.00823)."""

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cil.config.schema import RunConfig, TagFexConfig
from cil.data.stream import Task
from cil.losses.base import Stat, make_loss
from cil.losses.margins import MarginSchedule
from cil.losses.settings import LossSettings
from cil.losses.similarity import cosine_matrix, split_pairs
from cil.methods.base import Prediction, StepOutput
from cil.models.tagfex_net import TagFexNet, TrainOutputs
from cil.seeding import generator


class TagFex:
    """The TagFex objective around a TagFexNet; the contrastive loss is swappable (conf/loss)."""

    def __init__(self, config: RunConfig) -> None:
        assert isinstance(config.method, TagFexConfig)
        self.config = config.method
        self.seed = config.seed
        self.loss_config = config.loss
        self.contrastive_loss = make_loss(config.loss)
        self.schedule = MarginSchedule(config.margin_schedule, config.ant_margin)
        self.network = TagFexNet(config.backbone, config.method, lambda part: generator(self.seed, "init", part))
        self.compile = config.trainer.compile
        self.task: Task | None = None
        self.margin = 0.0
        self.previous_gap: float | None = None

    def begin_task(self, task: Task) -> None:
        """Grow the network; the gap of an earlier task does not cap this one's margin."""
        self.task = task
        self.network.grow(task.size, lambda part: generator(self.seed, "init", part, task.number))
        self.previous_gap = None
        if self.compile:
            # What was compiled for smaller networks, or an earlier job, must not use up the limit of recompilations.
            torch.compiler.reset()
            for net in (self.network.ta_net, self.network.ts_nets[-1]):
                net.compile()

    def begin_epoch(self, epoch: int, epochs: int) -> None:
        """Set the margin of this epoch."""
        self.margin = self.schedule.margin(epoch, epochs, self.previous_gap)

    def end_epoch(self, metrics: Mapping[str, float | None]) -> None:
        """Remember the gap: a schedule may cap the next epoch's margin by it."""
        self.previous_gap = metrics.get("contrast/gap")

    def loss(self, outputs: TrainOutputs, targets: Tensor) -> StepOutput:
        """All loss terms of a batch; see Method.loss."""
        rows = targets.repeat(2)
        weights = self.loss_weights()
        terms: dict[str, Tensor] = {"cls": F.cross_entropy(_wide(outputs.logits), rows)}
        stats: dict[str, Stat] = {}
        opened: dict[str, Tensor] = {}
        if weights["contrast"]:
            contrast = self.contrastive_loss(outputs.embeddings, outputs.embeddings, self.margin, targets)
            terms["contrast"], opened = contrast.loss, contrast.parts
            stats |= {f"contrast/{name}": stat for name, stat in contrast.stats.items()}
        if outputs.teacher_embeddings is not None:
            terms |= self._expansion_terms(outputs, rows, terms["cls"], weights)
            if weights["distill"]:
                assert outputs.predicted is not None
                distill = self.contrastive_loss(outputs.predicted, outputs.teacher_embeddings, self.margin, targets)
                terms["distill"] = distill.loss
                stats |= {f"distill/{name}": stat for name, stat in distill.stats.items()}
        if "transfer_active" in terms:
            stats["loss/transfer_active"] = Stat(terms.pop("transfer_active"), 1)
        total = torch.stack([weights[name] * term for name, term in terms.items()]).sum()
        correct = (outputs.logits.detach().argmax(dim=1) == rows).float().mean()
        stats["train/top1"] = Stat(100 * correct, len(rows))
        parts = {name: (weights["contrast"], part) for name, part in opened.items()}
        parts |= {name: (weights[name], term) for name, term in terms.items() if name != "contrast"}
        return StepOutput(total, {name: term.detach() for name, term in terms.items()}, stats, parts)

    def _expansion_terms(
        self, outputs: TrainOutputs, rows: Tensor, cls: Tensor, weights: dict[str, float]
    ) -> dict[str, Tensor]:
        """The terms that exist from task 2 on, contrastive distillation aside."""
        assert outputs.aux_logits is not None and outputs.transfer_logits is not None
        old = self.network.old
        new = (rows >= old).to(cls.dtype)
        new_rows = new.sum().clamp(min=1)
        labels = (rows - old).clamp(min=0)
        terms: dict[str, Tensor] = {}
        if weights["aux"]:
            terms["aux"] = F.cross_entropy(_wide(outputs.aux_logits), (rows - old + 1).clamp(min=0))
        if not (weights["trans_cls"] or weights["transfer"]):
            return terms
        transfer_logits = _wide(outputs.transfer_logits)
        trans_cls = (F.cross_entropy(transfer_logits, labels, reduction="none") * new).sum() / new_rows
        if weights["trans_cls"]:
            terms["trans_cls"] = trans_cls
        if weights["transfer"]:
            temperature = self.config.transfer_temperature
            teacher = F.log_softmax(transfer_logits.detach() / temperature, dim=1)
            student = F.log_softmax(_wide(outputs.logits)[:, old:] / temperature, dim=1)
            divergence = F.kl_div(student, teacher, reduction="none", log_target=True).sum(dim=1)
            # Decided on the device: a branch in Python would wait for it in every step.
            active = ((trans_cls < cls) & (new.sum() > 0)).to(cls.dtype).detach()
            terms["transfer"] = active * (divergence * new).sum() / new_rows
            terms["transfer_active"] = active
        return terms

    def shared_parameters(self) -> list[nn.Parameter]:
        """Those of the task-agnostic net."""
        return list(self.network.ta_net.parameters())

    def loss_weights(self) -> dict[str, float]:
        """Weights by term: the bracket of contrast and distill is shared in proportion to the old classes."""
        c = self.config
        if not self.network.old:
            return {"cls": 1.0, "contrast": c.contrast_weight}
        share = self.network.old / self.network.known
        return {
            "cls": 1.0,
            "aux": c.aux_weight,
            "contrast": c.contrast_weight * (1 - share),
            "distill": c.contrast_weight * c.distill_weight * share,
            "trans_cls": c.trans_cls_weight,
            "transfer": c.transfer_weight,
        }

    def end_task(self) -> None:
        """Align the new classifier rows with the old ones."""
        if self.config.align_weights:
            self.network.align()

    def predict(self, images: Tensor) -> Prediction:
        """Classifier scores on the concatenated task-specific features."""
        assert self.network.classifier is not None
        features = self.network.features(images)
        with torch.no_grad():
            return Prediction(_wide(self.network.classifier(features)), _wide(features))

    def similarities(self, views: Tensor) -> tuple[Tensor, Tensor]:
        """Of the task-agnostic embeddings."""
        embeddings = self.network.embed(views)
        pairs = split_pairs(cosine_matrix(embeddings, embeddings), LossSettings.of(self.loss_config).negatives)
        return pairs.positives, pairs.negatives

    def step_cost(self, task: int) -> float:
        """In units of one forward pass: two trained nets (three passes each), frozen nets and the teacher."""
        return 6.0 if task == 1 else 6.0 + task

    def state_dict(self) -> dict[str, Any]:
        """Network and margin state."""
        return {"network": self.network.state_dict(), "previous_gap": self.previous_gap}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Strict: a missing or unexpected tensor is an error."""
        self.network.load_state_dict(state["network"])
        self.previous_gap = state["previous_gap"]


def _wide(logits: Tensor) -> Tensor:
    """Half precision widened to float32 for the losses."""
    return logits.float() if logits.dtype in (torch.float16, torch.bfloat16) else logits


METHOD = TagFex
