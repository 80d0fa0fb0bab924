"""Merge attention: task-specific tokens look at task-agnostic and task-specific ones (TagFex, section 3.3)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class MergeAttention(nn.Module):
    """Multi-head attention without output projection or residual.

    Queries come from the task-specific tokens; keys and values from the task-agnostic tokens followed by the
    task-specific ones. Matrices are square, without bias, and multiplied on the right.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"method.attention_heads={heads} does not divide the feature width {width}")
        self.heads = heads
        self.norm_agnostic = nn.LayerNorm(width)
        self.norm_specific = nn.LayerNorm(width)
        self.query = nn.Parameter(torch.empty(width, width))
        self.key_agnostic = nn.Parameter(torch.empty(width, width))
        self.key_specific = nn.Parameter(torch.empty(width, width))
        self.value_agnostic = nn.Parameter(torch.empty(width, width))
        self.value_specific = nn.Parameter(torch.empty(width, width))

    def reset_parameters(self, generator: torch.Generator) -> None:
        """Xavier-normal matrices, layer norms at 1 and 0."""
        for name in ("query", "key_agnostic", "key_specific", "value_agnostic", "value_specific"):
            nn.init.xavier_normal_(getattr(self, name), generator=generator)
        self.norm_agnostic.reset_parameters()
        self.norm_specific.reset_parameters()

    def forward(self, agnostic: Tensor, specific: Tensor) -> Tensor:
        """Tokens [B, n, d] of both nets -> merged tokens [B, n, d], one for each task-specific token."""
        a = self.norm_agnostic(agnostic)
        s = self.norm_specific(specific)
        keys = torch.cat([a @ self.key_agnostic, s @ self.key_specific], dim=1)
        values = torch.cat([a @ self.value_agnostic, s @ self.value_specific], dim=1)
        queries, keys, values = map(self._split_heads, (s @ self.query, keys, values))
        merged = F.scaled_dot_product_attention(queries, keys, values)
        return merged.transpose(1, 2).flatten(2)

    def _split_heads(self, x: Tensor) -> Tensor:
        return x.unflatten(2, (self.heads, -1)).transpose(1, 2)


def tokens(feature_map: Tensor) -> Tensor:
    """Feature map [B, d, h, w] -> tokens [B, h * w, d]."""
    return feature_map.flatten(2).transpose(1, 2)
