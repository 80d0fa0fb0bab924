"""MEMO: A Model or 603 Exemplars (Zhou et al., ICLR 2023, arXiv 2205.13218)."""

from collections.abc import Sequence

from torch import nn

from cil.methods.expanding import ExpandingMethod

USES = ("memory",)
PUBLISHED = {"optimizer.inc_milestones": [80, 120, 150]}


class MEMO(ExpandingMethod):
    """DER on shared stages: only the last stage of the backbone is added for a task.

    The earlier stages are one and the same for all tasks and go on training, through the frozen last stages too.
    """

    shared = True

    def compiled(self) -> Sequence[nn.Module]:
        """The shared stages too."""
        return [self.network.trunk, *super().compiled()]

    def step_cost(self, task: int, computed: float = 1.0) -> float:
        """Through the frozen last stages two passes each: the shared stages below get gradients."""
        del computed
        return 3.0 + 0.5 * (task - 1)


METHOD = MEMO
