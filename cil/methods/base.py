"""What the training loop asks of a method, with a default for everything that most methods do not need to say.

A minimal method writes `begin_task`, `loss` and `predict`. A method holds no optimiser, no logger and no data.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cil.config.schema import RunConfig
from cil.data.stream import Task
from cil.losses.base import ContrastiveLoss, Stat
from cil.methods.heads import CLASSIFIER
from cil.methods.phases import Phase, main_phase
from cil.models.folding import FrozenForward
from cil.models.heads import wide as wide
from cil.seeding import generator


@dataclass(frozen=True)
class Term:
    """One term of a loss: its weight, and its value (0-d, with graph).

    parts: what the value is the sum of, by name, where gradients are looked at in more detail (nce, ant, gap).
    """

    weight: float
    value: Tensor
    parts: Mapping[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class StepOutput:
    """The loss of one batch and what is known about it.

    The total, the logged terms and the gradients that `tracking.gradient_share_every` looks at all come from
    `weighted`, so that they cannot disagree.
    """

    weighted: Mapping[str, Term]
    """Every term by name; a term without weight is left out."""
    stats: Mapping[str, Mapping[str, Stat]] = field(default_factory=dict)
    """What else is averaged over the epoch: group -> name -> statistic, logged as `group/name`."""
    correct: Tensor | None = None
    """bool [B]: which images the classifier got right, judged by view 1; for whoever asks."""

    @classmethod
    def joined(cls, parts: Sequence["StepOutput"], order: Iterable[str]) -> "StepOutput":
        """The output of a loss that was computed in parts, its terms in this order, by which their sum is rounded.

        Names of terms and groups of statistics occur once.
        """
        if len(parts) == 1:
            return parts[0]
        terms = {name: term for part in parts for name, term in part.weighted.items()}
        weighted = {name: terms[name] for name in order if name in terms}
        stats = {group: stats for part in parts for group, stats in part.stats.items()}
        return cls(weighted, stats, next((part.correct for part in parts if part.correct is not None), None))

    @cached_property
    def total(self) -> Tensor:
        """0-d, with graph: what is minimised."""
        return torch.stack([term.weight * term.value for term in self.weighted.values()]).sum()

    @cached_property
    def terms(self) -> dict[str, Tensor]:
        """Unweighted values, 0-d, detached."""
        return {name: term.value.detach() for name, term in self.weighted.items()}

    @property
    def parts(self) -> dict[str, tuple[float, Tensor]]:
        """(weight, value with graph) of every term, those with parts opened into them."""
        opened = {name: (t.weight, part) for t in self.weighted.values() for name, part in t.parts.items()}
        return opened | {name: (t.weight, t.value) for name, t in self.weighted.items() if not t.parts}


@dataclass(frozen=True)
class Prediction:
    """What a method says of B images in evaluation.

    scores: class scores [B, classes so far] by evaluation head; features: [B, d], for herding and nearest means.
    """

    scores: Mapping[str, Tensor]
    features: Tensor

    @property
    def logits(self) -> Tensor:
        """The classifier's scores."""
        return self.scores[CLASSIFIER]


