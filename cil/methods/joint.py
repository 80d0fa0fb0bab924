"""Joint training: a fresh network learns all classes so far at each task. The upper bound of every comparison."""

from collections.abc import Sequence

from torch import Tensor

from cil.data.stream import Task
from cil.methods.base import StepOutput, cross_entropy_step
from cil.methods.classifying import ClassifyingMethod
from cil.methods.phases import Phase, main_phase
from cil.models.incremental_net import ClassifierOutputs, IncrementalNet

USES = ()


class Joint(ClassifyingMethod):
    """Cross-entropy over all classes so far, on all of their images, trained like a first task."""

    all_data = True

    def begin_task(self, task: Task) -> None:
        """Start anew: nothing of the earlier tasks is kept."""
        self.network = IncrementalNet(self.config.backbone, self.stream("backbone", task.number))
        self.network.grow(task.known, self.stream("head", task.number))

    def phases(self, task: Task) -> Sequence[Phase]:
        """Every task is a first one."""
        del task
        return [main_phase(self.config, first=True)]

    def loss(self, outputs: ClassifierOutputs, targets: Tensor) -> StepOutput:
        """Cross-entropy of the softmax over all classes so far; see Method.loss."""
        return cross_entropy_step(outputs.logits, targets)


METHOD = Joint
