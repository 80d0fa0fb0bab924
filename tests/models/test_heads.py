import torch

from cil.models.heads import aligned_weight, fresh_linear, grown_linear


def stream(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_fresh_linear_is_kaiming_uniform_with_zero_bias():
    layer = fresh_linear(300, 400, stream())
    bound = (3 / 300) ** 0.5
    assert layer.weight.abs().max() <= bound
    assert abs(layer.weight.std().item() - bound / 3**0.5) < 0.01 * bound
    assert not layer.bias.any()


def test_growing_keeps_the_old_logits():
    old = fresh_linear(6, 4, stream(1))
    with torch.no_grad():
        old.bias.copy_(torch.arange(4.0))
    grown = grown_linear(old, 12, 7, stream(2))
    x = torch.randn(5, 12, generator=stream(3))
    assert torch.equal(grown.weight[:4, :6], old.weight)
    assert not grown.weight[:4, 6:].any()
    assert grown.weight[4:].ne(0).all()
    torch.testing.assert_close(grown(x)[:, :4], old(x[:, :6]))
    assert grown.bias.tolist() == [0, 1, 2, 3, 0, 0, 0]


def test_alignment_gives_new_rows_the_mean_norm_of_old_ones():
    weight = torch.tensor([[3.0, 4.0], [0.0, 1.0], [6.0, 8.0], [0.0, 20.0]])
    aligned = aligned_weight(weight, old=2)
    # Old norms 5 and 1, mean 3; new norms 10 and 20, mean 15: factor 1/5.
    assert torch.equal(aligned[:2], weight[:2])
    torch.testing.assert_close(aligned[2:], torch.tensor([[1.2, 1.6], [0.0, 4.0]]))
