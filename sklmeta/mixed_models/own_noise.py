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

from sklmeta.mixed_models.covariance import Floats, Structure, structure_of
from sklmeta.mixed_models.linear import LinearMixedModel
from sklmeta.mixed_models.moments import Moments, blocks_of

MOST_LOG_DF = 9.0
"""Past it the tasks' variances are as good as one."""


class StudentLikelihood:
    """Minus twice the log-likelihood in the root, beta, log s^2 and log (df - 2)."""

    def __init__(
        self, moments: Moments, shared: LinearMixedModel, structure: Structure
    ):
        self.moments, self.shared, self.structure = moments, shared, structure
        self.sizes = [len(structure.rows), len(shared.coef), 1, 1]

    def start(self) -> Floats:
        """The model with one variance for all tasks."""
        root = self.structure.free(self.shared.root)
        noise = math.log(self.shared.noise_variance)
        return np.concatenate([root, self.shared.coef, [noise, 2.0]])

    def parts(self, theta: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The root, beta, s^2 and df."""
        free, beta, noise, df = theta.split(self.sizes)
        root = theta.new_zeros(self.structure.shape)
        index = (
            torch.from_numpy(self.structure.rows),
            torch.from_numpy(self.structure.columns),
        )
        return root.index_put(index, free), beta, noise.exp(), 2 + df.exp()

    def __call__(self, theta: Floats) -> tuple[float, Floats]:
        """Its value and gradient."""
        own = self.moments.products
        total, gradient = 0.0, np.zeros_like(theta)
        for block in blocks_of(len(own), 8 * own.shape[1] ** 2):
            leaf = torch.from_numpy(theta).requires_grad_()
            value = self._of_tasks(own[block], *self.parts(leaf)).sum()
            value.backward()
            assert leaf.grad is not None
            total += value.item()
            gradient = gradient + leaf.grad.numpy()
        root = self.structure.root(theta[: self.sizes[0]])
        penalty, slope = self.structure.penalty(root)
        gradient[: self.sizes[0]] += self.structure.free(slope)
        return total + penalty, gradient

    def _of_tasks(
        self, own: Tensor, root: Tensor, beta: Tensor, noise: Tensor, df: Tensor
    ) -> Tensor:  # shape: (n_tasks,)
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
    structure = structure_of(covariance, n_random, n_tasks, rank)
    likelihood = StudentLikelihood(moments, shared, structure)
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
    root, beta, noise, df = likelihood.parts(torch.from_numpy(result.x))
    penalty, _ = structure.penalty(root.numpy())
    ratio = float(noise) / shared.noise_variance
    return shared._replace(
        coef=beta.numpy(),
        coef_covariance=ratio * shared.coef_covariance,
        root=root.numpy(),
        noise_variance=float(noise),
        noise_df=float(df),
        log_likelihood=-0.5 * (float(result.fun) - penalty),
        n_iter=shared.n_iter + int(result.nit),
        converged=bool(result.success),
    )
