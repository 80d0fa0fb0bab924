"""BiC: Large Scale Incremental Learning (Wu et al., CVPR 2019, arXiv 1905.13260)."""

from collections.abc import Sequence
from dataclasses import replace

from torch import Tensor, nn

from cil.config.schema import BicConfig
from cil.data.stream import Task
from cil.methods.base import StepOutput, cross_entropy_step
from cil.methods.distilling import DistillingMethod
from cil.methods.phases import Phase, kept_apart, main_phase
from cil.models.corrected_net import CorrectedNet
from cil.models.distilling_net import DistillingOutputs

USES = ("memory",)
PUBLISHED = {
    "trainer.init_epochs": 170,
    "optimizer.init_milestones": [60, 100, 140],
    "optimizer.inc_milestones": [60, 100, 140],
    "optimizer.init_weight_decay": 2e-4,
}


class BiC(DistillingMethod):
    """Replay with distillation, then a correction alpha q + beta of the new classes' logits on images held out for it.

    Corrections of earlier tasks stay as they are and go on acting: in training, in the teacher and in the test.
    """

    network: CorrectedNet
    settings: BicConfig

    def make_network(self) -> CorrectedNet:
        """A network with corrections."""
        return CorrectedNet(self.config.backbone, self.stream("backbone"), self.run_frozen)

    def phases(self, task: Task) -> Sequence[Phase]:
        """Train on the one part, correct on the other; in the first task there is nothing to correct."""
        main = main_phase(self.config, first=task.number == 1)
        if not task.first:
            return [main]
        train, held = kept_apart(task.first, self.settings.holdout)
        # Two numbers are no weights to be decayed.
        return [replace(main, select=train), replace(main, select=held, weight_decay=0.0)]

    def deployed(self) -> list[nn.Module]:
        """Backbone, heads and corrections."""
        return [*super().deployed(), self.network.corrections]

    def frozen_backbones(self) -> Sequence[nn.Module]:
        """The teacher, which a correction is trained without."""
        return [] if self.network.correcting else super().frozen_backbones()

    def begin_phase(self, number: int) -> None:
        """Choose what is trained."""
        self.network.correct(number == 1)

    def loss(self, outputs: DistillingOutputs, targets: Tensor) -> StepOutput:
        """Phase 1: as in WA. Phase 2: cross-entropy of the corrected logits."""
        if self.network.correcting:
            return cross_entropy_step(outputs.logits, targets)
        return super().loss(outputs, targets)

    def loss_weights(self) -> dict[str, float]:
        """Phase 1: (1 - lambda) and lambda, the share of old classes."""
        if self.network.correcting:
            return {"cls": 1.0}
        return {"cls": 1 - self.old_share(), "kd": self.old_share()}


METHOD = BiC
