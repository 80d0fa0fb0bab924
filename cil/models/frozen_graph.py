"""CUDA graphs of frozen networks: one launch instead of one for every layer.

A graph replays kernels on fixed addresses, so it is for one shape of input. Its result lies where the next replay
writes again: whoever keeps it longer copies it. The result of every network here is pooled at once, which is a copy.
"""

import logging
from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor

logger = logging.getLogger("cil")

WARM_UP = 3
"""Runs before the capture: cuDNN tries its algorithms in them, which a capture does not allow."""

Run = Callable[[Tensor], Tensor]
Capture = Callable[[Run, Tensor], Run]


class Captured:
    """A captured run on inputs of one shape and dtype, under the autocast and the grad mode of the capture."""

    def __init__(self, run: Run, images: Tensor) -> None:
        self._images = images.clone()
        stream = torch.cuda.Stream(images.device)
        stream.wait_stream(torch.cuda.current_stream(images.device))
        with torch.cuda.stream(stream):
            for _ in range(WARM_UP):
                run(self._images)
        torch.cuda.current_stream(images.device).wait_stream(stream)
        self._graph = torch.cuda.CUDAGraph()
        # thread_local: what another thread asks of CUDA meanwhile (pinned memory) is allowed. The outer context gives
        # the stream back where the capture fails, which torch.cuda.graph then does not.
        before = torch.cuda.stream(torch.cuda.current_stream(images.device))
        with before, torch.cuda.graph(self._graph, capture_error_mode="thread_local"):
            self._result = run(self._images)

    def __call__(self, images: Tensor) -> Tensor:
        """The result for images; overwritten by the next call."""
        self._images.copy_(images)
        self._graph.replay()
        return self._result


class GraphedRun:
    """Runs one network, by a graph where the shape of the input is the one of the run before.

    The last batch of an epoch, shorter than the others, does not come twice in a row: it runs without. Another shape
    that does (micro-batches, say) replaces the graph. With gradients (MEMO's branches) there is no graph, and after a
    capture that failed there is none for this network any more.
    """

    def __init__(self, capture: Capture = Captured) -> None:
        self._capture = capture
        self._seen: tuple[object, ...] | None = None
        self._kind: tuple[object, ...] | None = None
        self._graph: Run | None = None
        self._failed = False

    def __call__(self, run: Run, images: Tensor) -> Tensor:
        """What `run` gives for images. `run` must compute the same with the same tensors in every call."""
        if torch.is_grad_enabled():
            return run(images)
        half = torch.is_autocast_enabled(images.device.type) and torch.get_autocast_dtype(images.device.type)
        kind = (images.shape, images.dtype, images.device, half)
        if kind == self._seen and kind != self._kind:
            self._graph, self._kind = None, None  # its memory first
            self._graph, self._kind = self._captured(run, images), kind
        self._seen = kind
        return run(images) if self._graph is None or kind != self._kind else self._graph(images)

    def _captured(self, run: Run, images: Tensor) -> Run | None:
        """None where the capture fails. Raises OutOfMemoryError, which trainer.on_oom decides about."""
        if self._failed:
            return None
        try:
            return self._capture(run, images)
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            self._failed = True
            _warn(str(error).partition("\n")[0])
            return None


@cache
def _warn(reason: str) -> None:
    """Once for each reason, not for each network."""
    logger.warning("trainer.cuda_graph_frozen: no CUDA graph of a frozen network, it runs without: %s", reason)
