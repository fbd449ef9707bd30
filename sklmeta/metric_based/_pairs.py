"""Pairs of rows: their weights and loss, and what they say about classes."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from sklmeta.learners.losses import or_one


def pair_weights(
    same: Tensor,  # shape: (n_tasks, n_query, n_support + n_query)
    support_mask: Tensor,  # shape: (n_tasks, n_support)
    query_mask: Tensor,  # shape: (n_tasks, n_query)
) -> Tensor:  # shape: (n_tasks, n_query, n_support + n_query)
    """Give one half to the pairs of one class and one half to those of two."""
    n_query, n_rows = same.shape[1:]
    mask = torch.cat([support_mask, query_mask], dim=1)
    real = query_mask[:, :, None] * mask[:, None]
    itself = torch.eye(n_query, n_rows, device=same.device, dtype=torch.bool)
    itself = itself.roll(n_rows - n_query, dims=1)
    real = real.masked_fill(itself, 0.0)
    alike = real * same
    others = real - alike
    n_alike = alike.sum((1, 2), keepdim=True)
    n_others = others.sum((1, 2), keepdim=True)
    return 0.5 * (alike / n_alike.clamp(min=1) + others / n_others.clamp(min=1))


def pair_cross_entropy(odds: Tensor, same: Tensor) -> Tensor:
    return F.binary_cross_entropy_with_logits(
        odds, same.to(odds.dtype), reduction="none"
    )


def class_maxima(
    odds: Tensor,  # shape: (n_tasks, n_rows, n_remembered); -inf for padding
    y: Tensor,  # same shape
    weight: Tensor,  # same shape, or broadcast to it; without a say here
    counts: Tensor,  # shape: (n_tasks, 1, n_classes)
    learned: Tensor | None,  # shape: (n_tasks, n_rows, n_classes)
) -> Tensor:  # shape: (n_tasks, n_rows, n_classes)
    empty = odds.new_full((*odds.shape[:2], counts.shape[-1]), -torch.inf)
    nearest = empty.scatter_reduce(2, y, odds, "amax")
    return nearest if learned is None else torch.maximum(nearest, learned)


def class_means(
    odds: Tensor,  # shape: (n_tasks, n_rows, n_remembered); -inf for padding
    y: Tensor,  # same shape
    weight: Tensor,  # same shape, or broadcast to it
    counts: Tensor,  # shape: (n_tasks, 1, n_classes)
    learned: Tensor | None,  # shape: (n_tasks, n_rows, n_classes)
) -> Tensor:  # shape: (n_tasks, n_rows, n_classes)
    odds = weight * odds.masked_fill(odds == -torch.inf, 0.0)
    sums = odds.new_zeros(*odds.shape[:2], counts.shape[-1]).scatter_add(2, y, odds)
    return (sums if learned is None else sums + learned) / or_one(counts)


def votes(
    odds: Tensor,  # shape: (n_tasks, n_rows, n_remembered); -inf for padding
    y: Tensor,  # same shape
    weight: Tensor,  # same shape, or broadcast to it
    learned: Tensor | None,  # shape: (n_tasks, n_rows, n_classes)
    n_neighbors: int,
    like: Tensor,  # shape: (n_tasks, n_rows, n_classes)
) -> Tensor:  # shape: (n_tasks, n_rows, n_classes)
    """Number of the nearest remembered rows of each class, as often as these count."""
    weight = weight.expand_as(odds)
    if learned is not None:
        classes = torch.arange(like.shape[-1], device=y.device).expand_as(like)
        odds = torch.cat([odds, learned.detach()], dim=2)
        weight = torch.cat([weight, torch.ones_like(learned)], dim=2)
        y = torch.cat([y, classes], dim=2)
    light = bool(((weight > 0) & (weight < 1)).any())  # more of them are neighbours
    n_seen = odds.shape[2] if light else min(n_neighbors, odds.shape[2])
    nearest = odds.topk(n_seen, dim=2)
    voted = weight.gather(2, nearest.indices) * (nearest.values > -torch.inf)
    # The last of the neighbours may count in part.
    before = voted.cumsum(2) - voted
    voted = torch.minimum(voted, (n_neighbors - before).clamp(min=0))
    index = y.gather(2, nearest.indices)
    return torch.zeros_like(like).scatter_add(2, index, voted)
