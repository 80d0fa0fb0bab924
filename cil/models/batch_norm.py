"""Batch normalisation over the whole batch, wherever its rows are."""

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from cil.distributed.ranks import processes


class BatchNorm2d(nn.BatchNorm2d):
    """PyTorch's, and over the rows of all processes where several work on one batch.

    torch.nn.SyncBatchNorm does the same on GPUs only. Parameters, buffers and formula stay (Ioffe and Szegedy 2015).
    """

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> the same shape. In training mode the statistics are those of all processes' rows."""
        if not self.training or processes() == 1:
            return super().forward(x)
        assert self.running_mean is not None and self.running_var is not None and self.momentum is not None
        y, mean, variance, count = _WholeBatch.apply(x, self.weight, self.bias, self.eps)
        with torch.no_grad():
            assert self.num_batches_tracked is not None
            self.num_batches_tracked.add_(1)
            self.running_mean.lerp_(mean.to(self.running_mean), self.momentum)
            unbiased = variance * count / (count - 1).clamp_min(1)
            self.running_var.lerp_(unbiased.to(self.running_var), self.momentum)
        return y


class _WholeBatch(torch.autograd.Function):
    """Normalise by the statistics of all rows; one message in each direction. Tensors without rows are welcome."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        values = x.float() if x.dtype in (torch.bfloat16, torch.float16) else x
        mean, variance, count = _statistics(values)
        scale = (variance + eps).rsqrt()
        centred = values - _per_channel(mean.to(values))
        normal = centred.mul_(_per_channel(scale.to(values)))
        y = normal * _per_channel(weight.to(values)) + _per_channel(bias.to(values))
        ctx.save_for_backward(normal, weight, scale, count)
        ctx.mark_non_differentiable(mean, variance, count)
        return y.to(x.dtype), mean, variance, count

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        normal, weight, scale, count = ctx.saved_tensors
        given = gradients[0]
        gradient = given.to(normal.dtype)
        own = torch.stack([gradient.sum(dim=(0, 2, 3)), (gradient * normal).sum(dim=(0, 2, 3))])
        whole = own.clone()
        dist.all_reduce(whole)
        shift, stretch = (whole.double() / count).to(normal)
        inner = gradient - _per_channel(shift) - normal * _per_channel(stretch)
        # Of the parameters each process has its own rows' part: the gradients are added up after the step.
        return (inner * _per_channel(weight * scale.to(weight))).to(given.dtype), own[1], own[0], None


def _statistics(values: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Mean and biased variance of each channel [C], and how many values a channel has (0-d); float64, of all processes.

    Chan et al.'s formula joins the parts: a sum of squares would lose digits where the mean is far from 0.
    """
    count = values.numel() // values.shape[1]
    mean = values.sum(dim=(0, 2, 3)) / max(count, 1)
    spread = (values - _per_channel(mean)).square().sum(dim=(0, 2, 3))
    own = torch.cat([mean.double(), spread.double(), mean.new_full((1,), count, dtype=torch.float64)])
    parts = [torch.empty_like(own) for _ in range(processes())]
    dist.all_gather(parts, own)
    channels = values.shape[1]
    table = torch.stack(parts)
    means, spreads, counts = table[:, :channels], table[:, channels:-1], table[:, -1:]
    total = counts.sum()
    whole = (means * counts).sum(dim=0) / total
    variance = (spreads + counts * (means - whole).square()).sum(dim=0) / total
    return whole, variance, total


def _per_channel(values: Tensor) -> Tensor:
    return values[None, :, None, None]
