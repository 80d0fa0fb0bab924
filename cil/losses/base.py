"""What a contrastive loss consists of: a formula of its own, and the frame around it that all losses share.

The frame computes the similarities, asks the formula for its terms, adds them up and measures the batch. A formula
is a module of this package (cil/losses/__init__.py says how it is found).
"""

import importlib
from dataclasses import dataclass, field
from typing import Protocol

from torch import Tensor

from cil.config.schema import LossConfig
from cil.errors import ConfigError
from cil.losses import available_losses
from cil.losses.chunked import loss_in_chunks
from cil.losses.chunks import cut
from cil.losses.settings import LossSettings
from cil.losses.similarity import Comparison, compare
from cil.losses.statistics import EPOCH_MINIMUM as EPOCH_MINIMUM
from cil.losses.statistics import Stat as Stat
from cil.losses.statistics import Terms, measure
from cil.losses.statistics import weights_of as weights_of


class Formula(Protocol):
    """The part of a loss that is its own.

    It knows of no logger, epoch or task, measures nothing, keeps no state, draws no random numbers and leaves its
    input as it is.

    One whose terms are means over anchors, as far as it does not leave that to the terms of this package, says so in
    an attribute `over_anchors = True`. It can then be asked for one chunk of anchors at a time (`loss.chunk_rows`):
    `compared` has the rows of some of the images only, and the terms are the means over these.
    """

    def __call__(self, compared: Comparison) -> Terms:
        """The weighted terms whose sum is the loss, and what else it has computed on the way.

        A formula without ANT ignores `compared.margin`; one that compares images only ignores `compared.labels`.
        One that uses labels decides for itself what None means.
        """
        ...


@dataclass(frozen=True)
class LossOutput:
    """loss: 0-d tensor with gradient. stats: the statistics of the batch, by name.

    parts: the weighted terms (nce, ant, gap, repel) that the loss is the sum of, 0-d, with gradient.
    """

    loss: Tensor
    stats: dict[str, Stat]
    parts: dict[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class ContrastiveLoss:
    """A formula in its frame: a loss over two views, with statistics. Keeps no state, draws no random numbers."""

    formula: Formula
    settings: LossSettings

    def __call__(
        self,
        anchors: Tensor,
        columns: Tensor,
        margin: float,
        labels: Tensor | None = None,
        prototypes: Tensor | None = None,
    ) -> LossOutput:
        """The loss of the rows `anchors` [2B, D] against `columns` [2B, D].

        View 1 lies in rows 0..B-1, view 2 in rows B..2B-1, in the same order of images. `margin` is the ANT margin
        of the epoch; a loss without ANT uses it for the statistics only. `labels`, int64 [B], are the classes of
        the images in task order, None if unknown. `prototypes`, [P, D], are mean embeddings of the classes 0..P-1.

        Raises ValueError if the shapes are not two equal, even numbers of rows, and one label for each image.
        """
        if self.settings.chunk_rows is not None and len(anchors) > self.settings.chunk_rows:
            chunks = cut(anchors, columns, margin, self.settings, labels, prototypes)
            return LossOutput(*loss_in_chunks(self.formula, chunks))
        compared = compare(anchors, columns, self.settings.negatives, margin, labels, prototypes)
        terms = self.formula(compared)
        loss = terms.total(compared)
        return LossOutput(loss, measure(compared, terms, loss, self.settings), terms.parts)


def make_loss(cfg: LossConfig) -> ContrastiveLoss:
    """The loss that `cfg.name` names, its formula built by the `build` of its module.

    Raises ConfigError if there is no such module, or if its settings cannot be used.
    """
    names = available_losses()
    if cfg.name not in names:
        raise ConfigError(f"loss.name: no loss is called {cfg.name!r}; valid: {', '.join(names)}")
    formula: Formula = importlib.import_module(f"cil.losses.{cfg.name}").build(cfg)
    if cfg.chunk_rows is not None and not getattr(formula, "over_anchors", False):
        raise ConfigError(f"loss.chunk_rows: loss={cfg.name} is not made for chunks of anchors; valid: null")
    return ContrastiveLoss(formula, LossSettings.of(cfg))
