"""WA: Maintaining Discrimination and Fairness in CIL (Zhao et al., CVPR 2020, arXiv 1911.07053)."""

import torch

from cil.config.schema import WaConfig
from cil.methods.distilling import DistillingMethod

USES = ("memory",)
PUBLISHED = {"optimizer.inc_milestones": [60, 100, 140]}


class WA(DistillingMethod):
    """Replay with distillation that counts by the share of old classes; new classifier rows are aligned after a task.

    The aligned network is the one that is tested, and the next teacher.
    """

    settings: WaConfig

    def loss_weights(self) -> dict[str, float]:
        """(1 - lambda) and lambda, the share of old classes."""
        return {"cls": 1 - self.old_share(), "kd": self.old_share()}

    @torch.no_grad()
    def end_step(self) -> None:
        """Clip the classifier's weights at 0 (clip=true), so that a norm means the same for every class."""
        if self.settings.clip:
            for head in self.network.heads:
                head.get_parameter("weight").clamp_(min=0)

    def end_task(self) -> None:
        """Align the new classifier rows with the old ones."""
        if self.settings.align_weights:
            self.network.align()


METHOD = WA
