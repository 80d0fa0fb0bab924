import pytest
import torch

from cil.losses.radix import histogram, histogram_by_adding, order_statistics_in_passes

SPECIAL = [0.0, -0.0, 1e-40, -1e-40, 1.0, -1.0, 1 + 2**-23, 3e38, -3e38, torch.inf, -torch.inf]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("counting", [histogram, histogram_by_adding])
def test_are_those_of_a_sort(dtype, counting, monkeypatch):
    monkeypatch.setattr("cil.losses.radix.histogram", counting)
    stream = torch.Generator().manual_seed(2)
    values = torch.cat(
        [torch.randn(3000, generator=stream), torch.tensor(SPECIAL), torch.rand(500, generator=stream) * 1e-6 + 0.5]
    ).to(dtype)
    values[:100] = values[7]
    indices = [0, 1, 5, 1000, 1000, 2800, len(values) - 2, len(values) - 1]

    found = order_statistics_in_passes(lambda: iter(values.split(999)), indices)

    assert found.dtype == dtype
    assert torch.equal(found, values.sort().values[indices])


def test_pieces_may_have_any_shape_and_strides():
    values = torch.randn(6, 4, generator=torch.Generator().manual_seed(3))
    found = order_statistics_in_passes(lambda: [values[:2].reshape(2, 2, 2), values[2:].t()], [3, 20])
    assert torch.equal(found, values.flatten().sort().values[[3, 20]])


def test_the_values_are_passed_over_twice_in_float32_and_four_times_in_float64():
    for dtype, passes in ((torch.float32, 2), (torch.float64, 4)):
        seen = []
        order_statistics_in_passes(lambda dtype=dtype, seen=seen: seen.append(1) or [torch.ones(3, dtype=dtype)], [1])
        assert len(seen) == passes
