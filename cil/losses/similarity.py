"""Cosine similarities of a batch, and the positives and negatives in them.

Shapes: B images, 2B rows (view 1 first), D width of an embedding; a block of negatives is [G, A, K]: G groups
with a reference of their own, A anchors in each, K negatives of each anchor.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from cil.config.schema import Negatives
from cil.losses.whole_batch import WholeBatch

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

    A chunk of a large batch has the rows of a few images only, both views of images first..first+A-1: [2A, 2B] and
    [2A, P], against all columns. whole: what it has to know of the rest; None if these are all rows.
    """

    similarity: Tensor
    pairs: Pairs
    margin: float
    labels: Tensor | None
    prototypes: Tensor | None = None
    first: int = 0
    whole: WholeBatch | None = None

    @property
    def share(self) -> float:
        """Share of all anchors that these are."""
        return len(self.similarity) / self.similarity.shape[1]


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
    to_prototypes = of_other_classes(anchors, prototypes, labels)
    return Comparison(similarity, split_pairs(similarity, negatives), margin, labels, to_prototypes)


def of_other_classes(anchors: Tensor, prototypes: Tensor | None, labels: Tensor | None) -> Tensor | None:
    """Similarities [2B, P] of rows to the prototypes [P, D] of classes 0..P-1, -inf for their own class.

    None without prototypes. Raises ValueError if `labels` is not [B], or for prototypes without labels.
    """
    if labels is not None and labels.shape != (len(anchors) // 2,):
        raise ValueError(f"expected one label for each of {len(anchors) // 2} images, got {tuple(labels.shape)}")
    if prototypes is None or not len(prototypes):
        return None
    if labels is None:
        raise ValueError("prototypes need the labels of the images")
    dtype = torch.promote_types(anchors.dtype, torch.float32)
    with torch.autocast(anchors.device.type, enabled=False):
        similarity = unit_rows(anchors.to(dtype)) @ unit_rows(prototypes.to(dtype)).T
    own = labels.repeat(2)[:, None] == torch.arange(len(prototypes), device=labels.device)
    return similarity.masked_fill(own, -torch.inf)


def same_class(labels: Tensor, negatives: Negatives, first: int = 0, images: int | None = None) -> Tensor:
    """bool, of the shape of the block [G, A, K]: which negatives have the anchor's own class. labels: [B].

    The anchors are `images` images from the `first` one on; None: all.
    """
    rows = labels.repeat(2)
    anchors = rows if images is None else labels[first : first + images].repeat(2)
    return split_pairs(anchors[:, None] == rows, negatives, first).negatives


def cosine_matrix(anchors: Tensor, columns: Tensor) -> Tensor:
    """Cosine similarity of every row of `anchors` [2B, D] with every row of `columns` [2B, D]: [2B, 2B].

    Computed in float32 (float64 if an input is), whatever autocast says. Raises ValueError for other shapes.
    """
    rows, others = unit_sides(anchors, columns)
    with torch.autocast(anchors.device.type, enabled=False):
        return rows @ others.T


def unit_sides(anchors: Tensor, columns: Tensor) -> tuple[Tensor, Tensor]:
    """The unit rows of both sides, of which `cosine_matrix` is the product; one tensor if the inputs are."""
    if anchors.dim() != 2 or anchors.shape != columns.shape or len(anchors) < 2 or len(anchors) % 2:
        raise ValueError(
            f"expected two [2B, D] tensors of equal shape, got {tuple(anchors.shape)} and {tuple(columns.shape)}"
        )
    dtype = torch.promote_types(torch.promote_types(anchors.dtype, columns.dtype), torch.float32)
    with torch.autocast(anchors.device.type, enabled=False):
        rows = unit_rows(anchors.to(dtype))
        others = rows if columns is anchors else unit_rows(columns.to(dtype))
    return rows, others


def unit_rows(rows: Tensor) -> Tensor:
    """Rows [N, D] divided by their norm, which is floored at 1e-8.

    Rows under the floor pass no gradient: that of x / 1e-8 would be a hundred million times too large.
    """
    norms = torch.linalg.vector_norm(rows, dim=1, keepdim=True)
    live = torch.where(norms > NORM_FLOOR, rows, rows.detach())
    return live / norms.clamp_min(NORM_FLOOR)


def split_pairs(similarity: Tensor, negatives: Negatives, first: int = 0) -> Pairs:
    """Positives and the chosen block of negatives of a matrix [2B, 2B].

    first_view: [1, B, B-1], view 1 against view 1. both_views: [2, B, B-1], each view against itself.
    all: [1, 2B, 2B-2], everything but self and positive.
    Of the rows [2A, 2B] of A images from the `first` one on: the same, with A instead of B rows.
    """
    images, batch = len(similarity) // 2, similarity.shape[1] // 2
    positives = torch.cat(positive_diagonals(similarity, first))
    quadrants = similarity.view(2, images, 2, batch)  # view of the anchor, image, view of the column, image
    if negatives is Negatives.first_view:
        return Pairs(positives, off_diagonal(quadrants[:1, :, 0], first))
    if negatives is Negatives.both_views:
        return Pairs(positives, off_diagonal(quadrants.diagonal(dim1=0, dim2=2).permute(2, 0, 1), first))
    # The diagonals of the four quadrants are exactly the self pairs and the positives.
    block = off_diagonal(quadrants.transpose(1, 2), first).transpose(1, 2)
    return Pairs(positives, block.reshape(1, 2 * images, 2 * batch - 2))


def positive_diagonals(similarity: Tensor, first: int = 0) -> tuple[Tensor, Tensor]:
    """The positives of the rows of view 1 and of those of view 2, [A] each, of the rows [2A, 2B] from `first` on."""
    images, batch = len(similarity) // 2, similarity.shape[1] // 2
    if images == batch:
        return similarity.diagonal(batch), similarity.diagonal(-batch)
    return similarity[:images].diagonal(batch + first), similarity[images:].diagonal(first)


def mask_self(logits: Tensor, first: int = 0) -> Tensor:
    """Puts -inf in place of every row's similarity to itself, in place; of rows [2A, 2B] from `first` on."""
    images, batch = len(logits) // 2, logits.shape[1] // 2
    if images == batch:
        return logits.fill_diagonal_(-torch.inf)
    logits[:images].diagonal(first).fill_(-torch.inf)
    logits[images:].diagonal(batch + first).fill_(-torch.inf)
    return logits


def off_diagonal(squares: Tensor, first: int = 0) -> Tensor:
    """[..., n, n] without its diagonals: [..., n, n-1], the order of columns kept.

    Of a strip [..., m, n], the rows of such a square from the `first` one on: [..., m, n-1].
    Strides alone do it (no mask, so nothing synchronises): after the first diagonal element, another one ends every
    run of n+1.
    """
    *lead, rows, size = squares.shape
    if rows == size:
        runs = squares.flatten(-2)[..., 1:].unflatten(-1, (size - 1, size + 1)) if size > 1 else squares[..., :0]
        return runs[..., :-1].reshape(*lead, size, size - 1)
    flat, begin, end = squares.flatten(-2), first + 1, first + 1 + (rows - 1) * (size + 1)
    runs = flat[..., begin:end].unflatten(-1, (rows - 1, size + 1))[..., :-1].flatten(-2)
    return torch.cat([flat[..., :first], runs, flat[..., end:]], -1).view(*lead, rows, size - 1)
