import numpy as np
import pytest

from cil.errors import ConfigError
from cil.evaluate.features import check_embedding, embedded, linear_probe, per_class


def clusters(count: int, classes: int = 3) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    labels = np.repeat(np.arange(classes), count)
    return 10 * np.eye(classes, 6)[labels] + random.normal(size=(count * classes, 6)), labels


def test_a_linear_probe_finds_what_is_linearly_there():
    features, labels = clusters(30)

    found = linear_probe(features[::2], labels[::2], features[1::2], labels[1::2])

    assert found["top1"] == 100 and found["train_images"] == 45
    shuffled = np.random.default_rng(1).permutation(labels)
    assert linear_probe(features[::2], shuffled[::2], features[1::2], shuffled[1::2])["top1"] < 60


def test_the_first_images_of_each_class_are_taken():
    labels = np.array([2, 0, 2, 2, 0, 1])

    assert per_class(labels, 2).tolist() == [0, 1, 2, 4, 5]


def test_a_map_keeps_clusters_together_and_is_the_same_again():
    features, labels = clusters(25)

    points = embedded(features, "tsne", seed=1)

    assert points.shape == (75, 2) and np.array_equal(points, embedded(features, "tsne", seed=1))
    centres = np.stack([points[labels == label].mean(axis=0) for label in range(3)])
    nearest = np.linalg.norm(points[:, None] - centres[None], axis=2).argmin(axis=1)
    assert (nearest == labels).mean() > 0.95


def test_an_unknown_map_is_refused():
    with pytest.raises(ConfigError, match="embedding: pca is unknown; valid: tsne, umap"):
        check_embedding("pca")
