"""InfoNCE (van den Oord et al. 2018, arXiv 1807.03748; in the form of SimCLR, Chen et al. 2020, arXiv 2002.05709)."""

import torch
from torch import Tensor

from cil.config.schema import LossConfig
from cil.errors import ConfigError
from cil.losses.base import LossOutput
from cil.losses.gap import gap_term
from cil.losses.settings import LossSettings
from cil.losses.similarity import cosine_matrix, split_pairs
from cil.losses.statistics import Terms, describe
from cil.losses.violations import ant_term


def info_nce(similarity: Tensor, temperature: float) -> Tensor:
    """mean_i [ -s_{i,pos}/t + logsumexp_{j != i} s_ij/t ] of a matrix [2B, 2B], 0-d; 0 for one image.

    The positive of row i is column (i + B) mod 2B; column i is left out.
    """
    batch = len(similarity) // 2
    logits = (similarity / temperature).fill_diagonal_(-torch.inf)
    positives = (similarity.diagonal(batch).mean() + similarity.diagonal(-batch).mean()) / (2 * temperature)
    return logits.logsumexp(1).mean() - positives


class InfoNCE:
    """InfoNCE alone. ANT and the gap are measured for the statistics, never differentiated.

    Keys of LossConfig: temperature, nce_alpha. The others only say what is measured; null means their default.
    """

    def __init__(self, settings: LossSettings) -> None:
        self.settings = settings

    def __call__(self, anchors: Tensor, columns: Tensor, margin: float) -> LossOutput:
        """See cil.losses.base.ContrastiveLoss; `margin` is the probe of the statistics."""
        similarity = cosine_matrix(anchors, columns)
        nce = info_nce(similarity, self.settings.temperature)
        loss = self.settings.nce_alpha * nce
        with torch.no_grad():
            pairs = split_pairs(similarity, self.settings.negatives)
            ant = ant_term(pairs.negatives, margin, self.settings)
            terms = Terms(nce, ant, gap_term(pairs, self.settings.gap_target), loss)
            return LossOutput(loss, describe(pairs, terms, margin), {"nce": loss})


def build(cfg: LossConfig) -> InfoNCE:
    """The loss of `loss.name=infonce`. Raises ConfigError for settings out of range, or for a weight of 0."""
    settings = LossSettings.of(cfg)
    if settings.nce_alpha == 0:
        raise ConfigError("loss.nce_alpha: must be greater than 0 with loss=infonce, which has no other term")
    return InfoNCE(settings)
