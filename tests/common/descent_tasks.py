"""Three tasks for the tests of learners that adapt by steps, and their loss."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from sklmeta.episodes.rows import Episodes
from sklmeta.learners.encoders import MLP
from sklmeta.testing import random_rows

N_TASKS, N_SUPPORT, N_QUERY = 3, 7, 5


def episodes_of(
    kind, seed=0, n_support=N_SUPPORT, n_query=N_QUERY, n_features=3, n_targets=1
):
    """Three tasks; when classes are their own, of 2, 3 and 4 classes."""
    ways = (2, 3, 4) if kind == "own" else None
    return Episodes(
        *(
            random_rows(
                kind,
                (n_rows,) * N_TASKS,
                input_shape=(n_features,),
                n_classes=4,
                ways=ways,
                n_targets=n_targets,
                random_state=2 * seed + part,
            )
            for part, n_rows in enumerate((n_support, n_query))
        )
    )


def loss_of(output, y, kind):
    if kind == "regression":
        return F.mse_loss(output, y.reshape(output.shape)) * output.shape[1]
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
