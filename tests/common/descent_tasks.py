"""Three tasks for the tests of learners that adapt by steps, and their loss."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from sklmeta.episodes.rows import Episodes, Rows
from sklmeta.learners.encoders import MLP

N_TASKS, N_SUPPORT, N_QUERY = 3, 7, 5


def episodes_of(kind, seed=0, n_support=N_SUPPORT, n_query=N_QUERY, n_features=3):
    """Three tasks; when classes are their own, of 2, 3 and 4 classes."""
    generator = torch.Generator().manual_seed(seed)
    ways = torch.tensor([2, 3, 4]) if kind == "own" else None
    n_classes = 0 if kind == "regression" else 4

    def rows(n_rows):
        X = torch.randn(N_TASKS, n_rows, n_features, generator=generator).double()
        if kind == "regression":
            y = torch.randn(N_TASKS, n_rows, generator=generator).double()
        else:
            y = torch.arange(n_rows).expand(N_TASKS, -1) % (
                4 if ways is None else ways[:, None]
            )
        return Rows(X, y, torch.ones_like(X[..., 0]), n_classes, ways)

    return Episodes(rows(n_support), rows(n_query))


def loss_of(output, y, kind):
    if kind == "regression":
        return F.mse_loss(output[:, 0], y)
    return F.cross_entropy(output, y)


def encoder_of(name):
    torch.manual_seed(0)
    encoders = {
        "mlp": lambda: MLP(3, (8, 6), "tanh"),
        "layer_norm": lambda: nn.Sequential(
            nn.Linear(3, 6), nn.LayerNorm(6), nn.Tanh()
        ),
        "batch_norm_eval": lambda: nn.Sequential(
            nn.Linear(3, 6), nn.BatchNorm1d(6), nn.Tanh()
        ),
        "conv": lambda: nn.Sequential(
            nn.Unflatten(1, (1, 3)), nn.Conv1d(1, 2, 1), nn.Tanh(), nn.Flatten()
        ),
        "relu": lambda: MLP(3, (8, 6)),
    }
    return encoders[name]().double()
