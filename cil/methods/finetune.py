"""Fine-tuning: each task is learned as if there had been no other. The lower bound of every comparison."""

from torch import Tensor

from cil.data.stream import Task
from cil.methods.base import StepOutput, cross_entropy_step
from cil.methods.classifying import ClassifyingMethod
from cil.models.incremental_net import ClassifierOutputs

USES = ()
PUBLISHED = {"trainer.inc_epochs": 80, "optimizer.inc_milestones": [40, 70]}


class Finetune(ClassifyingMethod):
    """Cross-entropy over the new classes alone, on their images alone.

    The rows of old classes stay as they are: they get no gradient, and weight decay must not shrink them either (in
    PyCIL it does, a known fault of it).
    """

    def begin_task(self, task: Task) -> None:
        """Freeze the heads of earlier tasks."""
        super().begin_task(task)
        for head in self.network.heads[:-1]:
            head.requires_grad_(False)

    def loss(self, outputs: ClassifierOutputs, targets: Tensor) -> StepOutput:
        """Cross-entropy of the softmax over the new classes; see Method.loss."""
        return cross_entropy_step(outputs.logits, targets, first=self.network.old)


METHOD = Finetune
