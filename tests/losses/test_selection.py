import pytest
import torch

from cil.losses.selection import largest, order_statistics, order_statistics_by_topk, quantiles

SHARES = (0.0, 0.5, 0.9, 0.95, 1.0)


def random_rows(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


@pytest.mark.parametrize("size", [1, 2, 3, 20, 999])
def test_quantiles_are_those_of_torch(size):
    values = random_rows(size)
    got = quantiles(values, SHARES)
    wanted = torch.quantile(values, torch.tensor(SHARES, dtype=torch.float64))
    assert torch.allclose(torch.stack(got), wanted, atol=1e-12)


def test_quantiles_work_beyond_sixteen_million_values():
    values = torch.arange(2.0**24 + 2)
    assert float(quantiles(values, (0.9,))[0]) == pytest.approx(0.9 * (len(values) - 1), rel=1e-6)


@pytest.mark.parametrize("method", [order_statistics, order_statistics_by_topk])
def test_order_statistics_are_those_of_a_sort(method):
    values = random_rows(3, 50)
    indices = [30, 30, 41, 49]
    assert torch.equal(method(values, indices), values.sort(-1).values[..., indices])
    assert torch.equal(method(values, [0]), values.amin(-1, keepdim=True))


@pytest.mark.parametrize("count", [1, 7, 20])
def test_largest_are_those_of_a_sort(count):
    values = random_rows(4, 20)
    mask = largest(values, count)
    assert (mask.sum(-1) == count).all()
    for row, chosen in zip(values, mask, strict=True):
        assert row[chosen].sort().values.tolist() == row.sort().values[-count:].tolist()


def test_of_equal_values_the_last_are_taken_even_if_rounding_tells_them_apart():
    values = torch.tensor([[0.5 + 1e-14, 0.9, 0.5, 0.1, 0.5]], dtype=torch.float64)
    assert largest(values, 2).tolist() == [[False, True, False, False, True]]
    assert largest(values, 3).tolist() == [[False, True, True, False, True]]
    assert largest(torch.ones(1, 4), 2).tolist() == [[False, False, True, True]]


def test_minus_infinity_is_never_taken_before_a_number():
    values = torch.tensor([[-torch.inf, 0.2, -torch.inf, 0.1]])
    assert largest(values, 2).tolist() == [[False, True, False, True]]
