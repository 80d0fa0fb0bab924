import torch

from cil.seeding import generator, stream_seed


def test_a_stream_is_named_by_seed_and_key():
    seeds = {
        stream_seed(1, "order", 1, 2),
        stream_seed(2, "order", 1, 2),
        stream_seed(1, "augment", 1, 2),
        stream_seed(1, "order", 2, 1),
        stream_seed(1, "order", 1, 2, 0),
        stream_seed(1, "order", 12),
    }
    assert len(seeds) == 6
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_the_same_name_gives_the_same_draws_whatever_was_drawn_before():
    first = torch.rand(5, generator=generator(3, "order", 1))
    torch.rand(100)
    generator(3, "augment", 1)
    assert torch.equal(first, torch.rand(5, generator=generator(3, "order", 1)))
