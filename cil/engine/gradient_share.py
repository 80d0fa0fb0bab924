"""How much each loss term contributes to the gradient of the parameters that all terms share."""

import itertools
import math
from collections.abc import Callable
from contextlib import AbstractContextManager

import torch
from torch import Tensor

from cil.methods.base import Method


def gradient_share(
    method: Method,
    views: Tensor,
    targets: Tensor,
    autocast: Callable[[], AbstractContextManager],
    scale: float = 1.0,
) -> dict[str, float | None]:
    """Gradients of the weighted loss terms of one batch in the parameters that the terms share.

    views [2B, 3, H, W], targets [B] as in training. scale: factor of the losses while they are differentiated, so
    that half precision does not lose small gradients.

    `grad/TERM`: norm of the term's gradient. `grad/share_TERM`: that norm over the sum of all norms.
    `grad/cos_A_B`: cosine of the angle between two terms' gradients; -1: they undo each other. A share is None if
    all norms are 0; a cosine is left out if one of the two norms is 0.

    Changes nothing: parameters keep their `grad`, buffers (batch norm) are restored, nothing random is drawn.
    """
    network = method.network
    kept = [(buffer, buffer.clone()) for buffer in network.buffers()]
    try:
        # Compiled networks free what a second backward pass needs.
        with torch.compiler.set_stance("force_eager"):
            with autocast():
                parts = method.loss(network(views), targets).parts
            shared = [p for p in method.shared_parameters() if p.requires_grad]
            gradients = [_gradient(scale * weight * term, shared) for weight, term in parts.values()]
    finally:
        with torch.no_grad():
            for buffer, value in kept:
                buffer.copy_(value)
    return _figures(list(parts), _products(gradients) / scale**2)


def _gradient(loss: Tensor, parameters: list[torch.nn.Parameter]) -> tuple[Tensor, ...]:
    if not loss.requires_grad:
        return tuple(torch.zeros_like(p) for p in parameters)
    return torch.autograd.grad(loss, parameters, retain_graph=True, allow_unused=True, materialize_grads=True)


def _products(gradients: list[tuple[Tensor, ...]]) -> Tensor:
    """[k, k] scalar products of k gradients, in float64 on the CPU."""
    total = torch.zeros(len(gradients), len(gradients), dtype=torch.float64)
    for same in zip(*gradients, strict=True):
        rows = torch.stack([gradient.flatten() for gradient in same]).double()
        total += (rows @ rows.T).cpu()
    return total


def _figures(names: list[str], products: Tensor) -> dict[str, float | None]:
    norms = dict(zip(names, products.diagonal().sqrt().tolist(), strict=True))
    whole = sum(norms.values())
    figures: dict[str, float | None] = {f"grad/{name}": norm for name, norm in norms.items()}
    figures |= {f"grad/share_{name}": norm / whole if whole else None for name, norm in norms.items()}
    for (i, a), (j, b) in itertools.combinations(enumerate(names), 2):
        length = norms[a] * norms[b]
        if length and math.isfinite(length):
            figures[f"grad/cos_{a}_{b}"] = products[i, j].item() / length
    return figures
