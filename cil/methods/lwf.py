"""LwF: Learning without Forgetting (Li and Hoiem, ECCV 2016, arXiv 1606.09282). Distillation, and no memory."""

import torch.nn.functional as F
from torch import Tensor

from cil.config.schema import LwfConfig
from cil.methods.distilling import DistillingMethod

USES = ()
PUBLISHED = {
    "trainer.inc_epochs": 250,
    "optimizer.init_milestones": [60, 120, 160],
    "optimizer.inc_milestones": [60, 120, 180, 220],
}


class LwF(DistillingMethod):
    """Cross-entropy over the new classes alone, and distillation over the old ones, on the new images.

    Made for tasks that are known in the test; here one classifier over all classes decides.
    """

    settings: LwfConfig

    def classification(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Cross-entropy of the softmax over the new classes, 0-d."""
        return F.cross_entropy(logits[:, self.network.old :], targets - self.network.old)

    def loss_weights(self) -> dict[str, float]:
        """Distillation has a weight of its own."""
        return {"cls": 1.0, "kd": self.settings.kd_weight}


METHOD = LwF
