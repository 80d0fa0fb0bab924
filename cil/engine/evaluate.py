"""Evaluation: classifier and nearest-mean-of-exemplars accuracy, class by class."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from cil.data.loader import BatchLoader
from cil.data.stream import Task
from cil.distributed.ranks import gather_outputs, gather_rows
from cil.engine.metrics import Row, kinds
from cil.methods.base import Method, Prediction
from cil.methods.heads import CLASSIFIER, NME

Autocast = Callable[[], AbstractContextManager]


@dataclass(frozen=True)
class Scores:
    """Test images and hits of each class, in task order."""

    total: np.ndarray
    """int64 [C]."""
    hits: dict[str, np.ndarray | None]
    """int64 [C] by kind (cil.engine.metrics.kinds); None where a kind was not measured."""
    confusions: dict[str, np.ndarray]
    """int64 [C, C] by head: images of class (row) that the head took for class (column)."""

    @property
    def confusion(self) -> np.ndarray:
        """Of the classifier."""
        return self.confusions[CLASSIFIER]

    def accuracy(self, kind: str, first: int = 0, last: int | None = None) -> float | None:
        """Per cent over the classes first..last-1."""
        hits, total = self.hits[kind], int(self.total[first:last].sum())
        return None if hits is None or not total else 100 * int(hits[first:last].sum()) / total

    def rows(self, tasks: Sequence[Task]) -> dict[str, Row]:
        """One row of each accuracy matrix."""
        return {kind: [self.accuracy(kind, t.first, t.known) for t in tasks] for kind in self.hits}

    def at_chance(self, first: int) -> bool:
        """Whether the classifier tells the classes from `first` on no better than without looking at the images.

        Chance is the share of hits among their images that independent predictions of the same frequencies would
        have (as in Cohen's kappa), plus two standard deviations. A classifier that always names one of the new
        classes is at chance, one that mixes them up with old ones but not with each other is not. A single new
        class has nothing to be told from, so there chance is one in all classes; with one class in all, no.
        """
        rows = self.confusion[first:]
        images, classes = int(rows.sum()), rows.shape[1]
        if not images or classes == 1:
            return False
        hits = np.trace(rows, offset=first)
        share = float((rows.sum(axis=1) * rows[:, first:].sum(axis=0)).sum()) / images**2
        chance = share if len(rows) > 1 else 1 / classes
        return bool(hits / images <= chance + 2 * (chance * (1 - chance) / images) ** 0.5)

    def overall(self) -> dict[str, float | None]:
        """Accuracy over all classes, by kind."""
        return {kind: self.accuracy(kind) for kind in self.hits}


def predictions(
    method: Method, batches: Iterator[Tensor], autocast: Autocast, check: Callable[[], None]
) -> Iterator[Prediction]:
    """Predict batch by batch in eval mode; the network's mode is restored. `check` may raise between batches.

    Where several processes share the batches, each predicts its own rows and gets those of all.
    """
    was_training = method.network.training
    method.network.eval()
    try:
        for images in batches:
            check()
            with torch.no_grad(), autocast():
                prediction = method.predict(images)
            yield gather_outputs(prediction)
    finally:
        method.network.train(was_training)


def unit_features(results: Iterator[Prediction]) -> Tensor:
    """L2-normalised features of all images [N, d] (float32 at least)."""
    return F.normalize(torch.cat([result.features for result in results]), dim=1)


def evaluation_heads(method: Method) -> list[str]:
    """The heads a run of this method is judged by: classifier, nearest means of exemplars, then the method's own."""
    return list(dict.fromkeys([method.heads[0], NME, *method.heads[1:]]))


class Evaluator:
    """Evaluates a method on one subset of the data (train, test or val)."""

    def __init__(self, loader: BatchLoader, autocast: Autocast, batch_size: int, check: Callable[[], None]) -> None:
        self.loader = loader
        self.autocast = autocast
        self.batch_size = batch_size
        self.check = check

    def features(self, method: Method, subset: str, indices: np.ndarray) -> Tensor:
        """Normalised features [N, d] of the images at `indices`, under the evaluation transform."""
        batches = self.loader.eval_batches(subset, indices, self.batch_size)
        return unit_features(predictions(method, batches, self.autocast, self.check))

    def embeddings(self, method: Method, subset: str, indices: np.ndarray) -> Tensor | None:
        """What the contrastive loss compares of the images at `indices`, [N, D]; None for a method without one."""
        found: list[Tensor] = []
        was_training = method.network.training
        method.network.eval()
        try:
            for images in self.loader.eval_batches(subset, indices, self.batch_size):
                self.check()
                with torch.no_grad(), self.autocast():
                    embedded = method.embed(images)
                if embedded is None:
                    return None
                found.append(gather_rows(embedded.float()))
        finally:
            method.network.train(was_training)
        return torch.cat(found) if found else None

    def score(
        self, method: Method, subset: str, indices: np.ndarray, targets: np.ndarray, class_means: Tensor | None
    ) -> Scores:
        """Hits of the method's heads and, with `class_means` [C, d], of the nearest mean of exemplars.

        targets: int64 [N], positions in task order, aligned with `indices`.
        """
        device_targets: Tensor | None = None
        heads = evaluation_heads(method)
        hits: dict[str, list[Tensor]] = {kind: [] for kind in kinds(heads)}
        predicted: dict[str, list[Tensor]] = {}
        start = classes = 0
        batches = self.loader.eval_batches(subset, indices, self.batch_size)
        for result in predictions(method, batches, self.autocast, self.check):
            if device_targets is None:
                device_targets = torch.from_numpy(targets).to(result.logits.device)
                classes = result.logits.shape[1]
            labels = device_targets[start : start + len(result.logits)]
            start += len(labels)
            ranked = dict(result.scores)
            if class_means is not None:
                ranked[NME] = nearest_mean_scores(result.features, class_means)
            for head, scores in ranked.items():
                predicted.setdefault(head, []).append(scores.argmax(dim=1))
                for kind, correct in zip(kinds([head]), _top_k(scores, labels), strict=True):
                    if correct is not None:
                        hits[kind].append(correct)
        confusions = {
            head: _confusion(targets, torch.cat(parts).cpu().numpy(), classes) for head, parts in predicted.items()
        }
        return Scores(np.bincount(targets, minlength=classes), _count(hits, targets, classes), confusions)


def nearest_mean_scores(features: Tensor, class_means: Tensor) -> Tensor:
    """Scores [B, C] of the nearest class mean: minus the distance of the normalised features [B, d] to it."""
    # The matrix-product form loses digits where distances are small and nearly equal.
    return -torch.cdist(F.normalize(features, dim=1), class_means, compute_mode="donot_use_mm_for_euclid_dist")


def _top_k(scores: Tensor, labels: Tensor) -> tuple[Tensor, Tensor | None]:
    """Whether the label is among the best 1 and, if more than 5 classes are known, 5."""
    best = scores.argmax(dim=1) == labels
    if scores.shape[1] <= 5:
        return best, None
    return best, (scores.topk(5, dim=1).indices == labels[:, None]).any(dim=1)


def _confusion(targets: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    return np.bincount(targets * classes + predicted, minlength=classes * classes).reshape(classes, classes)


def _count(hits: dict[str, list[Tensor]], targets: np.ndarray, classes: int) -> dict[str, np.ndarray | None]:
    counted: dict[str, np.ndarray | None] = {}
    for kind, correct in hits.items():
        flags = torch.cat(correct).cpu().numpy() if correct else None
        counted[kind] = None if flags is None else np.bincount(targets[flags], minlength=classes)
    return counted
