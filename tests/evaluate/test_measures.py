import math

import numpy as np
import pytest

from cil.evaluate.measures import calibration, linear_cka, mean_cosine


def test_calibration_equals_a_loop_over_the_images():
    random = np.random.default_rng(0)
    logits, targets = 2 * random.normal(size=(300, 4)), random.integers(0, 4, 300)

    found = calibration(logits.astype(np.float32), targets)

    shares = np.exp(logits.astype(np.float32)) / np.exp(logits.astype(np.float32)).sum(axis=1, keepdims=True)
    error = 0.0
    for low in range(15):
        inside = [i for i in range(300) if low / 15 < shares[i].max() <= (low + 1) / 15]
        if inside:
            hit = np.mean([shares[i].argmax() == targets[i] for i in inside])
            sure = np.mean([shares[i].max() for i in inside])
            error += len(inside) / 300 * abs(hit - sure)
    assert found.ece == pytest.approx(error, abs=1e-6)
    assert found.nll == pytest.approx(-np.mean([math.log(shares[i, targets[i]]) for i in range(300)]), abs=1e-5)
    assert found.accuracy == pytest.approx(np.mean(logits.argmax(axis=1) == targets))
    assert sum(one["images"] for one in found.bins) == 300


def test_a_sure_and_right_classifier_is_calibrated_and_a_sure_and_wrong_one_is_not():
    logits = 1000 * np.eye(3, dtype=np.float32)

    assert calibration(logits, np.arange(3)).ece == pytest.approx(0)
    assert calibration(logits, np.array([1, 2, 0])).ece == pytest.approx(1)


def test_cka_knows_no_rotation_or_scale_and_tells_unrelated_features():
    random = np.random.default_rng(0)
    features = random.normal(size=(200, 5))
    rotation, _ = np.linalg.qr(random.normal(size=(5, 5)))

    assert linear_cka(features, features) == pytest.approx(1)
    assert linear_cka(features, 3 * features @ rotation + 2) == pytest.approx(1)
    assert linear_cka(features, np.hstack([features, np.zeros((200, 3))])) == pytest.approx(1)  # of another size
    unrelated = linear_cka(features, random.normal(size=(200, 5)))
    assert unrelated is not None and unrelated < 0.2
    assert linear_cka(features, np.ones((200, 5))) is None


def test_cka_is_the_normalised_hsic_of_the_definition():
    random = np.random.default_rng(1)
    x, y = random.normal(size=(30, 4)), random.normal(size=(30, 6))
    centre = np.eye(30) - 1 / 30
    k, m = centre @ x @ x.T @ centre, centre @ y @ y.T @ centre

    expected = np.trace(k @ m) / math.sqrt(np.trace(k @ k) * np.trace(m @ m))

    assert linear_cka(x, y) == pytest.approx(expected)


def test_mean_cosine():
    assert mean_cosine(np.array([[1.0, 0], [0, 2]]), np.array([[2.0, 0], [0, -1]])) == pytest.approx(0)
    assert mean_cosine(np.ones((2, 3)), np.ones((2, 4))) is None
