"""The attention layer of neural processes."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


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
            nn.GELU(),
            nn.Linear(2 * d_model, d_model),
        )

    def keys_and_values(
        self,
        rows: Tensor,  # shape: (n_tasks, n_rows, d_model)
    ) -> tuple[Tensor, Tensor]:  # shape: (n_tasks, n_heads, n_rows + 1, d_head)
        """Keys and values of the rows, after a learned one."""
        learned = self.learned_key_value.expand(len(rows), 1, -1)
        both = torch.cat([learned, self.key_value(self.norm(rows))], dim=1)
        key, value = both.chunk(2, dim=-1)
        return self._split(key), self._split(value)

    def forward(
        self,
        rows: Tensor,  # shape: (n_tasks, n_rows, d_model)
        key: Tensor,  # shape: (n_tasks, n_heads, n_keys, d_head)
        value: Tensor,  # shape: (n_tasks, n_heads, n_keys, d_head)
        bias: Tensor,  # shape: broadcastable to (n_tasks, n_heads, n_rows, n_keys)
    ) -> Tensor:  # shape: (n_tasks, n_rows, d_model)
        query = self._split(self.query(self.norm(rows)))
        score = query @ key.mT / math.sqrt(key.shape[-1])
        mixed = torch.softmax(score + bias, dim=-1) @ value
        rows = rows + self.out(mixed.transpose(1, 2).flatten(2))
        return rows + self.feed_forward(rows)

    def _split(self, rows: Tensor) -> Tensor:
        return rows.unflatten(-1, (self.n_heads, -1)).transpose(1, 2)
