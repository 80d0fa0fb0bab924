"""mechanism/*: what ANT does inside training, looked at on one fixed batch of each task.

The same images in the same views every time, so that what moves is the network.
"""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager

import torch
from torch import Tensor, nn

from cil.engine.gradient_share import gradient_of, products, undisturbed
from cil.losses.mechanism import matrix_figures
from cil.losses.similarity import cosine_matrix
from cil.methods.base import Method

FIXED_EPOCH = -2
"""The epoch that the fixed batch's random streams are named after: one that no training has."""
Record = dict[str, float | None]


def mechanism(
    method: Method,
    views: Tensor,
    targets: Tensor,
    autocast: Callable[[], AbstractContextManager],
    scale: float = 1.0,
) -> Record:
    """`mechanism/BRANCH/...` of one batch, for every branch that the contrastive loss compares; empty without one.

    views [2B, 3, H, W], targets [B] as in training. scale: factor of the losses while they are differentiated.
    Beside the figures of cil/losses/mechanism.py, for each network that the loss trains: `ant_over_nce/NETWORK`, the
    norm of the gradient of the weighted ANT term over that of InfoNCE's, and `cosine/NETWORK` between the two.
    None where a figure has no value. Changes nothing: parameters keep their `grad`, buffers are restored.
    """
    contrast = method.contrast()
    if contrast is None:
        return {}
    loss, margin = contrast
    found: dict[str, Tensor] = {}
    with undisturbed(method):
        with autocast():
            branches = method.compared(method.network(views))
        for branch, (anchors, columns, prototypes) in branches.items():
            similarity = cosine_matrix(anchors, columns)
            figures = matrix_figures(similarity, targets, margin, loss.settings)
            parts = loss(anchors, columns, margin, targets, prototypes).parts
            figures |= _by_network(parts, method.contrast_networks(), scale)
            found |= {f"mechanism/{branch}/{name}": value for name, value in figures.items()}
    return _numbers(found)


def _by_network(parts: Mapping[str, Tensor], networks: Mapping[str, nn.Module], scale: float) -> dict[str, Tensor]:
    """How the gradient of ANT compares with that of InfoNCE in the parameters of each network."""
    if not {"nce", "ant"} <= parts.keys():
        return {}
    trained = {name: [p for p in network.parameters() if p.requires_grad] for name, network in networks.items()}
    together = [parameter for parameters in trained.values() for parameter in parameters]
    nce, ant = (list(gradient_of(scale * parts[name], together)) for name in ("nce", "ant"))
    figures: dict[str, Tensor] = {}
    start = 0
    for name, parameters in trained.items():
        end = start + len(parameters)
        table = products([nce[start:end], ant[start:end]])
        start = end
        if table[0, 0] > 0:  # the predictor has no part in the embeddings' own term
            figures[f"ant_over_nce/{name}"] = (table[1, 1] / table[0, 0]).sqrt()
            figures[f"cosine/{name}"] = table[0, 1] / (table[0, 0] * table[1, 1]).sqrt()
    return figures


def _numbers(found: Mapping[str, Tensor]) -> Record:
    """The values, in one transfer from each device; None for those that are no number."""
    by_device: dict[torch.device, dict[str, Tensor]] = {}
    for name, value in found.items():
        by_device.setdefault(value.device, {})[name] = value.float()
    numbers: dict[str, float] = {}
    for values in by_device.values():
        numbers |= zip(values, torch.stack(list(values.values())).tolist(), strict=True)
    return {name: numbers[name] if numbers[name] == numbers[name] else None for name in found}
