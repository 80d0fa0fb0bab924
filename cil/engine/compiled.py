"""torch.compile in training: which batches it sees, and how often it has compiled."""

import logging
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import nn

from cil.config.schema import TrainerConfig

logger = logging.getLogger("cil")
MANY = 8
"""Graphs of a task above which there is a warning: so many forms of one function PyTorch keeps before it gives up."""


class Compiler:
    """Compiles the trained networks of a phase, for batches of the full size (trainer.compile); or does nothing.

    The shorter last batch of an epoch, evaluations and micro-batches run as they are: each would be compiled anew for
    its own shape or mode.
    """

    backend = "inductor"

    def __init__(self, config: TrainerConfig) -> None:
        self.on = config.compile
        self._size = config.batch_size
        self._earlier = self._start = 0

    def begin_task(self) -> None:
        """Count from zero."""
        self._earlier, self._start = 0, self._total()

    def begin_phase(self, network: nn.Module, trained: Sequence[nn.Module]) -> None:
        """Compile the trained parts of `network` at their next full batch, and no others."""
        if not self.on:
            return
        for module in network.modules():
            module._compiled_call_impl = None  # of a branch that was trained in an earlier task
        self._earlier, self._start = self.graphs, 0
        # What was compiled for smaller networks, or an earlier job, must not use up the limit of recompilations.
        torch.compiler.reset()
        self._start = self._total()
        for part in trained:
            part.compile(backend=self.backend)

    def batch(self, images: int) -> AbstractContextManager:
        """For the step of a batch of so many images."""
        return nullcontext() if images == self._size else self.eager()

    def eager(self) -> AbstractContextManager:
        """For whatever is no training step: nothing is compiled."""
        return torch.compiler.set_stance("force_eager") if self.on else nullcontext()

    @property
    def graphs(self) -> int:
        """Graphs that have been compiled in the present task."""
        return self._earlier + self._total() - self._start

    def facts(self, task: int) -> dict[str, int]:
        """For the record of a task; empty without trainer.compile. Warns where there are many."""
        if not self.on:
            return {}
        # A continued run compiles again, so this is no part of what has to be equal: like all that is called time/.
        if self.graphs > MANY:
            logger.warning(
                "trainer.compile: %d graphs were compiled in task %d; TORCH_LOGS=recompiles says why", self.graphs, task
            )
        return {"time/compiled_graphs": self.graphs}

    def _total(self) -> int:
        """Graphs that this process has compiled so far."""
        if not self.on:
            return 0
        from torch._dynamo.utils import counters  # takes seconds

        return int(counters["stats"]["unique_graphs"])
