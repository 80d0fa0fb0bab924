import numpy as np
import pytest
import torch

from cil.models.attention import MergeAttention, tokens
from tests.golden_files import golden

GOLDEN_NAMES = {
    "weight_q": "query",
    "weight_k_ta": "key_agnostic",
    "weight_k_ts": "key_specific",
    "weight_v_ta": "value_agnostic",
    "weight_v_ts": "value_specific",
    "norm_ta.weight": "norm_agnostic.weight",
    "norm_ta.bias": "norm_agnostic.bias",
    "norm_ts.weight": "norm_specific.weight",
    "norm_ts.bias": "norm_specific.bias",
}


@pytest.mark.golden
def test_golden_merge_attention():
    figures = np.load(golden("merge_attention.npz"))
    attention = MergeAttention(figures["ta"].shape[2], heads=4)
    state = {ours: torch.from_numpy(figures[theirs.replace(".", "__")]) for theirs, ours in GOLDEN_NAMES.items()}
    attention.load_state_dict(state)
    out = attention(torch.from_numpy(figures["ta"]), torch.from_numpy(figures["ts"]))
    torch.testing.assert_close(out, torch.from_numpy(figures["out"]), atol=1e-5, rtol=1e-5)


def naive_attention(attention: MergeAttention, agnostic: torch.Tensor, specific: torch.Tensor) -> torch.Tensor:
    a, s = attention.norm_agnostic(agnostic), attention.norm_specific(specific)
    out = torch.zeros_like(s)
    head_width = s.shape[2] // attention.heads
    for image in range(len(s)):
        keys = torch.cat([a[image] @ attention.key_agnostic, s[image] @ attention.key_specific])
        values = torch.cat([a[image] @ attention.value_agnostic, s[image] @ attention.value_specific])
        queries = s[image] @ attention.query
        for head in range(attention.heads):
            columns = slice(head * head_width, (head + 1) * head_width)
            for i in range(s.shape[1]):
                scores = keys[:, columns] @ queries[i, columns] / head_width**0.5
                out[image, i, columns] = torch.softmax(scores, dim=0) @ values[:, columns]
    return out


def test_equals_a_loop_over_heads_and_tokens():
    attention = MergeAttention(width=12, heads=3).double()
    attention.reset_parameters(torch.Generator().manual_seed(1))
    draws = torch.Generator().manual_seed(2)
    agnostic, specific = (torch.randn(2, 5, 12, dtype=torch.float64, generator=draws) for _ in range(2))
    torch.testing.assert_close(attention(agnostic, specific), naive_attention(attention, agnostic, specific))


def test_heads_must_divide_the_width():
    with pytest.raises(ValueError, match="attention_heads=5"):
        MergeAttention(width=12, heads=5)


def test_tokens_are_positions_in_reading_order():
    feature_map = torch.arange(2 * 3 * 2 * 2).reshape(2, 3, 2, 2)
    assert tokens(feature_map)[1, 2].tolist() == feature_map[1, :, 1, 0].tolist()
