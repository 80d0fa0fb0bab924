"""What methods with one backbone and one growing classifier share."""

import torch
from torch import Tensor, nn

from cil.config.schema import RunConfig
from cil.data.stream import Task
from cil.methods.base import Method, Prediction, wide
from cil.methods.heads import CLASSIFIER
from cil.models.incremental_net import IncrementalNet


class ClassifyingMethod(Method):
    """Grows an IncrementalNet by a head a task, and predicts with it. `loss` is left to the method."""

    network: IncrementalNet

    def __init__(self, config: RunConfig) -> None:
        super().__init__(config)
        self.network = self.make_network()

    def make_network(self) -> IncrementalNet:
        """The network at the start of the run, without a head."""
        return IncrementalNet(self.config.backbone, self.stream("backbone"))

    def begin_task(self, task: Task) -> None:
        """Add the head of the new classes."""
        self.network.grow(task.size, self.stream("head", task.number))

    def compiled(self) -> list[nn.Module]:
        """The backbone: the head changes its size from task to task."""
        return [self.network.backbone]

    def deployed(self) -> list[nn.Module]:
        """Backbone and heads, and no teacher that a method may keep in the network beside them."""
        return [self.network.backbone, self.network.heads]

    @torch.no_grad()
    def predict(self, images: Tensor) -> Prediction:
        """Classifier scores and backbone features."""
        outputs = self.network.classify(images)
        return Prediction({CLASSIFIER: wide(outputs.logits)}, wide(outputs.features))
