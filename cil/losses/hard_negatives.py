"""Hard-negative mining: the share of most similar negatives that ANT looks at."""

import math
from dataclasses import dataclass, replace

from torch import Tensor

from cil.config.schema import Reference
from cil.losses.selection import largest, ranked, without_first_tied


def keep_hardest(negatives: Tensor, ratio: float, reference: Reference) -> Tensor:
    """Mask [G, A, K] of the share `ratio` of most similar negatives, at least one.

    Counted within each row for `anchor`, within each whole group for `global` (rows may then keep none).
    """
    values = negatives.detach()
    rows = values if reference is Reference.anchor else values.flatten(1)
    return largest(rows, share_of(rows.shape[-1], ratio)).view_as(values)


def share_of(count: int, ratio: float) -> int:
    """How many of `count` negatives are kept."""
    # 0.3 * 10 is a little more than 3 in floating point: without the 1e-9, ceil would keep one too many.
    return max(1, math.ceil(ratio * count - 1e-9))


@dataclass(frozen=True)
class Hardest:
    """Which negatives `keep_hardest` keeps of each whole group, as chunks of its anchors have to know it.

    threshold: rank of the least one kept, [G, 1, 1]. surplus: how many of this rank are left out of each row, counted
    from its first one, [G, V, A] of V views of A images; below 1 where none is. count: kept ones of all groups.
    """

    threshold: Tensor
    surplus: Tensor
    count: int

    def mask(self, negatives: Tensor) -> Tensor:
        """Mask [G, A, K] of those of the chunk's negatives that are kept."""
        ranks, surplus = ranked(negatives.detach()), self.surplus.flatten(1)[..., None]
        return without_first_tied(ranks >= self.threshold, ranks == self.threshold, surplus)

    def of(self, images: slice) -> "Hardest":
        """The same for some of the images."""
        return replace(self, surplus=self.surplus[..., images])
