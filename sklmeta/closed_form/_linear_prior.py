"""The normal prior of a task's linear function, and what a support makes of it."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from sklmeta.closed_form._cholesky import eye_like, stable_cholesky
from sklmeta.learners.learner import State


class LinearPrior(NamedTuple):
    """Weights ``w ~ N(mean, diag(d) + L @ L.T)``, and noise; as they are learned."""

    mean: Tensor  # shape: (n_features,)
    log_diagonal: Tensor  # shape: (n_features,); log d
    low_rank: Tensor  # shape: (n_features, rank); L
    log_noise: Tensor  # shape: ()
    min_noise: float

    @property
    def noise(self) -> Tensor:  # shape: ()
        """Variance of a target about its task's linear function."""
        return self.log_noise.to(torch.float64).exp() + self.min_noise**2

    def factors(self) -> tuple[Tensor, Tensor]:
        """Diagonal (n_features,) and low-rank factor (n_features, rank)."""
        dtype = torch.float64
        return self.log_diagonal.to(dtype).exp(), self.low_rank.to(dtype)

    def covariance(self) -> Tensor:  # shape: (n_features, n_features)
        """Covariance of a task's weights."""
        diagonal, low_rank = self.factors()
        return diagonal.diag() + low_rank @ low_rank.mT

    def posterior(
        self,
        features: Tensor,  # shape: (n_tasks, n_rows, n_features)
        residual: Tensor,  # shape: (n_tasks, n_rows)
    ) -> State:
        """Posterior, in row space or feature space, whichever is smaller.

        The residual is what the mean leaves of the targets; rows of zeros whose
        residual is zero add nothing.
        """
        if features.shape[1] < features.shape[2]:
            return self._in_row_space(features, residual)
        return self._in_feature_space(features, residual)

    def _in_row_space(self, features: Tensor, residual: Tensor) -> State:
        diagonal, low_rank = self.factors()
        cross = features * diagonal + features @ low_rank @ low_rank.mT
        gram = cross @ features.mT
        factor = stable_cholesky(gram + self.noise * eye_like(gram))
        # One triangular solve serves the mean and the covariance.
        right = torch.cat([cross, residual[..., None]], dim=-1)
        solved = torch.linalg.solve_triangular(factor, right, upper=False)
        reduction = solved[..., :-1].mT
        shift = (reduction @ solved[..., -1:])[..., 0]
        return {"mean": self.mean + shift, "reduction": reduction}

    def _in_feature_space(self, features: Tensor, residual: Tensor) -> State:
        # In coordinates where the prior is N(0, I) the precision is at least I.
        diagonal, low_rank = self.factors()
        root = stable_cholesky((low_rank @ low_rank.mT + diagonal.diag())[None])[0]
        noise = self.noise.sqrt()
        white = features @ root / noise
        precision = white.mT @ white
        factor = stable_cholesky(precision + eye_like(precision))
        moment = white.mT @ (residual[..., None] / noise)
        right = torch.cat([root.mT.expand_as(precision), moment], dim=-1)
        solved = torch.linalg.solve_triangular(factor, right, upper=False)
        posterior = solved[..., :-1].mT
        shift = (posterior @ solved[..., -1:])[..., 0]
        return {"mean": self.mean + shift, "factor": posterior}

    def predictive(
        self,
        state: State,
        features: Tensor,  # shape: (n_tasks, n_rows, n_features)
    ) -> tuple[Tensor, Tensor]:  # each of shape (n_tasks, n_rows, 1)
        """Mean and logarithm of the variance of the predictive distribution."""
        state = {name: value.to(features.dtype) for name, value in state.items()}
        mean = features @ state["mean"][..., None]
        if "factor" in state:
            variance = (features @ state["factor"]).square().sum(-1)
        else:
            diagonal, low_rank = self.factors()
            prior = features.square() @ diagonal
            prior = prior + (features @ low_rank).square().sum(-1)
            reduction = (features @ state["reduction"]).square().sum(-1)
            # The difference of two large numbers may round to below zero.
            variance = (prior - reduction).clamp(min=0)
        return mean, (variance + self.noise).log()[..., None]
