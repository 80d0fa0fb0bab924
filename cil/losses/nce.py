"""The InfoNCE term (van den Oord et al. 2018, arXiv 1807.03748; as in SimCLR, Chen et al. 2020, arXiv 2002.05709)."""

import torch
from torch import Tensor

from cil.losses.similarity import mask_self, positive_diagonals


def info_nce(similarity: Tensor, temperature: float, further: Tensor | None = None, first: int = 0) -> Tensor:
    """mean_i [ -s_{i,pos}/t + logsumexp_{j != i} s_ij/t ] of a matrix [2B, 2B], 0-d; 0 for one image.

    The positive of row i is column (i + B) mod 2B; column i is left out. further: similarities [2B, P] to other
    negatives, which join the sum; -inf for one that is none. Of the rows [2A, 2B] of A images from the `first` one on:
    the mean over these rows.
    """
    logits = mask_self(similarity / temperature, first)
    first_view, second_view = positive_diagonals(similarity, first)
    positives = (first_view.mean() + second_view.mean()) / (2 * temperature)
    if further is not None:
        logits = torch.cat([logits, further / temperature], dim=1)
    return logits.logsumexp(1).mean() - positives
