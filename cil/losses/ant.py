"""InfoNCE with the enhanced ANT bracket: nce_alpha * InfoNCE + ant_beta * (ANT + gap_beta * gap term).

docs/losses.md says what is known about each setting.
"""

from contextlib import AbstractContextManager

import torch
from torch import Tensor

from cil.config.schema import LossConfig
from cil.losses.base import LossOutput
from cil.losses.gap import gap_term
from cil.losses.infonce import info_nce
from cil.losses.settings import LossSettings
from cil.losses.similarity import cosine_matrix, split_pairs
from cil.losses.statistics import Terms, describe
from cil.losses.violations import ant_term


class Ant:
    """InfoNCE, ANT and the gap term over one shared similarity matrix.

    A term whose weight is 0 stays out of the graph; its value is still measured.
    """

    def __init__(self, settings: LossSettings) -> None:
        self.settings = settings
        self.weights = {
            "nce": settings.nce_alpha,
            "ant": settings.ant_beta * settings.ant_term,
            "gap": settings.ant_beta * settings.gap_beta,
        }

    def __call__(self, anchors: Tensor, columns: Tensor, margin: float) -> LossOutput:
        """See cil.losses.base.ContrastiveLoss."""
        similarity = cosine_matrix(anchors, columns)
        pairs = split_pairs(similarity, self.settings.negatives)
        with self._grad("nce"):
            nce = info_nce(similarity, self.settings.temperature)
        with self._grad("ant"):
            ant = ant_term(pairs.negatives, margin, self.settings)
        with self._grad("gap"):
            gap = gap_term(pairs, self.settings.gap_target)
        parts = self._weighted({"nce": nce, "ant": ant.value, "gap": gap})
        # Without any part (a gap-only bracket of weight 0) the loss is 0 but can still be differentiated.
        loss = torch.stack(list(parts.values())).sum() if parts else 0.0 * similarity.sum()
        with torch.no_grad():
            return LossOutput(loss, describe(pairs.detach(), Terms(nce, ant, gap, loss), margin), parts)

    def _grad(self, term: str) -> AbstractContextManager[object]:
        return torch.set_grad_enabled(self.weights[term] != 0 and torch.is_grad_enabled())

    def _weighted(self, values: dict[str, Tensor]) -> dict[str, Tensor]:
        """The weighted terms. One of weight 0 is left out, not multiplied: 0 * inf would be NaN."""
        return {name: self.weights[name] * value for name, value in values.items() if self.weights[name] != 0}


def build(cfg: LossConfig) -> Ant:
    """The loss of `loss.name=ant`. Raises ConfigError for settings out of range, or if both weights are 0."""
    return Ant(LossSettings.of(cfg))
