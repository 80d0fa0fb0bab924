"""A batch in chunks of anchors, whose memory grows with its rows and not with their square.

A chunk is the rows of a few images, compared with all columns. Sums over chunks get their gradient here too: that of
each chunk is found at once and added up, so that no chunk is kept for the backward pass, and none computed twice.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from cil.losses.settings import LossSettings
from cil.losses.similarity import Comparison, of_other_classes, split_pairs, unit_sides
from cil.losses.whole_batch import WholeBatch


@dataclass(frozen=True)
class Chunks:
    """A batch that is compared `images` images at a time.

    rows, columns: unit rows [2B, D]. to_prototypes: [2B, P] or None. labels: [B] or None. whole: what each chunk has to
    know of the others, once it is known.
    """

    rows: Tensor
    columns: Tensor
    to_prototypes: Tensor | None
    labels: Tensor | None
    margin: float
    settings: LossSettings
    images: int
    whole: WholeBatch | None = None

    @property
    def batch(self) -> int:
        """Images in all."""
        return len(self.rows) // 2

    @property
    def parts(self) -> list[slice]:
        """The images of each chunk."""
        return [slice(i, min(i + self.images, self.batch)) for i in range(0, self.batch, self.images)]

    def compared(self, part: slice) -> Comparison:
        """The rows of both views of the images `part` with all columns."""
        with torch.autocast(self.rows.device.type, enabled=False):
            similarity = _both_views(self.rows, part) @ self.columns.T
        pairs = split_pairs(similarity, self.settings.negatives, part.start)
        further = None if self.to_prototypes is None else _both_views(self.to_prototypes, part)
        whole = None if self.whole is None else self.whole.of(part)
        return Comparison(similarity, pairs, self.margin, self.labels, further, part.start, whole)

    @property
    def inputs(self) -> tuple[Tensor | None, ...]:
        """All that may have a gradient."""
        return self.rows, self.columns, self.to_prototypes, None if self.whole is None else self.whole.reference

    def with_inputs(self, inputs: Sequence[Tensor | None]) -> "Chunks":
        """The same with others in their place."""
        rows, columns, to_prototypes, reference = inputs
        assert rows is not None and columns is not None
        whole = None if self.whole is None else replace(self.whole, reference=reference)
        return replace(self, rows=rows, columns=columns, to_prototypes=to_prototypes, whole=whole)


def cut(
    anchors: Tensor,
    columns: Tensor,
    margin: float,
    settings: LossSettings,
    labels: Tensor | None = None,
    prototypes: Tensor | None = None,
) -> Chunks:
    """What `compare` compares at once, in chunks of `settings.chunk_rows` rows. Raises ValueError as it does."""
    assert settings.chunk_rows is not None
    rows, others = unit_sides(anchors, columns)
    to_prototypes = of_other_classes(anchors, prototypes, labels)
    return Chunks(rows, others, to_prototypes, labels, margin, settings, settings.chunk_rows // 2)


def sum_over(chunks: Chunks, function: Callable[[Comparison], Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """The sum over all chunks of each value, 0-d, that `function` makes of one, with its gradient."""
    inputs = {id(tensor): tensor for tensor in chunks.inputs if tensor is not None}  # rows may be columns as well
    leaves = {key: tensor.detach().requires_grad_(tensor.requires_grad) for key, tensor in inputs.items()}
    apart = chunks.with_inputs([None if tensor is None else leaves[id(tensor)] for tensor in chunks.inputs])
    wanted = {key: leaf for key, leaf in leaves.items() if leaf.requires_grad and torch.is_grad_enabled()}
    totals: dict[str, Tensor] = {}
    gradients: dict[str, dict[int, Tensor]] = {}
    for part in chunks.parts:
        for name, value in function(apart.compared(part)).items():
            totals[name] = totals[name] + value.detach() if name in totals else value.detach()
            _add_gradient(gradients.setdefault(name, {}), value, wanted)
    for name, sums in gradients.items():
        if sums:
            known = [inputs[key] for key in sums], list(sums.values())
            totals[name] = _WithGradient.apply(totals[name], *known[0], *known[1])
    return totals


class _WithGradient(torch.autograd.Function):
    """A value, 0-d, of which the gradient in some inputs is known already."""

    @staticmethod
    def forward(ctx: Any, value: Tensor, *inputs_and_gradients: Tensor) -> Tensor:
        ctx.save_for_backward(*inputs_and_gradients[len(inputs_and_gradients) // 2 :])
        return value.clone()

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        gradients = ctx.saved_tensors
        return None, *(upstream * gradient for gradient in gradients), *(None for _ in gradients)


def _add_gradient(sums: dict[int, Tensor], value: Tensor, leaves: Mapping[int, Tensor]) -> None:
    if not leaves or not value.requires_grad:
        return
    # Where the loss is computed under autocast, it would take hold of the products of the backward pass too.
    with torch.autocast(value.device.type, enabled=False):
        found = torch.autograd.grad(value, list(leaves.values()), retain_graph=True, allow_unused=True)
    for key, gradient in zip(leaves, found, strict=True):
        if gradient is not None:
            sums[key] = sums[key].add_(gradient) if key in sums else gradient.clone()


def _both_views(values: Tensor, part: slice) -> Tensor:
    """Of `values` [2B, ...], those of both views of the images `part`."""
    return values.unflatten(0, (2, -1))[:, part].flatten(0, 1)
