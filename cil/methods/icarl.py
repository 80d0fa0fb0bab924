"""iCaRL: Incremental Classifier and Representation Learning (Rebuffi et al., CVPR 2017, arXiv 1611.07725)."""

from torch import Tensor

from cil.config.schema import IcarlConfig, IcarlLoss
from cil.methods.distilling import DistillingMethod, one_hot, sigmoid_cross_entropy

USES = ("memory",)
PREDICTS = "nme"
PUBLISHED = {"optimizer.inc_milestones": [80, 120]}


class ICaRL(DistillingMethod):
    """Replay with distillation. To be judged by nearest means of exemplars (nme); the classifier is a figure beside.

    loss=softmax: cross-entropy over all classes, softened cross-entropy over the old ones. loss=bce: the paper's
    equation 1, sigmoid cross-entropies with the labels as targets of new classes and the old network's outputs as
    those of old classes.
    """

    settings: IcarlConfig

    @property
    def bce(self) -> bool:
        """Whether the loss is the paper's."""
        return self.settings.loss is IcarlLoss.bce

    def classification(self, logits: Tensor, targets: Tensor) -> Tensor:
        """The term of the labels, 0-d."""
        if not self.bce:
            return super().classification(logits, targets)
        new = logits[:, self.network.old :]
        return sigmoid_cross_entropy(new, one_hot(targets, self.network.old, new.shape[1]))

    def distillation(self, logits: Tensor, teacher_logits: Tensor) -> Tensor:
        """The term of the old network's outputs, 0-d."""
        if not self.bce:
            return super().distillation(logits, teacher_logits)
        return sigmoid_cross_entropy(logits[:, : teacher_logits.shape[1]], teacher_logits.sigmoid())

    def loss_weights(self) -> dict[str, float]:
        """Distillation has a weight of its own."""
        return {"cls": 1.0, "kd": self.settings.kd_weight}


METHOD = ICaRL
