"""What frozen networks say of the fixed views of a task (augment.view_bank), computed once for each pair of views.

A pair is filled before the first epoch that has it, by one pass in the order of epoch `pair`: a run that
is taken up again fills it with the same bits. The features lie in main memory.
"""

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from cil.config.schema import OnOom, Precision, RunConfig
from cil.data.loader import BatchLoader, TrainBatch
from cil.data.stream import Task
from cil.data.transfer import to_device
from cil.data.views import EpochKey
from cil.distributed.ranks import gather_rows, own_share
from cil.engine.model_size import grown
from cil.errors import ConfigError
from cil.methods.base import Method
from cil.models.resnet import ResNet

logger = logging.getLogger("cil")


class ViewBank:
    """Pooled features of a phase's images in every pair of views that has come up, by frozen network.

    Without augment.view_bank it never knows any. evaluating: what networks are run in; check: may raise between
    batches.
    """

    def __init__(
        self,
        config: RunConfig,
        method: Method,
        loader: BatchLoader,
        evaluating: Callable[[], AbstractContextManager],
        check: Callable[[], None],
    ) -> None:
        self.pairs = config.augment.view_bank
        self.batch_size = config.trainer.batch_size
        self.parts = config.trainer.micro_batches
        self.splits = config.trainer.on_oom is OnOom.accumulate
        self.method = method
        self.loader = loader
        self.evaluating = evaluating
        self.check = check
        self._images = np.empty(0, dtype=np.int64)
        """Places of the phase's images in the train set, ascending."""
        self._kept: dict[int, dict[nn.Module, Tensor]] = {}
        """Pair -> network -> [views, images, d], images as in `_images`."""

    def look_ahead(self, config: RunConfig, tasks: Sequence[Task], images: int) -> None:
        """Tell what the last task, with so many training images, will take. Raises ConfigError where it is too much."""
        if self.pairs is None or len(tasks) < 2:
            return
        method = grown(config, tasks)
        method.begin_phase(0)
        networks = method.frozen_backbones()
        if not networks:
            name = config.method.name
            logger.warning("augment.view_bank: %s has no frozen network that sees the images; nothing is saved", name)
            return
        width = sum(cast(ResNet, network).width for network in networks)
        bytes_each = 4 if config.trainer.precision is Precision.fp32 else 2
        pairs = min(self.pairs, config.trainer.inc_epochs)
        gigabytes, machine = pairs * method.views * images * width * bytes_each / 1e9, main_memory() / 1e9
        text = f"{pairs} pairs of views take {gigabytes:.3g} GB of main memory in task {tasks[-1].number}"
        if gigabytes > machine:
            raise ConfigError(
                f"augment.view_bank: {text} (in each process), but this machine has {machine:.3g} GB; valid: "
                f"{int(pairs * machine / gigabytes)} or fewer, or null"
            )
        logger.info("view bank: %s", text)

    def forget(self) -> None:
        """Of a new phase other networks are frozen, or other images trained on."""
        self._kept.clear()

    def fill(self, images: tuple[np.ndarray, np.ndarray], key: EpochKey) -> None:
        """Have the features of the epoch `key` ready. images: (indices, targets) of the phase, int64 [n]."""
        if self.pairs is None:
            return
        networks, pair = self.method.frozen_backbones(), key.epoch % self.pairs
        if not networks or pair in self._kept:
            return
        self._images = np.sort(images[0])
        views, found = self.method.views, dict[nn.Module, Tensor]()
        for batch in self.loader.train_batches(*images, self.batch_size, replace(key, epoch=pair), views=views):
            self.check()
            size = len(batch.targets)
            places = torch.from_numpy(np.searchsorted(self._images, batch.indices.numpy()))
            for network in networks:
                rows = gather_rows(self._features(network, batch.views), size, views).cpu()
                if network not in found:
                    found[network] = rows.new_empty((views, len(self._images), rows.shape[1]))
                found[network][:, places] = rows.unflatten(0, (views, size))
        self._kept[pair] = found

    @torch.no_grad()
    def _features(self, network: nn.Module, views: Tensor) -> Tensor:
        """Pooled features [R, d] of views [R, 3, H, W], in as many pieces as memory asks for."""
        while True:
            try:
                with self.evaluating():
                    pieces = views.tensor_split(min(self.parts, max(1, len(views))))
                    return torch.cat([self.method.run_frozen.features(network, rows) for rows in pieces])
            except torch.OutOfMemoryError:
                if not self.splits or self.parts >= len(views):
                    raise
            # Outside the except block, where the traceback would keep the failed pass's tensors alive.
            self.parts *= 2

    def known(self, batch: TrainBatch, epoch: int) -> Mapping[nn.Module, Tensor]:
        """The features of this process's rows of a batch [views * own, d], on the device, by frozen network."""
        if self.pairs is None or not self._kept:
            return {}
        own = batch.indices.numpy()[own_share().rows(len(batch.indices))]
        places = torch.from_numpy(np.searchsorted(self._images, own))
        kept, device = self._kept[epoch % self.pairs], batch.views.device
        return {network: to_device(features[:, places].flatten(0, 1), device) for network, features in kept.items()}


def main_memory() -> int:
    """Bytes of main memory that this machine has."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
