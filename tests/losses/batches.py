"""Random batches for the loss tests."""

import torch
from torch import Tensor

from cil.config.schema import Formulation, LossConfig, Negatives, Reference

EVERY_BLOCK = [(negatives, reference) for negatives in Negatives for reference in Reference]
EVERY_FORM = [(*block, formulation) for block in EVERY_BLOCK for formulation in Formulation]


def batch(images: int, width: int = 8, seed: int = 0, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    """Anchors and columns [2B, D], view 2 close to view 1, both with gradient."""
    stream = torch.Generator().manual_seed(seed)
    first = torch.randn(images, width, generator=stream, dtype=torch.float64)
    views = torch.cat([first, first + 0.5 * torch.randn(images, width, generator=stream, dtype=torch.float64)])
    columns = views + 0.3 * torch.randn(2 * images, width, generator=stream, dtype=torch.float64)
    return views.to(dtype).requires_grad_(), columns.to(dtype).requires_grad_()


def ant_only(**keys: object) -> LossConfig:
    """ANT alone, unless the keys say otherwise."""
    return LossConfig(**({"nce_alpha": 0.0} | keys))  # type: ignore[arg-type]
