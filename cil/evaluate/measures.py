"""Measures of a trained network, as pure functions of its outputs."""

from dataclasses import dataclass

import numpy as np

PARTS = ("matrix", "drift", "calibration", "probe", "embedding", "corruptions")
"""The analyses of an evaluation."""
BINS = 15
"""Of confidence, equally wide (Guo et al., "On Calibration of Modern Neural Networks", ICML 2017)."""


@dataclass(frozen=True)
class Calibration:
    """How well confidence tells accuracy. All but `nll` (nats) and the counts are shares in [0, 1]."""

    ece: float
    """Expected calibration error: mean over the images of |accuracy - confidence| of their bin."""
    confidence: float
    accuracy: float
    nll: float
    bins: list[dict[str, float]]
    """Each bin that holds images: `images`, `confidence`, `accuracy`."""


def calibration(logits: np.ndarray, targets: np.ndarray) -> Calibration:
    """Of class scores float [N, C] under a softmax, and targets int [N]; N at least 1."""
    scores = logits.astype(np.float64)
    scores = scores - scores.max(axis=1, keepdims=True)
    log_shares = scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))
    confidence = np.exp(log_shares.max(axis=1))
    correct = log_shares.argmax(axis=1) == targets
    # Intervals (0, 1/15], (1/15, 2/15], ..., as in the paper.
    places = np.clip(np.ceil(confidence * BINS).astype(int) - 1, 0, BINS - 1)
    bins, error = [], 0.0
    for place in range(BINS):
        inside = places == place
        if inside.any():
            hit, sure, images = float(correct[inside].mean()), float(confidence[inside].mean()), int(inside.sum())
            bins.append({"images": images, "confidence": sure, "accuracy": hit})
            error += images / len(targets) * abs(hit - sure)
    nll = -float(log_shares[np.arange(len(targets)), targets].mean())
    return Calibration(error, float(confidence.mean()), float(correct.mean()), nll, bins)


def linear_cka(before: np.ndarray, after: np.ndarray) -> float | None:
    """Linear centred kernel alignment in [0, 1] of features [N, d1] and [N, d2] of the same N images.

    1: the same up to rotation and scale, whatever the sizes. None where one of them is constant.
    (Kornblith et al., "Similarity of Neural Network Representations Revisited", ICML 2019, section 3.)
    """
    x = before.astype(np.float64) - before.mean(axis=0, dtype=np.float64)
    y = after.astype(np.float64) - after.mean(axis=0, dtype=np.float64)
    norms = np.linalg.norm(x.T @ x) * np.linalg.norm(y.T @ y)
    return float(np.linalg.norm(y.T @ x) ** 2 / norms) if norms > 0 else None


def mean_cosine(before: np.ndarray, after: np.ndarray) -> float | None:
    """Mean cosine similarity of features [N, d] of the same images; None where their sizes differ."""
    if before.shape != after.shape:
        return None
    x, y = before.astype(np.float64), after.astype(np.float64)
    norms = np.linalg.norm(x, axis=1) * np.linalg.norm(y, axis=1)
    return float(((x * y).sum(axis=1) / np.maximum(norms, 1e-12)).mean())
