"""FOSTER: Feature Boosting and Compression for CIL (Wang et al., ECCV 2022, arXiv 2204.04662)."""

from collections.abc import Sequence
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cil.config.schema import FosterConfig, RunConfig
from cil.data.stream import Task
from cil.methods.base import Method, Prediction, StepOutput, Term, classified, wide
from cil.methods.distilling import distillation
from cil.methods.heads import CLASSIFIER
from cil.methods.phases import Phase, main_phase
from cil.models.foster_net import FosterNet, FosterOutputs
from cil.models.incremental_net import IncrementalNet

USES = ("memory",)
PUBLISHED = {"optimizer.inc_weight_decay": 5e-4}
BOOSTED = "boosted"


def class_weights(counts: Tensor, beta: float) -> Tensor:
    """(1 - beta) / (1 - beta^n) for each of C classes with n images, scaled to sum C (Cui et al. 2019)."""
    weights = (1 - beta) / (1 - beta ** counts.clamp(min=1).double())
    return (weights * len(counts) / weights.sum()).float()


class Foster(Method):
    """Boosting: a branch beside the frozen old network. Compression: one network again, taught by the two.

    The compressed network is the classifier and goes on to the next task; the boosted one is an evaluation head.
    """

    heads = (CLASSIFIER, BOOSTED)
    network: FosterNet

    def __init__(self, config: RunConfig) -> None:
        super().__init__(config)
        assert isinstance(config.method, FosterConfig)
        self.settings = config.method
        self.network = FosterNet(config.backbone, self.stream("backbone"), self.run_frozen)
        self.task: Task | None = None
        self._weights: dict[float, Tensor] = {}

    def begin_task(self, task: Task) -> None:
        """Grow what task 1 trains, or put a branch beside what the last task ended with."""
        if not task.first:
            assert self.network.single is not None
            self.network.single.grow(task.size, self.stream("head", task.number))
        else:
            self.network.boost(task.size, self.stream("boosted", task.number))
        self.task = task
        self.count_images([1] * task.known)

    def phases(self, task: Task) -> Sequence[Phase]:
        """Boosting and compression, the rate falling along a cosine in each; task 1 has the former alone."""
        boosting = replace(main_phase(self.config, first=task.number == 1), cosine=True)
        epochs = max(1, round(self.settings.compression_share * boosting.epochs))
        return [boosting, replace(boosting, epochs=epochs, weight_decay=0.0)] if task.first else [boosting]

    def begin_phase(self, number: int) -> None:
        """Before compression the boosted network is aligned and frozen."""
        if number == 1:
            assert self.network.boosted is not None and self.task is not None
            if self.settings.align_weights:
                self.network.boosted.align()
            self.network.compress(self.task.size, self.stream("student", self.task.number))

    def count_images(self, counts: Sequence[int]) -> None:
        """Class weights follow from them, with values even where the network has none (forecast)."""
        betas = (self.settings.boosting_beta, self.settings.compression_beta)
        self._weights = {beta: class_weights(torch.tensor(counts, device="cpu"), beta) for beta in betas}

    def loss(self, outputs: FosterOutputs, targets: Tensor) -> StepOutput:
        """The terms of the present phase; see Method.loss."""
        logits = wide(outputs.logits)
        if outputs.teacher_logits is not None:
            values = {"compression": self._compression(logits, wide(outputs.teacher_logits))}
        elif outputs.old_logits is not None and outputs.aux_logits is not None:
            weights = self._class_weights(logits, self.settings.boosting_beta)
            values = {
                "cls": F.cross_entropy(logits / weights, targets),
                "aux": F.cross_entropy(wide(outputs.aux_logits), targets),
            }
            if self.settings.kd_weight:
                assert self.settings.temperature is not None
                values["kd"] = distillation(logits, wide(outputs.old_logits), self.settings.temperature)
        else:
            values = {"cls": F.cross_entropy(logits, targets)}
        weight_of = self.loss_weights()
        stats, correct = classified(logits, targets)
        return StepOutput({name: Term(weight_of[name], value) for name, value in values.items()}, stats, correct)

    def _compression(self, logits: Tensor, teacher_logits: Tensor) -> Tensor:
        """Cross-entropy to the teacher's probabilities, those of rarer classes raised; 0-d."""
        assert self.settings.temperature is not None
        taught = (teacher_logits / self.settings.temperature).softmax(dim=1)
        taught = taught * self._class_weights(logits, self.settings.compression_beta)
        return F.cross_entropy(logits / self.settings.temperature, taught / taught.sum(dim=1, keepdim=True))

    def _class_weights(self, logits: Tensor, beta: float) -> Tensor:
        """[C], where the logits are: moved there once a task, since a copy makes the device wait."""
        if self._weights[beta].device != logits.device:
            self._weights[beta] = self._weights[beta].to(logits.device)
        return self._weights[beta]

    def loss_weights(self) -> dict[str, float]:
        """Those of the present phase: boosting has three terms, compression one."""
        if self.network.student is not None:
            return {"compression": 1.0}
        return {"cls": 1.0, "aux": 1.0, "kd": self.settings.kd_weight} if self.network.boosted else {"cls": 1.0}

    def end_task(self) -> None:
        """Align the compressed network."""
        if self.network.student is not None and self.settings.align_weights:
            self.network.student.align()

    @torch.no_grad()
    def predict(self, images: Tensor) -> Prediction:
        """Scores of the compressed network and of the boosted one; features of the former."""
        network = self.network
        deployed = network.deployed
        own = deployed.classify(images) if isinstance(deployed, IncrementalNet) else deployed(images)
        boosted = network.boosted(images) if network.student and network.boosted else own
        scores = {CLASSIFIER: wide(own.logits), BOOSTED: wide(boosted.logits)}
        return Prediction(scores, wide(own.features))

    def frozen_backbones(self) -> Sequence[nn.Module]:
        """The network of before; in compression its branch too."""
        boosted = self.network.boosted
        if boosted is None:
            return []
        return [boosted.old.backbone, boosted.branch] if boosted.frozen else [boosted.old.backbone]

    def compiled(self) -> Sequence[nn.Module]:
        """The branch that boosts; before and after boosting the one backbone."""
        deployed = self.network.deployed
        return [deployed.backbone if isinstance(deployed, IncrementalNet) else deployed.branch]

    def deployed(self) -> Sequence[nn.Module]:
        """The compressed network: what it was taught by is needed for its head of evaluation alone."""
        return [self.network.deployed]

    def step_cost(self, task: int, computed: float = 1.0) -> float:
        """A trained net (three passes), and one frozen net in boosting, two in compression."""
        return 3.0 if task == 1 else 3.0 + 1.5 * computed


METHOD = Foster
