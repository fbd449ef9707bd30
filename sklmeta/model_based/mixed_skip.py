"""A mixed model beside a network, which then learns what that does not know."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from sklmeta.episodes.rows import Rows
from sklmeta.learners.learner import State
from sklmeta.mixed_models.start import MixedStart

NOISE = math.exp(-1.0)
"""Of the model that stands for one that was not fitted: a task's level alone varies."""


class MixedSkip(nn.Module):
    """The posterior of a fitted linear mixed model, given a support of any size.

    Its numbers are not trained. Before `start_from` it is a random intercept, by which
    a support's mean is shrunk to zero.

    Parameters
    ----------
    n_features : int
        Width of a row.
    """

    mean: Tensor
    root: Tensor
    noise: Tensor

    def __init__(self, n_features: int):
        super().__init__()
        self.register_buffer("mean", torch.zeros(n_features + 1))
        root = torch.zeros(n_features + 1, n_features + 1)
        root[-1, -1] = NOISE**-0.5
        self.register_buffer("root", root)  # relative to the noise
        self.register_buffer("noise", torch.tensor(NOISE))

    def start_from(self, start: MixedStart, min_noise: float) -> None:
        """Take a fitted model; no noise is less than the learner's least."""
        noise = max(start.noise_variance, min_noise**2)
        values, vectors = np.linalg.eigh(start.covariance / noise)
        root = vectors * np.sqrt(np.maximum(values, 0.0))
        self.mean.copy_(torch.as_tensor(start.mean))
        self.root.copy_(torch.as_tensor(root))
        self.noise.fill_(noise)

    def adapt(self, support: Rows) -> State:
        """Posterior ``coef`` (n_tasks, n_columns) and ``gain``, of its covariance."""
        dtype = torch.float64
        # A row of weight w has the noise's variance divided by w.
        root, mask = self.root.to(dtype), support.mask.to(dtype).sqrt()
        rows = with_constant(support.X) * mask[..., None]
        residual = support.y.to(dtype) * mask - rows @ self.mean.to(dtype)
        white = rows @ root
        inner = white.mT @ white + torch.eye(root.shape[1], dtype=dtype).to(root)
        factor = torch.linalg.cholesky_ex(inner)[0]
        right = torch.cat(
            [root.mT.expand_as(inner), white.mT @ residual[..., None]], dim=-1
        )
        solved = torch.linalg.solve_triangular(factor, right, upper=False)
        gain = solved[..., :-1].mT
        coef = self.mean.to(dtype) + (gain @ solved[..., -1:])[..., 0]
        return {"coef": coef, "gain": gain}

    def describe(
        self,
        state: State,
        X: Tensor,  # shape: (n_tasks, n_rows, *input)
    ) -> tuple[Tensor, Tensor]:  # each of shape (n_tasks, n_rows, 1)
        """Mean and logarithm of the standard deviation of a target."""
        rows = with_constant(X)
        mean = rows @ state["coef"].to(rows.dtype)[..., None]
        spread = (rows @ state["gain"].to(rows.dtype)).square().sum(-1, keepdim=True)
        log_std = 0.5 * (self.noise.to(rows.dtype) * (1 + spread)).log()
        return mean.to(X.dtype), log_std.to(X.dtype)


class MixedSkips(nn.Module):
    """The same for several targets, each of which has a model of its own."""

    def __init__(self, n_features: int, n_targets: int):
        super().__init__()
        self.each = nn.ModuleList(MixedSkip(n_features) for _ in range(n_targets))

    @property
    def _skips(self) -> Sequence[MixedSkip]:
        return cast(Sequence[MixedSkip], self.each)

    def start_from(self, start: Sequence[MixedStart], min_noise: float) -> None:
        for skip, own in zip(self._skips, start, strict=True):
            skip.start_from(own, min_noise)

    def adapt(self, support: Rows) -> State:
        """As of `MixedSkip`; an axis for the targets comes after that of the tasks."""
        states = [
            skip.adapt(support._replace(y=y))
            for skip, y in zip(self._skips, support.y.unbind(-1), strict=True)
        ]
        return {name: torch.stack([s[name] for s in states], 1) for name in states[0]}

    def describe(
        self,
        state: State,
        X: Tensor,  # shape: (n_tasks, n_rows, *input)
    ) -> tuple[Tensor, Tensor]:  # each of shape (n_tasks, n_rows, n_targets)
        found = [
            skip.describe({name: state[name][:, k] for name in ("coef", "gain")}, X)
            for k, skip in enumerate(self._skips)
        ]
        mean, log_std = (torch.cat(part, dim=-1) for part in zip(*found, strict=True))
        return mean, log_std


def with_constant(X: Tensor) -> Tensor:
    """Rows and the constant, in float64."""
    rows = X.flatten(2).to(torch.float64)
    return torch.cat([rows, rows.new_ones(*rows.shape[:2], 1)], dim=-1)
