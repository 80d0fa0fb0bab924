"""The InfoNCE term (van den Oord et al. 2018, arXiv 1807.03748; as in SimCLR, Chen et al. 2020, arXiv 2002.05709)."""

import torch
from torch import Tensor


def info_nce(similarity: Tensor, temperature: float, further: Tensor | None = None) -> Tensor:
    """mean_i [ -s_{i,pos}/t + logsumexp_{j != i} s_ij/t ] of a matrix [2B, 2B], 0-d; 0 for one image.

    The positive of row i is column (i + B) mod 2B; column i is left out. further: similarities [2B, P] to other
    negatives, which join the sum; -inf for one that is none.
    """
    batch = len(similarity) // 2
    logits = (similarity / temperature).fill_diagonal_(-torch.inf)
    positives = (similarity.diagonal(batch).mean() + similarity.diagonal(-batch).mean()) / (2 * temperature)
    if further is not None:
        logits = torch.cat([logits, further / temperature], dim=1)
    return logits.logsumexp(1).mean() - positives
