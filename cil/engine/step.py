"""One optimiser step: forward pass, loss, gradients (in micro-batches if memory is short), clipping, update, guard."""

import logging
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from cil.config.schema import OnOom, Precision, RunConfig
from cil.data.loader import TrainBatch
from cil.distributed.ranks import processes, sum_gradients
from cil.engine.accumulate import backward
from cil.engine.buffers import Kept
from cil.engine.compiled import Compiler
from cil.engine.divergence import DivergenceGuard, Place, gradient_norm
from cil.engine.optim import make_optimizer
from cil.engine.precision import autocast
from cil.losses.base import Stat
from cil.methods.base import Method, StepOutput
from cil.methods.phases import Phase

logger = logging.getLogger("cil")
MAX_SKIPPED = 40
"""So many skipped steps in a row are no search for a scale: 2^16 halved 40 times fits every finite gradient."""


class Stepper:
    """Makes the steps of a run; keeps the optimiser of the present phase and the fp16 scaler."""

    def __init__(self, config: RunConfig, method: Method, device: torch.device) -> None:
        self.config = config.trainer
        self.momentum = config.optimizer.momentum
        self.method = method
        self.device = device
        self.guard = DivergenceGuard(self.config.check_every)
        self.optimizer: torch.optim.SGD | None = None
        self.scaler = torch.amp.GradScaler(device.type, enabled=self.config.precision is Precision.fp16)
        self.micro_batches = self.config.micro_batches
        self.memory_events: list[dict[str, int]] = []
        """Where memory ran out, and into how many micro-batches a batch is split since then."""
        self.compiler = Compiler(self.config)
        self._skipped = torch.zeros((), device=device)
        """Steps in a row that the fp16 scaler has skipped, counted on the device."""
        self.correct: Tensor | None = None
        """Of the last step: which images were classified correctly, bool [B]; None where the method does not say."""

    def autocast(self) -> AbstractContextManager:
        """The forward precision of the run."""
        return autocast(self.config.precision, self.device)

    @contextmanager
    def evaluating(self) -> Iterator[None]:
        """For forward passes beside training: in its precision, but never compiled."""
        with self.compiler.eager(), self.autocast():
            yield

    def begin_phase(self, phase: Phase) -> None:
        """A new optimiser over what the network trains now."""
        self.compiler.begin_phase(self.method.network, self.method.compiled())
        self.optimizer = make_optimizer(self.method.network.parameters(), phase, self.momentum)

    def set_rate(self, rate: float) -> None:
        """Learning rate of the steps to come."""
        assert self.optimizer is not None
        for group in self.optimizer.param_groups:
            group["lr"] = rate

    def __call__(
        self, batch: TrainBatch, place: Place, known: Mapping[nn.Module, Tensor] | None = None
    ) -> dict[str, Stat]:
        """One step; the statistics of the batch by `group/name`.

        known: pooled features of the batch's own rows, by frozen network, that need not be computed.
        Nothing in here waits for the device. Raises Diverged for an earlier step.
        """
        assert self.optimizer is not None
        trained = [p for group in self.optimizer.param_groups for p in group["params"]]
        self.optimizer.zero_grad(set_to_none=True)
        output = self._backward(batch, place, known or {})
        sum_gradients(trained)
        self.correct = output.correct
        self.scaler.unscale_(self.optimizer)
        norm = gradient_norm(trained)
        if self.config.grad_clip_norm is not None:
            torch.nn.utils.clip_grads_with_norm_(trained, self.config.grad_clip_norm, norm)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.method.end_step()
        losses = {"loss/total": output.total.detach()} | {f"loss/{name}": t for name, t in output.terms.items()}
        stats = {tag: Stat(value, 1) for tag, value in losses.items()}
        stats |= {f"{group}/{name}": stat for group, named in output.stats.items() for name, stat in named.items()}
        if self.scaler.is_enabled():
            # The scaler skips a step whose gradients overflow; that is its way of finding the scale.
            stats["train/skipped_share"] = Stat(1 - norm.isfinite().float(), 1)
            self._skipped = torch.where(norm.isfinite(), 0.0, self._skipped + 1)
            losses["gradient norm"] = torch.where(self._skipped < MAX_SKIPPED, 0.0, norm)
        else:
            losses["gradient norm"] = norm
        self.guard.watch(place, losses)
        return stats

    def look_at_weights(self, place: Place) -> None:
        """Have the guard see every step so far, and what the last one made of the weights. Raises Diverged."""
        norm = torch.nn.utils.get_total_norm(list(self.method.network.parameters()))
        self.guard.watch(place, {"norm of the weights": norm})
        self.guard.flush()

    def _backward(self, batch: TrainBatch, place: Place, known: Mapping[nn.Module, Tensor]) -> StepOutput:
        """Loss and gradients of a batch, in more micro-batches once memory has run out (trainer.on_oom)."""
        # The forward pass of a step that fails has moved the running statistics already.
        buffers = Kept(self.method.network) if self.config.on_oom is OnOom.accumulate else None
        while True:
            try:
                forward = partial(self._forward, len(batch.targets), known)
                return backward(self.method, batch.views, batch.targets, self.micro_batches, forward, self.scaler.scale)
            except torch.OutOfMemoryError:
                alone = processes() == 1  # in the middle of a step the others cannot be told
                if self.config.on_oom is OnOom.fail or self.micro_batches >= len(batch.targets) or not alone:
                    raise
            # Outside the except block, where the traceback would keep the failed step's tensors alive.
            assert buffers is not None
            buffers.put_back()
            self._split_further(place)

    @contextmanager
    def _forward(self, images: int, known: Mapping[nn.Module, Tensor], rows: Tensor | None) -> Iterator[None]:
        """What networks and losses of a batch of so many images are computed in, on all rows or some of them."""
        compiled = self.compiler.eager() if self.micro_batches > 1 else self.compiler.batch(images)
        with compiled, self.autocast(), self.method.run_frozen.knowing(known, rows):
            yield

    def _split_further(self, place: Place) -> None:
        """Continue with micro-batches of half the size, and record it."""
        assert self.optimizer is not None
        self.optimizer.zero_grad(set_to_none=True)
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        self.split_into(2 * self.micro_batches, place)

    def split_into(self, micro_batches: int, place: Place) -> None:
        """From the step after `place` on, split every batch, and record it."""
        self.micro_batches = micro_batches
        self.memory_events.append(vars(place) | {"micro_batches": self.micro_batches})
        logger.warning("out of memory at %s: continuing with %d micro-batches", vars(place), self.micro_batches)

    def load_micro_batches(self, micro_batches: int, events: list[dict[str, int]]) -> None:
        """Continue with those of a checkpoint if memory had run out before it, otherwise with those of the settings."""
        self.memory_events = list(events)
        if events:
            self.micro_batches = max(micro_batches, self.config.micro_batches)

    def load_optimizer(self, state: dict[str, Any]) -> None:
        """Continue with the optimiser of a checkpoint."""
        assert self.optimizer is not None
        fused = [group["fused"] for group in self.optimizer.param_groups]
        self.optimizer.load_state_dict(state)
        # The stored flag is that of the device the run was on.
        for group, flag in zip(self.optimizer.param_groups, fused, strict=True):
            group["fused"] = flag
