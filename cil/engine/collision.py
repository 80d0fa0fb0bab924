"""Do new classes come to lie on old ones? Mean embeddings after a task, beside who is confused with whom."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor


def class_prototypes(embeddings: Tensor, sizes: Sequence[int]) -> Tensor:
    """The mean direction of each class [C, D], of embeddings [N, D] that stand class after class, `sizes` of each."""
    unit = F.normalize(embeddings, dim=1)
    return F.normalize(torch.stack([part.mean(dim=0) for part in unit.split(list(sizes))]), dim=1)


def collision(prototypes: Tensor, first: int, confusion: np.ndarray) -> dict[str, Any]:
    """How close the new classes first..C-1 lie to old ones, and whether they are confused with those.

    prototypes: [C, D], of length 1; confusion: counts int [C, C] of the classifier, true class by predicted class.
    `collision/max_cosine`: mean over the new classes of the largest cosine to an old class; `collision/largest`: the
    largest of all. `collision/nearest_confusion`: share of images (per cent) of a new class and of the old one nearest
    to it that are taken for the other, mean over the new classes; `collision/other_confusion`: the same of all other
    pairs of a new and an old class. `collision/rank_correlation`: Spearman's, between cosine and confusion over all
    pairs of a new and an old class; None where one of the two is constant. `collisions`: the nearest old class of each
    new one. Empty in the first task.
    """
    if first == 0:
        return {}
    cosines = (prototypes[first:] @ prototypes[:first].T).double().cpu().numpy()
    shares = 100 * confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    mixed = (shares[first:, :first] + shares[:first, first:].T) / 2
    nearest = cosines.argmax(axis=1)
    at_nearest = np.zeros_like(cosines, dtype=bool)
    at_nearest[np.arange(len(nearest)), nearest] = True
    others = mixed[~at_nearest]
    return {
        "collision/max_cosine": float(cosines.max(axis=1).mean()),
        "collision/largest": float(cosines.max()),
        "collision/nearest_confusion": float(mixed[at_nearest].mean()),
        "collision/other_confusion": float(others.mean()) if others.size else None,
        "collision/rank_correlation": _spearman(cosines.ravel(), mixed.ravel()),
        "collisions": [
            {"new": first + i, "old": int(old), "cosine": float(cosines[i, old]), "confusion": float(mixed[i, old])}
            for i, old in enumerate(nearest)
        ],
    }


def _spearman(a: np.ndarray, b: np.ndarray) -> float | None:
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return None
    from scipy.stats import spearmanr

    return float(spearmanr(a, b).statistic)
