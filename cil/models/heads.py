"""Linear heads: fresh ones, the growing classifier, and weight alignment."""

import torch
from torch import Tensor, nn


def fresh_linear(inputs: int, outputs: int, generator: torch.Generator) -> nn.Linear:
    """A linear layer with Kaiming-uniform weights (linear gain, fan-in) and zero bias."""
    layer = nn.Linear(inputs, outputs)
    nn.init.kaiming_uniform_(layer.weight, nonlinearity="linear", generator=generator)
    nn.init.zeros_(layer.bias)
    return layer


@torch.no_grad()
def grown_linear(
    old: nn.Linear, inputs: int, outputs: int, generator: torch.Generator, quiet: bool = True
) -> nn.Linear:
    """`old` with more inputs and outputs.

    Old rows keep their weights on the old inputs, old biases stay, new rows are fresh. quiet: old rows are zero on
    the new inputs, so that the old logits do not change when the features grow; otherwise they are fresh there.
    """
    layer = fresh_linear(inputs, outputs, generator).to(old.weight)
    if quiet:
        layer.weight[: old.out_features] = 0
    layer.weight[: old.out_features, : old.in_features] = old.weight
    layer.bias[: old.out_features] = old.bias
    return layer


def aligned_weight(weight: Tensor, old: int) -> Tensor:
    """Classifier weight [C, d] whose rows from `old` on have the mean norm of the rows before (Zhao et al. 2020)."""
    norms = weight.norm(dim=1)
    scale = norms[:old].mean() / norms[old:].mean()
    return torch.cat([weight[:old], weight[old:] * scale])


def wide(scores: Tensor) -> Tensor:
    """Half precision widened to float32, for losses and evaluation."""
    return scores.float() if scores.dtype in (torch.float16, torch.bfloat16) else scores
