"""Hard-negative mining: the share of most similar negatives that ANT looks at."""

import math

from torch import Tensor

from cil.config.schema import Reference
from cil.losses.selection import largest


def keep_hardest(negatives: Tensor, ratio: float, reference: Reference) -> Tensor:
    """Mask [G, A, K] of the share `ratio` of most similar negatives, at least one.

    Counted within each row for `anchor`, within each whole group for `global` (rows may then keep none).
    """
    values = negatives.detach()
    rows = values if reference is Reference.anchor else values.flatten(1)
    # 0.3 * 10 is a little more than 3 in floating point: without the 1e-9, ceil would keep one too many.
    count = max(1, math.ceil(ratio * rows.shape[-1] - 1e-9))
    return largest(rows, count).view_as(values)
