"""How neural processes aggregate the representations of support rows.

An aggregation has two halves: `remember` keeps what there is to keep of a support, and
`recall` gives the representation of the support as query rows see it. With classes of
each task's own it does so for the rows of every class apart, else for all together:
``n_groups`` is the number of classes, or 1.
"""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sklmeta.episodes.rows import Rows
from sklmeta.learners.learner import State
from sklmeta.model_based.attention import padding_bias


class MeanAggregation(nn.Module):
    """The mean over the support rows and a learned one, of a learned weight.

    Equation 2 of Garnelo et al. (2018) but for the learned row, which is all that an
    empty support has, and tells the decoder how many rows there are.
    """

    def __init__(self, d_model: int):
        super().__init__()
        self.empty = nn.Parameter(torch.zeros(d_model))
        self.log_empty_weight = nn.Parameter(torch.tensor(-1.0))

    def remember(
        self,
        features: Tensor,  # shape: (n_tasks, n_rows, row_width)
        pairs: Tensor,  # shape: (n_tasks, n_rows, d_model)
        support: Rows,
        by_class: bool,
    ) -> State:
        members = _members(support, by_class, pairs.dtype)
        weight = self.log_empty_weight.exp()
        sums = members.mT @ pairs + weight * self.empty
        return {"context": sums / (members.sum(1)[..., None] + weight)}

    def recall(
        self,
        state: State,
        features: Tensor,  # shape: (n_tasks, n_rows, row_width)
    ) -> Tensor:  # shape: (n_tasks, 1, n_groups, d_model)
        return state["context"][:, None]

    def n_groups(self, state: State) -> int:
        return state["context"].shape[1]


class AttentionAggregation(nn.Module):
    """Multi-head attention from a query row to the support rows and a learned one.

    The deterministic path of Kim et al. (2019), with their multi-layer network on the
    rows, which queries and keys have in common. Among the rows of one class the weights
    are a softmax over that class alone.
    """

    def __init__(self, row_width: int, d_model: int, n_heads: int):
        super().__init__()
        self.n_heads = n_heads
        self.embed = nn.Sequential(
            nn.Linear(row_width, d_model), nn.ReLU(), nn.Linear(d_model, d_model)
        )
        self.query = nn.Linear(d_model, d_model, bias=False)
        self.key = nn.Linear(d_model, d_model, bias=False)
        self.value = nn.Linear(d_model, d_model, bias=False)
        self.out = nn.Linear(d_model, d_model, bias=False)
        self.empty_key = nn.Parameter(torch.randn(d_model))
        self.empty = nn.Parameter(torch.zeros(d_model))

    def remember(
        self,
        features: Tensor,  # shape: (n_tasks, n_rows, row_width)
        pairs: Tensor,  # shape: (n_tasks, n_rows, d_model)
        support: Rows,
        by_class: bool,
    ) -> State:
        n_tasks = len(features)
        keys = self.key(self.embed(features))
        keys = torch.cat([self.empty_key.expand(n_tasks, 1, -1), keys], dim=1)
        values = torch.cat([self.empty.expand(n_tasks, 1, -1), self.value(pairs)], 1)
        state = {"keys": self._split(keys), "values": self._split(values)}
        if by_class:
            state["members"] = _members(support, by_class, pairs.dtype)
        else:
            state["bias"] = padding_bias(support.mask)
        return state

    def recall(
        self,
        state: State,
        features: Tensor,  # shape: (n_tasks, n_rows, row_width)
    ) -> Tensor:  # shape: (n_tasks, n_rows, n_groups, d_model)
        query = self._split(self.query(self.embed(features)))
        key, value = state["keys"], state["values"]
        if "members" in state:
            mixed = attend_by_class(query, key, value, state["members"])
            # (n_tasks, n_heads, n_rows, n_classes, d_head)
            return self.out(mixed.permute(0, 2, 3, 1, 4).flatten(3))
        bias = state["bias"][:, None, None]
        bias = bias.expand(-1, self.n_heads, query.shape[2], -1)
        mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=bias)
        return self.out(mixed.transpose(1, 2).flatten(2))[:, :, None]

    def n_groups(self, state: State) -> int:
        return state["members"].shape[-1] if "members" in state else 1

    def _split(self, rows: Tensor) -> Tensor:
        return rows.unflatten(-1, (self.n_heads, -1)).transpose(1, 2)


def attend_by_class(
    query: Tensor,  # shape: (n_tasks, n_heads, n_rows, d_head)
    key: Tensor,  # shape: (n_tasks, n_heads, 1 + n_support, d_head)
    value: Tensor,  # shape: (n_tasks, n_heads, 1 + n_support, d_head)
    members: Tensor,  # shape: (n_tasks, n_support, n_classes); 1 for a row of the class
) -> Tensor:  # shape: (n_tasks, n_heads, n_rows, n_classes, d_head)
    """Attend to the learned row, the first, and those of one class, for every class.

    Nothing has an axis for rows and one for classes and support rows as well.
    """
    n_classes = members.shape[-1]
    score = query @ key.mT / query.shape[-1] ** 0.5
    real = members.sum(-1)[:, None, None] > 0
    own, learned = score[..., 1:].masked_fill(~real, -torch.inf), score[..., :1]
    index = members.argmax(-1)[:, None, None].expand(own.shape)
    with torch.no_grad():  # any shift gives the same softmax; this one is safe
        top = learned.expand(*learned.shape[:-1], n_classes)
        top = top.scatter_reduce(-1, index, own, "amax")
    weight, learned_weight = (own - top.gather(-1, index)).exp(), (learned - top).exp()
    total = learned_weight + weight @ members[:, None]
    by_class = torch.einsum("tnc,thnd->thncd", members, value[:, :, 1:])
    mixed = (weight @ by_class.flatten(3)).unflatten(-1, by_class.shape[3:])
    mixed = mixed + learned_weight[..., None] * value[:, :, None, :1]
    return mixed / total[..., None]


def _members(support: Rows, by_class: bool, dtype: torch.dtype) -> Tensor:
    """1 for a real row of the group: (n_tasks, n_rows, n_groups)."""
    mask = support.mask[..., None].to(dtype)
    if not by_class:
        return mask
    return F.one_hot(support.y, support.n_classes).to(dtype) * mask
