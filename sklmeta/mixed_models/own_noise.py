"""A linear mixed model whose tasks have a noise variance of their own.

``v_t ~ InverseGamma(df / 2, df * s**2 / 2)``, ``b_t ~ N(0, v_t R R')`` and noise of
variance v_t: the normal-inverse-gamma prior, with which a task's rows are jointly
Student-t and its posterior stays in closed form (Bishop, "Pattern Recognition and
Machine Learning", 2.3.7).
"""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import math

import numpy as np
import torch
from scipy.optimize import minimize
from torch import Tensor

from sklmeta.mixed_models.covariance import (
    Correlations,
    Floats,
    FreeEntries,
    coordinates_of,
    structure_of,
)
from sklmeta.mixed_models.linear import OUT_OF_STEPS, LinearMixedModel
from sklmeta.mixed_models.moments import Moments, blocks_of

MOST_LOG_DF = 9.0
"""Past it the tasks' variances are as good as one."""


class StudentLikelihood:
    """Minus twice the log-likelihood in the root, beta, log s^2 and log (df - 2)."""

    def __init__(
        self,
        moments: Moments,
        shared: LinearMixedModel,
        where: FreeEntries | Correlations,
    ):
        self.moments, self.shared, self.where = moments, shared, where

    def start(self) -> Floats:
        """The model with one variance for all tasks."""
        root = self.where.of_root(self.shared.root)
        noise = math.log(self.shared.noise_variance)
        return np.concatenate([root, self.shared.coef, [noise, 2.0]])

    def parts(self, theta: Floats) -> tuple[Floats, Floats]:
        """The root; beta, log s^2 and log (df - 2)."""
        n_free = len(theta) - len(self.shared.coef) - 2
        return self.where.root(theta[:n_free]), theta[n_free:]

    def __call__(self, theta: Floats) -> tuple[float, Floats]:
        """Its value and gradient."""
        own, total = self.moments.products, 0.0
        slopes = [np.zeros_like(part) for part in self.parts(theta)]
        for block in blocks_of(len(own), 8 * own.shape[1] ** 2):
            leaves = [torch.tensor(p, requires_grad=True) for p in self.parts(theta)]
            value = self._of_tasks(own[block], *leaves).sum()
            value.backward()
            total += value.item()
            for slope, leaf in zip(slopes, leaves, strict=True):
                assert leaf.grad is not None
                slope += leaf.grad.numpy()
        n_free = len(theta) - len(slopes[1])
        total, of_root = self.where.pull(theta[:n_free], total, slopes[0])
        return total, np.r_[of_root, slopes[1]]

    def _of_tasks(
        self, own: Tensor, root: Tensor, others: Tensor
    ) -> Tensor:  # shape: (n_tasks,)
        beta, noise, df = others[:-2], others[-2].exp(), 2 + others[-1].exp()
        index = torch.from_numpy(self.shared.random)
        n_rows, design, targets = own[:, -2, -2], own[:, :-1, :-1], own[:, -1]
        cross = root.mT @ design[:, index]
        eye = torch.eye(root.shape[1], dtype=root.dtype)
        factor = torch.linalg.cholesky_ex(cross[:, :, index] @ root + eye)[0]
        moment = root.mT @ targets[:, index, None] - (cross @ beta)[..., None]
        solved = torch.linalg.solve_triangular(factor, moment, upper=False)
        square = targets[:, -1] - 2 * targets[:, :-1] @ beta
        square = square + (design @ beta) @ beta - solved[..., 0].square().sum(-1)
        determinant = 2 * factor.diagonal(dim1=-2, dim2=-1).log().sum(-1)
        half, scale = (df + n_rows) / 2, df * noise
        log_density = (
            torch.lgamma(half)
            - torch.lgamma(df / 2)
            - 0.5 * (n_rows * (math.pi * scale).log() + determinant)
            - half * torch.log1p(square.clamp(min=0) / scale)
        )
        return -2 * log_density


def fit_own_noise(
    moments: Moments,
    shared: LinearMixedModel,
    *,
    covariance: str = "auto",
    rank: int = 1,
    max_iter: int = 500,
    tol: float = 1e-10,
) -> LinearMixedModel:
    """Go on from a model with one variance, by maximum likelihood.

    Parameters
    ----------
    moments : Moments
        Of the training tasks.

    shared : LinearMixedModel
        Fitted to them.

    covariance, rank, max_iter, tol
        As in `fit_linear`.
    """
    n_tasks, n_random = len(moments.products), len(shared.random)
    if n_tasks == 1:
        return shared
    where = coordinates_of(structure_of(covariance, n_random, n_tasks, rank))
    likelihood = StudentLikelihood(moments, shared, where)
    start = likelihood.start()
    bounds = [(None, None)] * (len(start) - 1) + [(-MOST_LOG_DF, MOST_LOG_DF)]
    result = minimize(
        likelihood,
        start,
        jac=True,
        method="L-BFGS-B",
        bounds=bounds,
        options={"maxiter": max_iter, "ftol": tol, "gtol": 1e-7, "maxcor": 30},
    )
    root, others = likelihood.parts(result.x)
    noise, df = math.exp(others[-2]), 2 + math.exp(others[-1])
    penalty, _ = where.pull(result.x[: -len(others)], 0.0, np.zeros_like(root))
    ratio = noise / shared.noise_variance
    return shared._replace(
        coef=others[:-2],
        coef_covariance=ratio * shared.coef_covariance,
        root=root,
        noise_variance=noise,
        noise_df=df,
        log_likelihood=-0.5 * (float(result.fun) - penalty),
        n_iter=shared.n_iter + int(result.nit),
        converged=result.status != OUT_OF_STEPS,
    )
