"""Filter pruning via geometric median (FPGM; He et al., CVPR 2019, arXiv 1811.00250) of a trained ResNet.

Of a convolution's filters those nearest to their geometric median are removed: the others can stand for them. Nothing
is trained afterwards.
"""

import copy

import torch
from torch import Tensor, nn

from cil.models.resnet import BasicBlock, ResNet


def removed_count(filters: int, ratio: float) -> int:
    """How many of a convolution's filters go: the share `ratio` of them in [0, 1), rounded down."""
    return min(int(ratio * filters + 1e-9), filters - 1)


def kept_filters(weight: Tensor, ratio: float) -> Tensor:
    """Indices, ascending, of the filters that stay; weight: [filters, ...].

    The filter that minimises the sum of Euclidean distances to all others is the one nearest to the geometric
    median: the smallest sums go, of equal ones the lower index. Computed in float64.
    """
    rows = weight.detach().flatten(1).double()
    # Not by products: those of nearly equal filters are rounded to distances of 0 and more.
    distances = torch.cdist(rows, rows, compute_mode="donot_use_mm_for_euclid_dist")
    nearest = distances.sum(dim=1).argsort(stable=True)
    return nearest[removed_count(len(rows), ratio) :].sort().values


def pruned(net: ResNet, ratio: float) -> ResNet:
    """A copy of `net` with fewer filters in the first convolution of every block; `net` stays as it is.

    What comes out of a block keeps its channels, so that shortcuts, feature width and classifier stay. The tensors
    are smaller, no masks. Works without values too (device "meta"), where only shapes count.
    """
    smaller = copy.deepcopy(net)
    for block in smaller.modules():
        if isinstance(block, BasicBlock):
            _keep(block, kept_filters(block.conv1.weight, ratio))
    return smaller


@torch.no_grad()
def _keep(block: BasicBlock, kept: Tensor) -> None:
    """Only these outputs of the first convolution, with what norms and reads them."""
    norm = block.norm1
    assert norm.running_mean is not None and norm.running_var is not None
    block.conv1.weight = nn.Parameter(block.conv1.weight[kept])
    norm.weight, norm.bias = nn.Parameter(norm.weight[kept]), nn.Parameter(norm.bias[kept])
    norm.running_mean, norm.running_var = norm.running_mean[kept], norm.running_var[kept]
    block.conv2.weight = nn.Parameter(block.conv2.weight[:, kept])
    block.conv1.out_channels = norm.num_features = block.conv2.in_channels = len(kept)
