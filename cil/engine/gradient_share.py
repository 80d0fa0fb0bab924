"""How much each loss term contributes to the gradient of the parameters that all terms share."""

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager

import torch
from torch import Tensor

from cil.distributed.ranks import alone
from cil.engine.buffers import buffers_as_they_are
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
    with undisturbed(method):
        with autocast():
            parts = method.loss(method.network(views), targets).parts
        shared = [p for p in method.shared_parameters() if p.requires_grad]
        gradients = [gradient_of(scale * weight * term, shared) for weight, term in parts.values()]
    return _figures(list(parts), products(gradients) / scale**2)


@contextmanager
def undisturbed(method: Method) -> Iterator[None]:
    """Whatever is computed inside leaves no trace: the buffers of the network are put back.

    Every process computes the whole batch, so nobody is waited for.
    """
    # Compiled networks free what a second backward pass needs.
    with buffers_as_they_are(method.network), torch.compiler.set_stance("force_eager"), alone():
        yield


def gradient_of(loss: Tensor, parameters: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """The gradient of a 0-d loss in each parameter, 0 where it does not depend on it; the graph stays."""
    if not loss.requires_grad:
        return tuple(torch.zeros_like(p) for p in parameters)
    return torch.autograd.grad(loss, parameters, retain_graph=True, allow_unused=True, materialize_grads=True)


def products(gradients: Sequence[Sequence[Tensor]]) -> Tensor:
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
