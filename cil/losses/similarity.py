"""Cosine similarities of a batch, and the positives and negatives in them.

Shapes: B images, 2B rows (view 1 first), D width of an embedding; a block of negatives is [G, A, K]: G groups
with a reference of their own, A anchors in each, K negatives of each anchor.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from cil.config.schema import Negatives

NORM_FLOOR = 1e-8


@dataclass(frozen=True)
class Pairs:
    """positives: [2B], s_{i, (i+B) mod 2B}. negatives: [G, A, K]; the anchors of all groups are rows 0..G*A-1."""

    positives: Tensor
    negatives: Tensor

    def detach(self) -> "Pairs":
        """The same values without gradient."""
        return Pairs(self.positives.detach(), self.negatives.detach())


@dataclass(frozen=True)
class Comparison:
    """Rows compared with columns: all that a loss and its statistics are computed from.

    similarity: [2B, 2B], row i's positive is column (i + B) mod 2B. pairs: its positives and negatives.
    margin: the ANT margin. labels: int64 [B], the classes of the images in task order (image i is in rows i and
    i + B), or None. prototypes: [2B, P], the similarity of each row to the prototypes of old classes, -inf for that of
    its own class; None without any.
    """

    similarity: Tensor
    pairs: Pairs
    margin: float
    labels: Tensor | None
    prototypes: Tensor | None = None


def compare(
    anchors: Tensor,
    columns: Tensor,
    negatives: Negatives,
    margin: float,
    labels: Tensor | None = None,
    prototypes: Tensor | None = None,
) -> Comparison:
    """Compares the rows `anchors` [2B, D] with the rows `columns` [2B, D], and with `prototypes` [P, D].

    Prototype p is of class p. Raises ValueError for other shapes, if `labels` is not [B], or for prototypes without
    labels.
    """
    similarity = cosine_matrix(anchors, columns)
    if labels is not None and labels.shape != (len(similarity) // 2,):
        raise ValueError(f"expected one label for each of {len(similarity) // 2} images, got {tuple(labels.shape)}")
    to_prototypes = None
    if prototypes is not None and len(prototypes):
        if labels is None:
            raise ValueError("prototypes need the labels of the images")
        to_prototypes = _of_other_classes(anchors, prototypes, labels)
    return Comparison(similarity, split_pairs(similarity, negatives), margin, labels, to_prototypes)


def _of_other_classes(anchors: Tensor, prototypes: Tensor, labels: Tensor) -> Tensor:
    """Similarities [2B, P] of rows to the prototypes of classes 0..P-1, -inf for their own class."""
    dtype = torch.promote_types(anchors.dtype, torch.float32)
    with torch.autocast(anchors.device.type, enabled=False):
        similarity = unit_rows(anchors.to(dtype)) @ unit_rows(prototypes.to(dtype)).T
    own = labels.repeat(2)[:, None] == torch.arange(len(prototypes), device=labels.device)
    return similarity.masked_fill(own, -torch.inf)


def same_class(labels: Tensor, negatives: Negatives) -> Tensor:
    """bool, of the shape of the block [G, A, K]: which negatives have the anchor's own class. labels: [B]."""
    rows = labels.repeat(2)
    return split_pairs(rows[:, None] == rows, negatives).negatives


def cosine_matrix(anchors: Tensor, columns: Tensor) -> Tensor:
    """Cosine similarity of every row of `anchors` [2B, D] with every row of `columns` [2B, D]: [2B, 2B].

    Computed in float32 (float64 if an input is), whatever autocast says. Raises ValueError for other shapes.
    """
    if anchors.dim() != 2 or anchors.shape != columns.shape or len(anchors) < 2 or len(anchors) % 2:
        raise ValueError(
            f"expected two [2B, D] tensors of equal shape, got {tuple(anchors.shape)} and {tuple(columns.shape)}"
        )
    dtype = torch.promote_types(torch.promote_types(anchors.dtype, columns.dtype), torch.float32)
    with torch.autocast(anchors.device.type, enabled=False):
        rows = unit_rows(anchors.to(dtype))
        others = rows if columns is anchors else unit_rows(columns.to(dtype))
        return rows @ others.T


def unit_rows(rows: Tensor) -> Tensor:
    """Rows [N, D] divided by their norm, which is floored at 1e-8.

    Rows under the floor pass no gradient: that of x / 1e-8 would be a hundred million times too large.
    """
    norms = torch.linalg.vector_norm(rows, dim=1, keepdim=True)
    live = torch.where(norms > NORM_FLOOR, rows, rows.detach())
    return live / norms.clamp_min(NORM_FLOOR)


def split_pairs(similarity: Tensor, negatives: Negatives) -> Pairs:
    """Positives and the chosen block of negatives of a matrix [2B, 2B].

    first_view: [1, B, B-1], view 1 against view 1. both_views: [2, B, B-1], each view against itself.
    all: [1, 2B, 2B-2], everything but self and positive.
    """
    batch = len(similarity) // 2
    positives = torch.cat([similarity.diagonal(batch), similarity.diagonal(-batch)])
    quadrants = similarity.view(2, batch, 2, batch)  # view of the anchor, image, view of the column, image
    if negatives is Negatives.first_view:
        return Pairs(positives, off_diagonal(quadrants[:1, :, 0]))
    if negatives is Negatives.both_views:
        return Pairs(positives, off_diagonal(quadrants.diagonal(dim1=0, dim2=2).permute(2, 0, 1)))
    # The diagonals of the four quadrants are exactly the self pairs and the positives.
    block = off_diagonal(quadrants.transpose(1, 2)).transpose(1, 2)
    return Pairs(positives, block.reshape(1, 2 * batch, 2 * batch - 2))


def off_diagonal(squares: Tensor) -> Tensor:
    """[..., n, n] without its diagonals: [..., n, n-1], the order of columns kept.

    Strides alone do it (no mask, so nothing synchronises): after the first element, a diagonal one ends every
    run of n+1.
    """
    *lead, size, _ = squares.shape
    runs = squares.flatten(-2)[..., 1:].unflatten(-1, (size - 1, size + 1)) if size > 1 else squares[..., :0]
    return runs[..., :-1].reshape(*lead, size, size - 1)
