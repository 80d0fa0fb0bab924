"""Replay: the exemplars of old classes are trained with like the new images. The simplest use of a memory."""

from torch import Tensor

from cil.methods.base import StepOutput, cross_entropy_step
from cil.methods.classifying import ClassifyingMethod
from cil.models.incremental_net import ClassifierOutputs

USES = ("memory",)
PUBLISHED = {"trainer.inc_epochs": 70, "optimizer.inc_milestones": [30, 50]}


class Replay(ClassifyingMethod):
    """Cross-entropy over all classes so far, on the new images and the exemplars."""

    def loss(self, outputs: ClassifierOutputs, targets: Tensor) -> StepOutput:
        """Cross-entropy of the softmax over all classes so far; see Method.loss."""
        return cross_entropy_step(outputs.logits, targets)


METHOD = Replay