class Method(ABC):
    """A class-incremental-learning method.

    Call order: for each task `begin_task`; for each of its phases (usually one) `begin_phase`, and for each epoch
    of it `begin_epoch`, `network`, `loss` and `end_step` for each batch, `end_epoch`; then `end_training` and, once the
    exemplars have been chosen, `end_task` and the evaluation. `predict` may be called any time in between.
    """

    network: nn.Module
    """Everything that has parameters or buffers."""
    views = 1
    """Augmented views of each image that a training step sees (1 or 2); a one-view method pays for one."""
    all_data = False
    """Train each task on all images of the classes so far, instead of the task's own and the exemplars."""
    heads: tuple[str, ...] = (CLASSIFIER,)
    """Evaluation heads that `predict` gives scores for. Nearest means of exemplars (nme) come by themselves."""

    def __init__(self, config: RunConfig) -> None:
        self.config = config
        self.run_frozen = FrozenForward.of(config.trainer)
        """How frozen networks are run in training."""

    def __init_subclass__(cls) -> None:
        """A class with a `loss` of its own is not run by the `parts` of the class it came from."""
        if "loss" in vars(cls) and "parts" not in vars(cls):
            cls.parts = Method.parts  # type: ignore[method-assign]

    @abstractmethod
    def begin_task(self, task: Task) -> None:
        """Grow for the classes of `task`."""

    def phases(self, task: Task) -> Sequence[Phase]:
        """How `task` is trained: one phase by the configuration, unless a method says otherwise."""
        return [main_phase(self.config, first=task.number == 1)]

    def begin_phase(self, number: int) -> None:
        """Get ready for phase `number` (from 0) of the task: choose what is trained, by `requires_grad`."""

    def count_images(self, counts: Sequence[int]) -> None:
        """See how many training images the present task has of each class so far, exemplars included.

        Told before the first epoch of a task, and again when a run is continued in the middle of one.
        """

    def begin_epoch(self, epoch: int, epochs: int) -> None:
        """Prepare 0-based `epoch` of the `epochs` of the present phase."""

    @abstractmethod
    def loss(self, outputs: Any, targets: Tensor) -> StepOutput:
        """Loss of a batch.

        outputs: what `network` gives for images [views * B, 3, H, W] (view 1 first), a dataclass whose tensors have
        one row for each row of the images. targets: int64 [B], positions in task order.
        """

    def parts(self, views: Tensor, targets: Tensor) -> Iterator[StepOutput]:
        """The loss of a batch, `network` included, in parts whose graphs share nothing.

        Each is back-propagated, and its memory freed, before the next one is computed. Joined they are what `loss`
        gives, and they must lead to the same gradients. A method has one part unless it says otherwise.
        """
        yield self.loss(self.network(views), targets)

    def end_step(self) -> None:
        """Correct the weights that an optimiser step has just made, without waiting for the device."""

    def end_epoch(self, means: Mapping[str, Mapping[str, float | None]]) -> None:
        """See the epoch's means of the terms (group `loss`) and of `StepOutput.stats`; None where no batch had data."""

    def end_training(self) -> None:
        """See that the last step of the task is done; the exemplars are chosen after it. Replaces tensors, like
        `end_task`.
        """

    def end_task(self) -> None:
        """Finish the present task, before it is evaluated.

        Replaces tensors instead of changing them in place: the state of the last training step stays whole
        until the evaluation is through.
        """

    @abstractmethod
    def predict(self, images: Tensor) -> Prediction:
        """Scores and features of images [B, 3, H, W]; the network is in eval mode."""

    def similarities(self, views: Tensor) -> tuple[Tensor, Tensor] | None:
        """Cosine similarities of the positive and of the negative pairs of two views [2B, 3, H, W], as the
        contrastive loss pairs them, of any shape; None without such a loss. The network is in eval mode.
        """
        return None

    def compared(self, outputs: Any) -> Mapping[str, tuple[Tensor, Tensor, Tensor | None]]:
        """What the contrastive loss of a batch compares, by the name of its term: rows and columns [2B, D], and
        prototypes [P, D], if it has some.
        """
        return {}

    def contrast(self) -> tuple[ContrastiveLoss, float] | None:
        """The contrastive loss and its margin in the present epoch; None without one."""
        return None

    def contrast_networks(self) -> Mapping[str, nn.Module]:
        """The networks that the contrastive loss trains, by name, of which `tracking.mechanism_every` tells."""
        return {}

    def embed(self, images: Tensor) -> Tensor | None:
        """What the contrastive loss compares of images [B, 3, H, W], [B, D]; None without one. In eval mode."""
        return None

    def remember(self, prototypes: Tensor) -> None:
        """See the mean embedding [C, D], of length 1, of every class so far; after a task, where there are exemplars.

        Like `end_task`, keeps the tensor instead of changing an earlier one.
        """

    def shared_parameters(self) -> list[nn.Parameter]:
        """The parameters that all loss terms are about, of which `tracking.gradient_share_every` tells."""
        return [parameter for parameter in self.network.parameters() if parameter.requires_grad]

    def frozen_backbones(self) -> Sequence[nn.Module]:
        """The backbones that are frozen in the present phase, run by `run_frozen.features` on the images themselves:
        with `augment.view_bank` each sees a view once.
        """
        return []

    def compiled(self) -> Sequence[nn.Module]:
        """What `trainer.compile` compiles in the present task: the networks that are trained."""
        return [self.network]

    def deployed(self) -> Sequence[nn.Module]:
        """What `predict` needs after the present task: the model whose size is counted beside the accuracy.

        Without teachers, projectors and heads of the training alone. Also asked of a method that has begun the task
        and all its phases but trained nothing (`memory.total_mb`): the size must already be the one after the task.
        """
        return [self.network]

    def loss_weights(self) -> dict[str, float]:
        """Weight of each loss term in the present task: total = sum of weight * term."""
        return {"cls": 1.0}

    def step_cost(self, task: int, computed: float = 1.0) -> float:
        """Cost of a training step in 1-based `task`, in forward passes of one network over one view of a batch.

        computed: share of the passes of `frozen_backbones` that are made (augment.view_bank).
        """
        del task, computed
        return 3.0

    def state_dict(self) -> dict[str, Any]:
        """Everything `load_state_dict` needs to continue, as tensors and plain values."""
        return {"network": self.network.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from `state`; `begin_task` has been called for every task so far. Strict."""
        self.network.load_state_dict(state["network"])

    def stream(self, part: str, *place: int) -> torch.Generator:
        """The generator that initialises `part`, another one for every `place` (a task, say)."""
        return generator(self.config.seed, "init", part, *place)


def classified(logits: Tensor, targets: Tensor) -> tuple[dict[str, dict[str, Stat]], Tensor]:
    """(`train/top1` in per cent over all rows, `StepOutput.correct`) of class scores [views * B, C], targets [B]."""
    rows = targets.repeat(len(logits) // len(targets))
    correct = logits.detach().argmax(dim=1) == rows
    return {"train": {"top1": Stat(100 * correct.float().mean(), len(rows))}}, correct[: len(targets)]


def cross_entropy_step(logits: Tensor, targets: Tensor, first: int = 0) -> StepOutput:
    """The step of methods that train a classifier by cross-entropy alone, over the classes from position `first` on.

    logits: [B, C]; targets: [B]. Accuracy is over all classes.
    """
    stats, correct = classified(logits, targets)
    loss = F.cross_entropy(wide(logits)[:, first:], targets - first)
    return StepOutput({"cls": Term(1.0, loss)}, stats, correct)
