"""What the training loop asks of a method. A method holds no optimiser, no logger and no data."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from torch import Tensor, nn

from cil.data.stream import Task
from cil.losses.base import Stat


@dataclass(frozen=True)
class StepOutput:
    """The loss of one batch and what is known about it."""

    total: Tensor
    """0-d, with graph: what is minimised."""
    terms: dict[str, Tensor]
    """Unweighted loss terms, 0-d, detached."""
    stats: dict[str, Stat]
    """Everything else to be averaged over the epoch, by TensorBoard tag."""
    parts: dict[str, tuple[float, Tensor]] = field(default_factory=dict)
    """(weight, term with graph) of every part of the total, the contrastive bracket opened into nce, ant and gap."""


@dataclass(frozen=True)
class Prediction:
    """Class scores [B, classes so far] and features [B, d] of images in evaluation."""

    logits: Tensor
    features: Tensor


class Method(Protocol):
    """A class-incremental-learning method.

    Call order: for each task `begin_task`, then for each epoch `begin_epoch`, `network` and `loss` for each batch
    and `end_epoch`, then `end_task`; `predict` any time in between. Constructed from a RunConfig.
    """

    network: nn.Module
    """Everything that has parameters or buffers."""

    def begin_task(self, task: Task) -> None:
        """Grow for the classes of `task`."""

    def begin_epoch(self, epoch: int, epochs: int) -> None:
        """Prepare 0-based `epoch` of `epochs` of the present task."""

    def loss(self, outputs: Any, targets: Tensor) -> StepOutput:
        """Loss of a batch: what `network` gives for views [2B, 3, H, W] (view 1 first), and targets [B] in task order.

        outputs: a dataclass whose tensors have one row for each row of the views.
        """

    def end_epoch(self, metrics: Mapping[str, float | None]) -> None:
        """See the epoch's means, by TensorBoard tag."""

    def end_task(self) -> None:
        """Finish the present task, before it is evaluated.

        Replaces tensors instead of changing them in place: the state of the last training step stays whole
        until the evaluation is through.
        """

    def predict(self, images: Tensor) -> Prediction:
        """Scores and features of images [B, 3, H, W]; the network is in eval mode."""

    def similarities(self, views: Tensor) -> tuple[Tensor, Tensor] | None:
        """Cosine similarities of the positive and of the negative pairs of two views [2B, 3, H, W], as the
        contrastive loss pairs them, of any shape; None without such a loss. The network is in eval mode.
        """

    def shared_parameters(self) -> list[nn.Parameter]:
        """The parameters that all loss terms are about, of which `tracking.gradient_share_every` tells."""

    def loss_weights(self) -> dict[str, float]:
        """Weight of each loss term in the present task: total = sum of weight * term."""

    def step_cost(self, task: int) -> float:
        """Relative cost of a training step in 1-based `task`, for the forecast of the time left."""

    def state_dict(self) -> dict[str, Any]:
        """Everything `load_state_dict` needs to continue, as tensors and plain values."""

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from `state`; `begin_task` has been called for every task so far."""
