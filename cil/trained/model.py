"""A run's network after one of its tasks, as a module that takes plain images."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from cil.config.methods import predicts
from cil.config.schema import AugmentConfig
from cil.data.augment import normalisation
from cil.engine.evaluate import nearest_mean_scores
from cil.engine.model_size import begin_whole
from cil.errors import ConfigError, DataError
from cil.methods import make_method
from cil.methods.base import Method
from cil.methods.heads import CLASSIFIER, NME
from cil.records.checkpoint import CheckpointFolder, DamagedCheckpoint, read_checkpoint
from cil.trained.folder import StoredRun


class ModelOutput(NamedTuple):
    """logits: [B, classes] of the classifier; features: [B, d]."""

    logits: Tensor
    features: Tensor


class TrainedModel(nn.Module):
    """A trained method in eval mode: images -> logits and features, without gradient.

    Images are uint8 [B, 3, H, W], or floating point in [0, 1]; the run's normalisation is part of the module.
    """

    def __init__(self, method: Method, augment: AugmentConfig, class_means: Tensor | None) -> None:
        super().__init__()
        self.method = method
        self.network = method.network
        self.class_means: Tensor | None
        self.register_buffer("class_means", class_means)
        offset, factor = normalisation(augment)
        self.offset: Tensor
        self.factor: Tensor
        self.register_buffer("offset", offset, persistent=False)
        self.register_buffer("factor", factor, persistent=False)
        self.eval()

    def forward(self, images: Tensor) -> ModelOutput:
        """See the class. Raises ValueError for another shape, and for bytes given as floating-point numbers."""
        prediction = self.method.predict(self._normalised(images))
        return ModelOutput(prediction.logits, prediction.features)

    @torch.no_grad()
    def scores(self, images: Tensor) -> dict[str, Tensor]:
        """Class scores [B, classes] of every head: the method's own and, with exemplars, the nearest class mean's
        (`nme`, the negative distance).
        """
        prediction = self.method.predict(self._normalised(images))
        scores = dict(prediction.scores)
        if self.class_means is not None:
            scores[NME] = nearest_mean_scores(prediction.features, self.class_means)
        return scores

    @property
    def judged_by(self) -> str:
        """The head that the method predicts with: its own, or nme for icarl where there are exemplars."""
        head = predicts(self.method.config.method.name)
        return head if head != NME or self.class_means is not None else CLASSIFIER

    def _normalised(self, images: Tensor) -> Tensor:
        if images.dim() != 4 or images.shape[1] != 3:
            raise ValueError(f"images must be [B, 3, H, W], not {list(images.shape)}")
        if not images.is_floating_point() and images.dtype != torch.uint8:
            raise ValueError(f"images must be uint8, or floating point in [0, 1], not {images.dtype}")
        _check_range(images)
        pixels = images.to(torch.float32)
        if images.is_floating_point():
            pixels = pixels * 255
        return (pixels - self.offset) * self.factor


def _check_range(images: Tensor) -> None:
    """Raises ValueError for floating-point images far outside [0, 1]: a little noise, or what a bicubic filter
    overshoots by, is still an image.
    """
    if not images.is_floating_point() or not images.numel() or torch.compiler.is_compiling():
        return
    low, high = float(images.min()), float(images.max())
    if not (low >= -0.5 and high <= 1.5):
        raise ValueError(
            f"images: floating-point values from {low:g} to {high:g}; valid: [0, 1], not normalised (bytes as uint8)"
        )


def load_model(run: StoredRun, task: int | None = None) -> TrainedModel:
    """The network after `task` (from 1; None: the last), on the CPU.

    Raises ConfigError for a task that the run does not have or has not kept, DataError for a damaged file.
    """
    number = run.check_task(task)
    state = read_model(run, number)
    method = make_method(run.config)
    for one in run.tasks[:number]:
        begin_whole(method, one)
    try:
        method.load_state_dict(state["method"])
        means = state["task_end"]["class_means"]
    except (KeyError, RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise DataError(f"{run.path}: the kept network does not fit its config.yaml ({reason})") from None
    return TrainedModel(method, run.config.augment, means)


def read_model(run: StoredRun, task: int) -> Mapping[str, Any]:
    """What was kept after a task, with `method` and `task_end`. Raises ConfigError and DataError."""
    try:
        return read_checkpoint(kept_model(run, task))
    except DamagedCheckpoint as error:
        raise DataError(str(error)) from None


def kept_model(run: StoredRun, task: int) -> Path:
    """The file of the network after a task. Raises ConfigError where it was not kept."""
    kept = _models(run)
    if task not in kept:
        there = ", ".join(map(str, sorted(kept))) or "none"
        raise ConfigError(
            f"task: {run.path} has not kept its network after task {task}; kept: {there} (checkpoint.keep_tasks=true "
            "keeps all)"
        )
    return kept[task]


def kept_tasks(run: StoredRun) -> list[int]:
    """Numbers of the tasks whose network was kept; the last one always is."""
    return sorted(_models(run))


def _models(run: StoredRun) -> dict[int, Path]:
    return CheckpointFolder(run.path / "checkpoints").models(len(run.tasks))
