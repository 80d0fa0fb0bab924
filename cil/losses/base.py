"""What every contrastive loss takes and returns, and how one is made from its configuration."""

import importlib
from dataclasses import dataclass, field
from typing import Protocol

from torch import Tensor

from cil.config.schema import LossConfig
from cil.errors import ConfigError
from cil.losses import available_losses

EPOCH_MINIMUM = frozenset({"hard_gap_min"})
"""Statistics whose epoch value is the minimum over batches; every other one is a weighted mean."""


@dataclass(frozen=True)
class Stat:
    """One statistic of one batch. Its epoch value is sum(value * weight) / sum(weight), see EPOCH_MINIMUM.

    value: 0-d tensor without gradient, on the device of the batch.
    weight: number or 0-d tensor; 0 if the batch has no data for the statistic (the value is then ignored).
    """

    value: Tensor
    weight: float | Tensor


@dataclass(frozen=True)
class LossOutput:
    """loss: 0-d tensor with gradient. stats: the statistics of the batch, by name.

    parts: the weighted terms (nce, ant, gap) that the loss is the sum of, 0-d, with gradient.
    """

    loss: Tensor
    stats: dict[str, Stat]
    parts: dict[str, Tensor] = field(default_factory=dict)


class ContrastiveLoss(Protocol):
    """A loss over two views. It knows of no logger, epoch or task, keeps no state and draws no random numbers."""

    def __call__(self, anchors: Tensor, columns: Tensor, margin: float) -> LossOutput:
        """The loss of the rows `anchors` [2B, D] against `columns` [2B, D].

        View 1 lies in rows 0..B-1, view 2 in rows B..2B-1, in the same order of images. `margin` is the ANT margin
        of the epoch; a loss without ANT uses it for the statistics only.

        Raises ValueError if the shapes are not two equal, even numbers of rows.
        """
        ...


def make_loss(cfg: LossConfig) -> ContrastiveLoss:
    """The loss that `cfg.name` names, built by the `build` of its module.

    Raises ConfigError if there is no such module, or if its settings cannot be used.
    """
    names = available_losses()
    if cfg.name not in names:
        raise ConfigError(f"loss.name: no loss is called {cfg.name!r}; valid: {', '.join(names)}")
    loss: ContrastiveLoss = importlib.import_module(f"cil.losses.{cfg.name}").build(cfg)
    return loss
