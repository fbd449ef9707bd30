"""What a task's rows say of its coefficients, given a fitted linear mixed model."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sklmeta.mixed_models.linear import LinearMixedModel
from sklmeta.mixed_models.moments import Moments, blocks_of

BLOCK = 2**10
"""Rows to gather their tasks' matrices for at a time."""


class Posterior(NamedTuple):
    """Posterior of every task's coefficients: of fixed and random effects together."""

    coef: Tensor  # shape: (n_tasks, n_columns); the best linear unbiased predictions
    noise_variance: Tensor  # shape: (n_tasks,); a typical value of a task's own
    noise_df: Tensor  # shape: (n_tasks,); infinite where one is known for all
    gain: Tensor  # shape: (n_tasks, n_columns, n_factors)
    reached: Tensor  # shape: (n_tasks, n_columns, n_columns)

    def leverage(
        self,
        rows: Tensor,  # shape: (n_samples, n_columns); the constant included
        codes: Tensor,  # shape: (n_samples,)
    ) -> Tensor:  # shape: (n_samples,)
        """Variance of the random effects at each row, in units of the noise's.

        Of a row that the task was adapted to, how far its target pulls its prediction:
        without it the residual were one over one minus that as large.
        """
        pairs = zip(rows.split(BLOCK), codes.split(BLOCK), strict=True)
        parts = [
            (z[:, None] @ self.gain[own])[:, 0].square().sum(-1) for z, own in pairs
        ]
        return torch.cat(parts)

    def variance(
        self,
        model: LinearMixedModel,
        rows: Tensor,  # shape: (n_samples, n_columns); the constant included
        codes: Tensor,  # shape: (n_samples,)
    ) -> Tensor:  # shape: (n_samples,)
        """Variance of a target: of the noise, the random and the fixed effects."""
        random = self.leverage(rows, codes)
        fixed = (rows[:, None] @ self.reached[codes])[:, 0]
        uncertain = torch.from_numpy(model.coef_covariance)
        # Of Student's t, whose degrees of freedom are more than two.
        own = self.noise_variance[codes] / (1 - 2 / self.noise_df[codes])
        return own * (1 + random) + ((fixed @ uncertain) * fixed).sum(-1)


def posterior(model: LinearMixedModel, moments: Moments) -> Posterior:
    """Condition on the rows of every task.

    The mean is the best linear unbiased prediction, for the coefficients that training
    estimated; the variance takes into account that they are estimates.
    """
    root, index = torch.from_numpy(model.root), torch.from_numpy(model.random)
    beta, own = torch.from_numpy(model.coef), moments.products
    n_tasks, n_columns = len(own), len(beta)
    cross = root.mT @ own[:, index]  # R' Z' [X, y]
    eye = torch.eye(root.shape[1], dtype=root.dtype)
    factor = torch.linalg.cholesky_ex(cross[:, :, index] @ root + eye)[0]
    # b = R M^-1 R' Z' (y - X beta), with M = R' Z' Z R + I.
    placed = root.new_zeros(n_columns, root.shape[1])
    placed[index] = root
    residual = cross[:, :, -1] - cross[:, :, :-1] @ beta
    solved = torch.linalg.solve_triangular(factor, residual[..., None], upper=False)
    whitened = torch.linalg.solve_triangular(
        factor, placed.mT.expand(n_tasks, -1, -1), upper=False
    )
    gain = whitened.mT  # its product with its transpose is R M^-1 R'
    coef = beta + (gain @ solved)[..., 0]
    inner = torch.linalg.solve_triangular(factor, cross[:, :, :-1], upper=False)
    reached = torch.eye(n_columns, dtype=root.dtype) - gain @ inner
    noise = own.new_full((n_tasks,), model.noise_variance)
    df = own.new_full((n_tasks,), model.noise_df)
    if math.isfinite(model.noise_df):
        design, targets = own[:, :-1], own[:, -1]
        square = targets[:, -1] - 2 * targets[:, :-1] @ beta
        square = square + (design[:, :, :-1] @ beta) @ beta
        square = (square - solved[..., 0].square().sum(-1)).clamp(min=0)
        noise = (model.noise_df * noise + square) / (df + moments.n_rows)
        df = df + moments.n_rows
    return Posterior(coef, noise, df, gain, reached)


def coefficients(model: LinearMixedModel, moments: Moments) -> NDArray[np.float64]:
    """Every task's coefficients alone, for which little memory is needed."""
    own = moments.products
    found = np.empty((len(own), len(model.coef)))
    for block in blocks_of(len(own), 8 * own.shape[1] ** 2):
        found[block] = posterior(model, Moments(own[block])).coef.numpy()
    return found
