"""What a chunk of anchors has to know of the whole batch."""

from dataclasses import dataclass, replace

from torch import Tensor

from cil.losses.hard_negatives import Hardest


@dataclass(frozen=True)
class WholeBatch:
    """What the terms of a chunk of anchors have to know of all anchors (cil/losses/chunks.py).

    gap: 0-d, mean positive minus mean negative similarity. tail: the 90 % and the 95 % quantile of all violations,
    0-d. reference: [G, 1, 1], with its gradient, and hardest, only with reference=global. others: 0-d, to how many
    prototypes of another class a row is compared on average; None without prototypes.
    """

    gap: Tensor
    tail: tuple[Tensor, Tensor]
    reference: Tensor | None = None
    hardest: Hardest | None = None
    others: Tensor | None = None

    def of(self, images: slice) -> "WholeBatch":
        """What the chunk of these images has to know."""
        return self if self.hardest is None else replace(self, hardest=self.hardest.of(images))
