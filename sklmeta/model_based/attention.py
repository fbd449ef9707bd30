"""The attention layer of neural processes."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class AttentionLayer(nn.Module):
    """Pre-normalised attention to given keys and values, then a feed-forward net.

    Parameters
    ----------
    d_model : int
        Width of a row.

    n_heads : int
        Number of heads.
    """

    def __init__(self, d_model: int, n_heads: int):
        super().__init__()
        self.n_heads = n_heads
        self.norm = nn.LayerNorm(d_model)
        self.query = nn.Linear(d_model, d_model)
        self.key_value = nn.Linear(d_model, 2 * d_model)
        self.learned_key_value = nn.Parameter(torch.randn(2 * d_model))
        self.out = nn.Linear(d_model, d_model)
        self.feed_forward = nn.Sequential(
            nn.LayerNorm(d_model),
            nn.Linear(d_model, 2 * d_model),
            nn.ReLU(),
            nn.Linear(2 * d_model, d_model),
        )

    def keys_and_values(
        self,
        normed: Tensor,  # shape: (n_tasks, n_rows, d_model)
    ) -> tuple[Tensor, Tensor]:  # shape: (n_tasks, n_heads, n_rows + 1, d_head)
        """Keys and values of normalised rows, after a learned one."""
        learned = self.learned_key_value.expand(len(normed), 1, -1)
        both = torch.cat([learned, self.key_value(normed)], dim=1)
        key, value = both.chunk(2, dim=-1)
        return self._split(key), self._split(value)

    def forward(
        self,
        rows: Tensor,  # shape: (n_tasks, n_rows, d_model)
        normed: Tensor,  # shape: (n_tasks, n_rows, d_model); the same after `norm`
        key: Tensor,  # shape: (n_tasks, n_heads, n_keys, d_head)
        value: Tensor,  # shape: (n_tasks, n_heads, n_keys, d_head)
        bias: Tensor,  # shape: broadcastable to (n_tasks, n_heads, n_rows, n_keys)
    ) -> Tensor:  # shape: (n_tasks, n_rows, d_model)
        query = self._split(self.query(normed))
        bias = bias.expand(*query.shape[:3], key.shape[2])
        mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=bias)
        rows = rows + self.out(mixed.transpose(1, 2).flatten(2))
        return rows + self.feed_forward(rows)

    def _split(self, rows: Tensor) -> Tensor:
        return rows.unflatten(-1, (self.n_heads, -1)).transpose(1, 2)


def padding_bias(
    mask: Tensor,  # shape: (n_tasks, n_support)
) -> Tensor:  # shape: (n_tasks, n_support + 1)
    """Minus infinity for padding; 0 for real rows and for the learned one.

    A row of weight w has log w, and so the attention of w rows.
    """
    return F.pad(mask, (1, 0), value=1.0).log()


def same_class_bias(
    y: Tensor,  # shape: (n_tasks, n_support); classes of the support
    weight: Tensor,  # shape: (n_heads,)
    n_rows: int,
) -> Tensor:  # shape: (n_tasks, n_heads, n_rows, n_support + 1)
    """`weight` where two support rows, the first of the `n_rows`, share a class."""
    same = (y[:, :, None] == y[:, None, :]).to(weight.dtype)
    # No class is known of the query rows, nor has the learned row one.
    same = F.pad(same, (1, 0, 0, n_rows - same.shape[1]))
    return weight[:, None, None] * same[:, None]
