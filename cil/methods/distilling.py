"""What methods share that distil from the network as it was before the task (Li and Hoiem 2016)."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cil.config.schema import DistillingConfig, RunConfig
from cil.methods.base import StepOutput, Term, classified, wide
from cil.methods.classifying import ClassifyingMethod
from cil.models.distilling_net import DistillingNet, DistillingOutputs


def distillation(logits: Tensor, teacher_logits: Tensor, temperature: float) -> Tensor:
    """Cross-entropy of softened outputs: logits [B, C] against teacher_logits [B, K], over the K old classes; 0-d.

    -mean over the batch of sum_c softmax(teacher / T)_c log softmax(logits[:K] / T)_c. Without the factor T^2, and
    without the teacher's entropy taken away: its least value is above 0.
    """
    known = logits[:, : teacher_logits.shape[1]]
    return F.cross_entropy(known / temperature, (teacher_logits / temperature).softmax(dim=1))


class DistillingMethod(ClassifyingMethod):
    """Classification plus distillation from the old network, weighted by `loss_weights`."""

    network: DistillingNet

    def __init__(self, config: RunConfig) -> None:
        super().__init__(config)
        assert isinstance(config.method, DistillingConfig)
        self.settings: DistillingConfig = config.method

    def make_network(self) -> DistillingNet:
        """A network with a teacher."""
        return DistillingNet(self.config.backbone, self.stream("backbone"), self.run_frozen)

    def loss(self, outputs: DistillingOutputs, targets: Tensor) -> StepOutput:
        """Both terms; see Method.loss. A term without weight is left out."""
        logits, teacher = wide(outputs.logits), outputs.teacher_logits
        weights = self.loss_weights()
        values = {"cls": self.classification(logits, targets)}
        if teacher is not None and weights["kd"]:
            values["kd"] = self.distillation(logits, wide(teacher))
        terms = {name: Term(weights[name], value) for name, value in values.items()}
        stats, correct = classified(logits, targets)
        return StepOutput(terms, stats, correct)

    def classification(self, logits: Tensor, targets: Tensor) -> Tensor:
        """The term `cls` of logits [B, C] and targets [B], 0-d: cross-entropy over all classes so far."""
        return F.cross_entropy(logits, targets)

    def distillation(self, logits: Tensor, teacher_logits: Tensor) -> Tensor:
        """The term `kd` of logits [B, C] and teacher_logits [B, K], 0-d."""
        assert self.settings.temperature is not None
        return distillation(logits, teacher_logits, self.settings.temperature)

    def old_share(self) -> float:
        """lambda = K / C, the share of old classes: by it WA and BiC weigh what is to be kept against what is new."""
        return self.network.old / self.network.known

    def frozen_backbones(self) -> Sequence[nn.Module]:
        """The teacher."""
        return [] if self.network.teacher is None else [self.network.teacher.backbone]

    def step_cost(self, task: int, computed: float = 1.0) -> float:
        """A trained net (three passes) and the teacher."""
        return 3.0 if task == 1 else 3.0 + computed


def sigmoid_cross_entropy(logits: Tensor, shares: Tensor) -> Tensor:
    """Binary cross-entropies of logits [B, k] against shares [B, k]: sum over classes, mean over the batch; 0-d."""
    return F.binary_cross_entropy_with_logits(logits, shares, reduction="sum") / len(logits)


def one_hot(targets: Tensor, first: int, classes: int) -> Tensor:
    """float32 [B, classes]: 1 where the target is class `first` + column."""
    return (targets[:, None] == torch.arange(first, first + classes, device=targets.device)).float()
