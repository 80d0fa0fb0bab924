import pytest
import torch

from cil.config.schema import Negatives
from cil.losses.similarity import cosine_matrix, off_diagonal, split_pairs, unit_rows
from tests.losses.batches import batch
from tests.losses.naive import blocks, cosines


def test_equals_the_plain_loop():
    anchors, columns = batch(4)
    for other in (columns, anchors):
        got = cosine_matrix(anchors, other)
        assert torch.allclose(got, torch.tensor(cosines(anchors, other), dtype=torch.float64), atol=1e-12)


@pytest.mark.parametrize(
    ("left", "right", "result"),
    [
        (torch.float16, torch.float16, torch.float32),
        (torch.bfloat16, torch.float32, torch.float32),
        (torch.float16, torch.bfloat16, torch.float32),
        (torch.float32, torch.float64, torch.float64),
    ],
)
def test_computes_in_float32_at_least(left, right, result):
    assert cosine_matrix(torch.ones(2, 3, dtype=left), torch.ones(2, 3, dtype=right)).dtype == result


def test_gradient_through_one_side_and_through_both():
    anchors, columns = batch(3, width=3)
    assert torch.autograd.gradcheck(cosine_matrix, (anchors, columns))
    assert torch.autograd.gradcheck(lambda rows: cosine_matrix(rows, rows), (anchors,))


def test_rows_under_the_floor_keep_their_value_and_pass_no_gradient():
    rows = torch.tensor([[3.0, 4.0], [0.0, 0.0], [3e-9, 4e-9]], dtype=torch.float64).requires_grad_()
    units = unit_rows(rows)
    assert torch.allclose(units, torch.tensor([[0.6, 0.8], [0, 0], [0.3, 0.4]], dtype=torch.float64))
    units[:, 0].sum().backward()
    assert rows.grad is not None
    assert rows.grad[0].abs().max() > 0.05
    assert not rows.grad[1:].any()


@pytest.mark.parametrize("size", [1, 2, 5])
def test_off_diagonal_keeps_the_order_of_columns(size):
    squares = torch.arange(2.0 * 3 * size * size).view(2, 3, size, size)
    result = off_diagonal(squares)
    assert result.shape == (2, 3, size, size - 1)
    for row in range(size):
        wanted = torch.cat([squares[..., row, :row], squares[..., row, row + 1 :]], -1)
        assert torch.equal(result[..., row, :], wanted)


@pytest.mark.parametrize("negatives", Negatives)
@pytest.mark.parametrize("images", [1, 2, 5])
def test_pairs_are_those_of_the_plain_loop_in_row_order(negatives, images):
    rows = 2 * images
    similarity = torch.arange(float(rows * rows)).view(rows, rows)
    pairs = split_pairs(similarity, negatives)
    wanted = [[float(i * rows + j) for i, j in block] for block in blocks(rows, negatives.name)]
    assert pairs.negatives.flatten(1).tolist() == wanted
    assert pairs.positives.tolist() == [float(i * rows + (i + images) % rows) for i in range(rows)]
    assert pairs.negatives.shape[-1] == (2 * images - 2 if negatives is Negatives.all else images - 1)
