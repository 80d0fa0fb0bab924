"""What DER and MEMO share: a new branch a task, one classifier over all of them, and an auxiliary head."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cil.config.schema import ExpandingConfig, RunConfig
from cil.data.stream import Task
from cil.methods.base import Method, Prediction, StepOutput, Term, classified, wide
from cil.methods.heads import CLASSIFIER
from cil.models.expanding_net import ExpandingNet, ExpandingOutputs


class ExpandingMethod(Method):
    """Cross-entropy of the classifier over all branches, and of the auxiliary head on the newest one."""

    network: ExpandingNet
    shared = False
    """Whether the branches share all stages but the last."""

    def __init__(self, config: RunConfig) -> None:
        super().__init__(config)
        assert isinstance(config.method, ExpandingConfig)
        self.settings = config.method
        self.network = ExpandingNet(config.backbone, self.shared, self.stream("backbone"), self.run_frozen)

    def begin_task(self, task: Task) -> None:
        """Add a branch, and grow the classifier."""
        self.network.grow(task.size, self.stream("head", task.number), self.stream("aux_head", task.number))

    def loss(self, outputs: ExpandingOutputs, targets: Tensor) -> StepOutput:
        """Both terms; see Method.loss. To the auxiliary head all old classes are one, the first."""
        logits, weights = wide(outputs.logits), self.loss_weights()
        values = {"cls": F.cross_entropy(logits, targets)}
        if outputs.aux_logits is not None and weights["aux"]:
            among_new = (targets - self.network.old + 1).clamp(min=0)
            values["aux"] = F.cross_entropy(wide(outputs.aux_logits), among_new)
        stats, correct = classified(logits, targets)
        return StepOutput({name: Term(weights[name], value) for name, value in values.items()}, stats, correct)

    def loss_weights(self) -> dict[str, float]:
        """The auxiliary head's counts from task 2 on."""
        return {"cls": 1.0, "aux": self.settings.aux_weight} if self.network.old else {"cls": 1.0}

    def end_task(self) -> None:
        """Align the new classifier rows with the old ones."""
        if self.settings.align_weights:
            self.network.align()

    @torch.no_grad()
    def predict(self, images: Tensor) -> Prediction:
        """Classifier scores, and the features of all branches."""
        outputs = self.network.classify(images)
        return Prediction({CLASSIFIER: wide(outputs.logits)}, wide(outputs.features))

    def frozen_backbones(self) -> Sequence[nn.Module]:
        """The branches of earlier tasks, unless a trunk goes on training below them."""
        return [] if self.shared else list(self.network.branches[:-1])

    def compiled(self) -> Sequence[nn.Module]:
        """The newest branch."""
        return [self.network.branches[-1]]

    def deployed(self) -> Sequence[nn.Module]:
        """All branches with what is below and above them; not the auxiliary head."""
        assert self.network.classifier is not None
        return [self.network.trunk, self.network.branches, self.network.classifier]

    def step_cost(self, task: int, computed: float = 1.0) -> float:
        """The newest branch (three passes) and the frozen ones."""
        return 3.0 + (task - 1) * computed
