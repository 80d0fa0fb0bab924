"""Herding against the reference's figures, the definition by plain loops, and hand-computed cases."""

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from cil.data.herding import class_mean, herd
from tests.devices import DEVICES
from tests.golden_files import golden


def by_definition(features: np.ndarray, count: int) -> list[int]:
    """argmin_x |mu - (sum picked + x)/k| by plain loops in float64."""
    rows = features.astype(np.float64)
    mean, total, picked = rows.mean(axis=0), np.zeros(rows.shape[1]), []
    for k in range(1, count + 1):
        distances = [np.linalg.norm(mean - (total + x) / k) if i not in picked else np.inf for i, x in enumerate(rows)]
        picked.append(int(np.argmin(distances)))
        total += rows[picked[-1]]
    return picked


@pytest.mark.golden
@pytest.mark.parametrize("device", DEVICES)
def test_golden_herding(device):
    figures = np.load(golden("herding.npz"))
    features = torch.from_numpy(figures["features"]).to(device)
    picked = herd(features, len(figures["selected"]))
    assert picked.tolist() == figures["selected"].tolist()
    np.testing.assert_allclose(class_mean(features[picked]).cpu().numpy(), figures["exemplar_mean"], rtol=0, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("rows", "width", "count"), [(40, 8, 40), (60, 512, 25), (1, 4, 1), (30, 1, 10)])
def test_equals_the_definition(dtype, rows, width, count):
    generator = torch.Generator().manual_seed(rows)
    features = normalize(torch.randn(rows, width, generator=generator, dtype=dtype).relu() + 0.01, dim=1)
    if width == 1:  # every row is 1: all tie
        assert herd(features, count).tolist() == list(range(count))
    else:
        assert herd(features, count).tolist() == by_definition(features.numpy(), count)


def test_by_hand():
    # mu = (0.3, 0), not normalised again. Pick 1: (1, 0), distance 0.7. Pick 2 brings the mean of two to (0, 0) with
    # (-1, 0), distance 0.3, or to (0.8, +-0.4), distance 0.64 (nearer if mu were (1, 0)). Pick 3: a tie, lower index.
    features = torch.tensor([[1.0, 0.0], [0.6, 0.8], [0.6, -0.8], [-1.0, 0.0]])
    assert herd(features, 4).tolist() == [0, 3, 1, 2]
    # mu = (0.27, 0.2). Pick 1: row 1, distance 0.67. Pick 2: mean (0, 0.6), distance 0.48, before (0.8, 0), 0.57.
    features = torch.tensor([[-0.8, 0.6], [0.8, 0.6], [0.8, -0.6]], dtype=torch.float64)
    assert herd(features, 2).tolist() == [1, 0]


def test_equal_rows_tie_to_the_lowest_index():
    generator = torch.Generator().manual_seed(0)
    one = normalize(torch.randn(1, 515, generator=generator), dim=1)
    assert herd(one.repeat(37, 1), 20).tolist() == list(range(20))
    square = torch.tensor([[1.0, 0], [0, 1], [-1, 0], [0, -1]])
    assert herd(square, 4).tolist() == [0, 2, 1, 3]


def test_zero_rows_and_counts_beyond_the_class():
    features = torch.zeros(5, 3)
    assert herd(features, 9).tolist() == [0, 1, 2, 3, 4]
    for empty in (herd(features, 0), herd(torch.zeros(0, 3), 4)):
        assert (empty.shape, empty.dtype) == ((0,), torch.int64)
    assert class_mean(features).tolist() == [0.0, 0.0, 0.0]


def test_a_shorter_list_is_the_front_of_a_longer_one():
    features = normalize(torch.randn(50, 16, generator=torch.Generator().manual_seed(3)), dim=1)
    assert herd(features, 10).tolist() == herd(features, 30).tolist()[:10]


def test_input_stays_and_nan_is_refused():
    features = normalize(torch.randn(10, 4, generator=torch.Generator().manual_seed(1)), dim=1)
    before = features.clone()
    herd(features, 10)
    assert torch.equal(features, before)
    features[3, 1] = torch.nan
    with pytest.raises(ValueError, match="not finite"):
        herd(features, 3)


def test_class_mean():
    mean = class_mean(torch.tensor([[1.0, 0.0], [0.0, 1.0]]))
    assert mean.dtype == torch.float32
    np.testing.assert_allclose(mean.numpy(), [0.5**0.5] * 2, rtol=1e-6)


@pytest.mark.cuda
def test_cuda_picks_the_same():
    features = normalize(torch.randn(300, 512, generator=torch.Generator().manual_seed(1)).relu(), dim=1)
    assert herd(features.cuda(), 100).tolist() == herd(features, 100).tolist()
