"""What features are worth: a linear classifier on top of them, and a map of them in two dimensions."""

from typing import Any

import numpy as np

from cil.errors import ConfigError

EMBEDDINGS = ("tsne", "umap")


def per_class(labels: np.ndarray, count: int) -> np.ndarray:
    """Indices of at most `count` of each class of labels [N], the first ones, in order."""
    chosen = [np.flatnonzero(labels == label)[:count] for label in np.unique(labels)]
    return np.sort(np.concatenate(chosen))


def linear_probe(
    train: np.ndarray, train_labels: np.ndarray, test: np.ndarray, test_labels: np.ndarray
) -> dict[str, Any]:
    """Accuracy (per cent) on test features [M, d] of a logistic regression fitted to train features [N, d].

    Each feature is standardised by the train features first. L2 with C = 1, up to 300 iterations of L-BFGS.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    probe = make_pipeline(StandardScaler(), LogisticRegression(max_iter=300))
    probe.fit(train, train_labels)
    return {
        "top1": 100 * float(probe.score(test, test_labels)),
        "train_top1": 100 * float(probe.score(train, train_labels)),
        "train_images": len(train),
        "iterations": int(probe[-1].n_iter_.max()),
    }


def embedded(features: np.ndarray, kind: str, seed: int) -> np.ndarray:
    """Features [N, d] in two dimensions, float32 [N, 2]. Raises ConfigError where UMAP is not installed."""
    unit = features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)
    if kind == "umap":
        return np.asarray(_umap()(random_state=seed, metric="cosine").fit_transform(unit), dtype=np.float32)
    from sklearn.manifold import TSNE

    perplexity = min(30.0, max(2.0, (len(unit) - 1) / 3))
    mapped = TSNE(perplexity=perplexity, init="pca", random_state=seed).fit_transform(unit)
    return np.asarray(mapped, dtype=np.float32)


def check_embedding(kind: str) -> None:
    """Raises ConfigError for an unknown one, and for one whose package is missing."""
    if kind not in EMBEDDINGS:
        raise ConfigError(f"embedding: {kind} is unknown; valid: {', '.join(EMBEDDINGS)}")
    if kind == "umap":
        _umap()


def _umap() -> Any:
    try:
        from umap import UMAP
    except ImportError:
        raise ConfigError("embedding: umap is not installed; pip install 'cil[umap]'") from None
    return UMAP
