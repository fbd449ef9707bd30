"""Two learners as a user would write them: plain torch, one task after the other.

Their mathematics, names of parameters and initial weights are those of
`BayesianLinearRegressor` and `TransformerNeuralProcessRegressor`, so that weights can
be copied and predictions compared.
"""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sklmeta.model_based.attention import AttentionLayer

META_BATCH, N_UPDATES = 16, 1500
MAX_SHOTS = 20


class BayesianLinear(nn.Module):
    """Bayesian linear regression on learned features, for one task."""

    lr, n_query, max_norm = 1e-2, 32, 10.0

    def __init__(self, n_features: int, rank: int = 16):
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Linear(n_features, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU()
        )
        for layer in (self.encoder[0], self.encoder[2]):
            nn.init.kaiming_normal_(layer.weight)
            nn.init.zeros_(layer.bias)
        width = 64 + n_features + 1
        self.prior_mean = nn.Parameter(torch.zeros(width))
        log_diagonal = torch.full((width,), -math.log(width))
        log_diagonal[-1] = 0.0
        self.log_diagonal = nn.Parameter(log_diagonal)
        self.low_rank = nn.Parameter(0.1 * torch.randn(width, rank) / width**0.5)
        self.log_noise = nn.Parameter(torch.tensor(-2.0))

    def features(self, X: Tensor) -> Tensor:
        ones = torch.ones(len(X), 1, dtype=X.dtype)
        return torch.cat([self.encoder(X), X, ones], dim=1).double()

    def forward(self, X: Tensor, y: Tensor, X_query: Tensor) -> tuple[Tensor, Tensor]:
        """Predictive mean and log-variance of the query rows."""
        low_rank, diagonal = self.low_rank.double(), self.log_diagonal.double().exp()
        covariance = low_rank @ low_rank.T + diagonal.diag()
        noise, mean = self.log_noise.double().exp() + 1e-4, self.prior_mean.double()
        phi, phi_query = self.features(X), self.features(X_query)
        cross = phi @ covariance
        gram = cross @ phi.T + noise * torch.eye(len(X), dtype=torch.float64)
        gain = torch.cholesky_solve(cross, torch.linalg.cholesky(gram))
        mean = mean + gain.T @ (y.double() - phi @ mean)
        covariance = covariance - cross.T @ gain
        variance = ((phi_query @ covariance) * phi_query).sum(1).clamp(min=0) + noise
        return phi_query @ mean, variance.log()

    def loss(
        self, X: Tensor, y: Tensor, X_query: Tensor, y_query: Tensor, first: bool
    ) -> Tensor:
        mean, log_variance = self(X, y, X_query)
        square = (y_query - mean).square()
        return 0.5 * (log_variance + square * torch.exp(-log_variance)).mean()


class Attention(AttentionLayer):
    """Attention of all rows to the support and a learned row, then two layers."""

    def forward(self, rows: Tensor, n_support: int) -> Tensor:  # type: ignore[override]
        normed = self.norm(rows)
        both = torch.cat(
            [self.learned_key_value[None], self.key_value(normed[:n_support])]
        )
        query, key, value = (
            part.view(len(part), self.n_heads, -1).transpose(0, 1)
            for part in (self.query(normed), *both.chunk(2, dim=1))
        )
        mixed = F.scaled_dot_product_attention(query, key, value)
        rows = rows + self.out(mixed.transpose(0, 1).flatten(1))
        return rows + self.feed_forward(rows)


class TransformerNeuralProcess(nn.Module):
    """A transformer neural process for one task."""

    lr, n_query, max_norm = 3e-3, 16, 1.0

    def __init__(
        self, n_features: int, d_model: int = 64, n_layers: int = 3, n_heads: int = 4
    ):
        super().__init__()
        self.embed_row = nn.Linear(n_features, d_model)
        self.is_support = nn.Parameter(torch.zeros(d_model))
        self.layers = nn.ModuleList(
            Attention(d_model, n_heads) for _ in range(n_layers)
        )
        self.norm = nn.LayerNorm(d_model)
        self.embed_target = nn.Linear(1, d_model, bias=False)
        self.level = nn.Parameter(torch.tensor(0.0))
        self.log_level_strength = nn.Parameter(torch.tensor(-1.0))
        self.head = nn.Linear(d_model, 2)

    def forward(self, X: Tensor, y: Tensor, X_query: Tensor) -> tuple[Tensor, Tensor]:
        """Predictive mean and log-variance of the query rows."""
        strength = self.log_level_strength.exp()
        level = (y.sum() + strength * self.level) / (len(y) + strength)
        label = self.is_support + self.embed_target((y - level)[:, None])
        rows = torch.cat([self.embed_row(X) + label, self.embed_row(X_query)])
        for layer in self.layers:
            rows = layer(rows, len(X))
        output = self.head(self.norm(rows[len(X) :]))
        floor = torch.tensor(2 * math.log(1e-2))
        return output[:, 0] + level, torch.logaddexp(output[:, 1], floor)

    def loss(
        self, X: Tensor, y: Tensor, X_query: Tensor, y_query: Tensor, first: bool
    ) -> Tensor:
        if first:  # one episode in sixteen has an empty support
            X, y = X[:0], y[:0]
        mean, log_variance = self(X, y, X_query)
        square = (y_query - mean).square()
        loss = 0.5 * (log_variance + square * torch.exp(-log_variance))
        return ((0.5 * log_variance.detach()).exp() * loss).mean()


def train(
    model: nn.Module,
    tasks: Sequence[tuple[Tensor, Tensor]],
    n_updates: int = N_UPDATES,
    seed: int = 0,
) -> None:
    """Meta-train on (X, y) of every task."""
    rng = np.random.default_rng(seed)
    optimizer = torch.optim.AdamW(model.parameters(), model.lr, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, n_updates)
    for _ in range(n_updates):
        optimizer.zero_grad()
        for i, t in enumerate(rng.permutation(len(tasks))[:META_BATCH]):
            X, y = tasks[t]
            shots = rng.integers(1, min(MAX_SHOTS, len(X) // 2) + 1)
            rows = torch.from_numpy(rng.permutation(len(X)))
            support, query = rows[:shots], rows[shots : shots + model.n_query]
            loss = model.loss(X[support], y[support], X[query], y[query], first=i == 0)
            (loss / META_BATCH).backward()
        nn.utils.clip_grad_norm_(model.parameters(), model.max_norm)
        optimizer.step()
        schedule.step()
