"""What frozen networks say of the fixed views of a task (augment.view_bank), computed once for each pair of views.

A pair is filled before the first epoch that has it, by one pass in the order and the batches of that pair: a run that
is taken up again fills it with the same bits. The features lie in main memory.
"""

import logging
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from cil.config.schema import RunConfig
from cil.data.loader import BatchLoader, TrainBatch
from cil.data.transfer import to_device
from cil.data.views import EpochKey
from cil.distributed.ranks import gather_rows, own_share
from cil.methods.base import Method

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
        self.method = method
        self.loader = loader
        self.evaluating = evaluating
        self.check = check
        self._images = np.empty(0, dtype=np.int64)
        """Places of the phase's images in the train set, ascending."""
        self._kept: dict[int, dict[nn.Module, Tensor]] = {}
        """Pair -> network -> [views, images, d], images as in `_images`."""

    def begin_phase(self) -> None:
        """Forget everything: other networks are frozen, other images trained on."""
        self._kept.clear()

    def fill(self, images: tuple[np.ndarray, np.ndarray], key: EpochKey) -> None:
        """Have the features of the epoch `key` ready. images: (indices, targets) of the phase, int64 [n]."""
        if self.pairs is None:
            return
        networks, pair = self.method.frozen(), key.epoch % self.pairs
        if not networks or pair in self._kept:
            return
        self._images = np.sort(images[0])
        found: dict[nn.Module, list[Tensor]] = {network: [] for network in networks}
        places: list[np.ndarray] = []
        views = self.method.views
        for batch in self.loader.train_batches(*images, self.batch_size, replace(key, epoch=pair), views=views):
            self.check()
            size = len(batch.targets)
            places.append(np.searchsorted(self._images, batch.indices.numpy()))
            for network in networks:
                with torch.no_grad(), self.evaluating():
                    features = self.method.run_frozen.features(network, batch.views)
                found[network].append(gather_rows(features, size, views).cpu().unflatten(0, (views, size)))
        order = torch.from_numpy(np.concatenate(places).argsort())
        self._kept[pair] = {network: torch.cat(parts, dim=1)[:, order] for network, parts in found.items()}
        if len(self._kept) == 1:
            size = sum(features.nbytes for features in self._kept[pair].values())
            text = "view bank: features of %d frozen networks, %.3g GB of main memory for each of %d pairs"
            logger.info(text, len(networks), size / 1e9, self.pairs)

    def known(self, batch: TrainBatch, epoch: int) -> Mapping[nn.Module, Tensor]:
        """The features of this process's rows of a batch [views * own, d], on the device, by frozen network."""
        if self.pairs is None or not self._kept:
            return {}
        own = batch.indices.numpy()[own_share().rows(len(batch.indices))]
        places = torch.from_numpy(np.searchsorted(self._images, own))
        kept, device = self._kept[epoch % self.pairs], batch.views.device
        return {network: to_device(features[:, places].flatten(0, 1), device) for network, features in kept.items()}
