"""Herding: which images of a class represent it (Rebuffi et al., iCaRL, CVPR 2017, algorithm 4)."""

import torch
from torch import Tensor
from torch.nn import functional

_TIE = 1e-12
"""Distances closer than this (squared, up to a constant) count as equal: far above the rounding of float64, far
below the differences that float32 features can show. Equal images tie exactly, whatever order BLAS sums in."""


@torch.no_grad()
def herd(features: Tensor, count: int) -> Tensor:
    """Indices int64 [min(count, N)] of the images that represent a class, the most important first.

    features: [N, d], rows L2-normalised. Greedy and without replacement: pick k is argmin_x |mu - (S + x)/k| with mu
    the mean of all rows (not normalised again) and S the sum of those picked before; the lowest index on ties.
    In float64. As |k mu - S - x|^2 = |x|^2 - 2 x.r + |r|^2 with r = k mu - S, a pick costs one matrix-vector
    product; nothing waits for the device but one check at the start. Raises ValueError if a feature is not finite.
    """
    if not bool(torch.isfinite(features).all()):
        raise ValueError("herding: a feature is not finite")
    x_nd = features.to(torch.float64)
    rows = len(x_nd)
    count = max(0, min(count, rows))
    picked = torch.empty(count, dtype=torch.int64, device=features.device)
    if count == 0:
        return picked
    index_n = torch.arange(rows, device=features.device)
    squares_n = (x_nd * x_nd).sum(dim=1)  # becomes infinite for picked rows
    mean_d = x_nd.mean(dim=0)
    residual_d = mean_d.clone()
    for k in range(count):
        distance_n = squares_n - 2 * (x_nd @ residual_d)
        nearest = torch.where(distance_n <= distance_n.min() + _TIE, index_n, rows).min().reshape(1)
        picked[k : k + 1] = nearest
        squares_n.index_fill_(0, nearest, torch.inf)
        residual_d += mean_d - x_nd.index_select(0, nearest)[0]
    return picked


@torch.no_grad()
def class_mean(features: Tensor) -> Tensor:
    """The normalised mean [d] of rows [N, d], in the dtype of `features` (zero if the rows cancel out)."""
    return functional.normalize(features.to(torch.float64).mean(dim=0), dim=0).to(features.dtype)
