"""How quickly each training image of a task is learned: the share of epochs in which view 1 was classified correctly.

A finding of the study of example forgetting (Toneva et al., ICLR 2019, arXiv 1812.05159): what is hardly ever right is
often atypical or mislabelled. `memory.selection=speed` uses it.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from cil.data.transfer import to_device


class LearningSpeed:
    """Counts hits on the device, without waiting for it."""

    def __init__(self, images: int, device: torch.device) -> None:
        """images: of the whole train set."""
        self._device = device
        self._counts = torch.zeros(2, images, dtype=torch.int32, device=device)
        """Rows: epochs that have shown an image, and those in which it was classified correctly."""

    def add(self, indices: Tensor, correct: Tensor) -> None:
        """A batch: places int64 [B] in the train set, and whether each image was classified correctly, bool [B]."""
        places = to_device(indices, self._device)
        shown = torch.ones_like(correct, dtype=torch.int32)
        # Out of place: a state that was taken before stays as it is.
        self._counts = self._counts.index_add(1, places, torch.stack([shown, correct.to(torch.int32)]))

    def of(self, indices: np.ndarray) -> Tensor:
        """Shares float64 [N] of the images at `indices`, on the CPU; 0 for one that no epoch has shown."""
        shown, hits = self._counts[:, torch.from_numpy(indices).to(self._device)].cpu().double()
        return hits / shown.clamp_min(1)

    def reset(self) -> None:
        """A new task begins."""
        self._counts = torch.zeros_like(self._counts)

    def state_dict(self) -> dict[str, Tensor]:
        """What has been counted."""
        return {"counts": self._counts}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from `state`; from nothing where it is empty."""
        if state:
            self._counts = state["counts"].to(self._device)
