"""One pass of a trained network over images, and what the analyses need of it."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from cil.config.schema import RunConfig
from cil.data.augment import normalisation
from cil.data.training import TrainingData
from cil.engine.build import build_data, resolve_device
from cil.engine.evaluate import Evaluator, Scores, nearest_mean_scores, predictions
from cil.engine.metrics import kinds
from cil.engine.precision import autocast, set_reproducibility
from cil.errors import DataError
from cil.evaluate.corruptions import corrupted
from cil.evaluate.features import per_class
from cil.methods.heads import NME
from cil.trained.folder import StoredRun
from cil.trained.model import TrainedModel, load_model


@dataclass(frozen=True)
class Outputs:
    """What a network says of N images. logits: float32 [N, C]; features: float32 [N, d]; targets: int64 [N]."""

    logits: np.ndarray
    features: np.ndarray
    targets: np.ndarray


class Bench:
    """A run's images, and its networks as the run itself evaluated them: same batches, same precision."""

    def __init__(self, run: StoredRun, config: RunConfig) -> None:
        self.run = run
        self.config = config
        self.device = resolve_device(config.device)
        set_reproducibility(config.trainer)
        self.data: TrainingData = build_data(config)
        _check_classes(run, self.data, str(config.dataset.root))
        self._evaluator = Evaluator(
            self.data.loader, self._autocast, config.trainer.eval_batch_size, check=lambda: None
        )
        self._scale = [part.to(self.device) for part in normalisation(config.augment)]

    def _autocast(self) -> torch.autocast:
        return autocast(self.config.trainer.precision, self.device)  # type: ignore[return-value]

    def model(self, task: int) -> TrainedModel:
        """The network after a task. Raises ConfigError and DataError."""
        return load_model(self.run, task).to(self.device)

    def scores(self, model: TrainedModel, known: int) -> Scores:
        """Hits on the test images of the first `known` classes, exactly as the run counted them."""
        indices, targets = self.data.indices("test", 0, known)
        return self._evaluator.score(model.method, "test", indices, targets, model.class_means)

    def outputs(self, model: TrainedModel, subset: str, first: int, last: int, limit: int | None = None) -> Outputs:
        """Of the images of the classes first..last-1, at most `limit` of each (the first ones)."""
        indices, targets = self.data.indices(subset, first, last)
        if limit is not None:
            chosen = per_class(targets, limit)
            indices, targets = indices[chosen], targets[chosen]
        batches = self.data.loader.eval_batches(subset, indices, self.config.trainer.eval_batch_size)
        found = list(predictions(model.method, batches, self._autocast, lambda: None))
        logits = torch.cat([one.logits.float() for one in found]).cpu().numpy()
        features = torch.cat([one.features.float() for one in found]).cpu().numpy()
        return Outputs(logits, features, targets)

    def corrupted_accuracy(self, model: TrainedModel, known: int, kind: str, strength: int) -> dict[str, float]:
        """Top-1 (per cent) by head on corrupted test images of the first `known` classes."""
        indices, targets = self.data.indices("test", 0, known)
        labels = torch.from_numpy(targets).to(self.device)
        hits: dict[str, int] = {}
        start = 0
        for result in predictions(model.method, self._corrupted(indices, kind, strength), self._autocast, lambda: None):
            scores = dict(result.scores)
            if model.class_means is not None:
                scores[NME] = nearest_mean_scores(result.features, model.class_means)
            part = labels[start : start + len(result.logits)]
            start += len(part)
            for head, values in scores.items():
                hits[head] = hits.get(head, 0) + int((values.argmax(dim=1) == part).sum())
        return {kinds([head])[0]: 100 * count / len(targets) for head, count in hits.items()}

    def _corrupted(self, indices: np.ndarray, kind: str, strength: int) -> Iterator[torch.Tensor]:
        offset, factor = self._scale
        batches = self.data.loader.eval_batches("test", indices, self.config.trainer.eval_batch_size)
        for number, images in enumerate(batches):
            pixels = (images / factor + offset).round().clamp(0, 255).to(torch.uint8)
            changed = corrupted(pixels, kind, strength, number, self.config.seed)
            yield (changed.to(torch.float32) - offset) * factor


def _check_classes(run: StoredRun, data: TrainingData, root: str) -> None:
    """Raises DataError where the images are not of the run's classes."""
    tasks = data.stream.tasks[: len(run.tasks)]
    if [task.names for task in tasks] != [task.names for task in run.tasks]:
        raise DataError(
            f"dataset.root={root}: holds other classes than {run.path} was trained on "
            "(another data set, or a class list that was edited since)"
        )
    for task, noted in zip(tasks, run.result["tasks"], strict=True):
        found = len(data.indices("test", 0, task.known)[0])
        if found != noted["test_images"]:
            raise DataError(
                f"dataset.root={root}: {found} test images of the first {task.number} tasks, but "
                f"{run.path} was evaluated on {noted['test_images']}"
            )
