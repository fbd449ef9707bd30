"""The linear mixed model with dense matrices: slow, and as the textbooks have it."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


class Problem(NamedTuple):
    """Rows of several tasks; the last column of the design is the constant."""

    design: NDArray  # shape: (n_rows, n_columns)
    y: NDArray  # shape: (n_rows,)
    codes: NDArray  # shape: (n_rows,)
    random: NDArray  # columns whose coefficients vary

    @classmethod
    def draw(cls, n_tasks=7, n_rows=6, n_features=2, random=None, seed=0):
        """Tasks of unequal sizes, their rows scattered."""
        rng = np.random.default_rng(seed)
        codes = rng.permutation(np.repeat(np.arange(n_tasks), n_rows))
        keep = rng.random(len(codes)) < 0.8
        codes = codes[keep]
        design = np.c_[rng.normal(size=(len(codes), n_features)), np.ones(len(codes))]
        random = np.arange(n_features + 1) if random is None else np.array(random)
        own = rng.normal(size=(n_tasks, len(random))) @ rng.normal(
            size=[len(random)] * 2
        )
        y = design.sum(axis=1) + (design[:, random] * own[codes]).sum(axis=1)
        return cls(design, y + 0.5 * rng.normal(size=len(y)), codes, random)

    def covariance(self, D: Tensor, noise: float | Tensor = 1.0) -> Tensor:
        """V = Z D Z' + noise I, of all rows."""
        Z = torch.from_numpy(self.design[:, self.random])
        same = torch.from_numpy(self.codes[:, None] == self.codes)
        return torch.where(same, Z @ D @ Z.mT, 0.0) + noise * torch.eye(
            len(Z), dtype=Z.dtype
        )


class LeastSquares(NamedTuple):
    """Generalised least squares."""

    coef: Tensor
    coef_covariance: Tensor
    residual: Tensor  # r
    precision: Tensor  # V^-1
    square: Tensor  # r' V^-1 r


def least_squares(problem: Problem, V: Tensor) -> LeastSquares:
    """(X' V^-1 X)^-1 X' V^-1 y."""
    X, y = torch.from_numpy(problem.design), torch.from_numpy(problem.y)
    precision = torch.linalg.inv(V)
    covariance = torch.linalg.inv(X.mT @ precision @ X)
    coef = covariance @ X.mT @ precision @ y
    residual = y - X @ coef
    return LeastSquares(
        coef, covariance, residual, precision, residual @ precision @ residual
    )


def log_likelihood(problem: Problem, V: Tensor, reml: bool) -> Tensor:
    """Of the rows given V, at the best fixed effects; or of their contrasts."""
    fit = least_squares(problem, V)
    n_free = len(problem.y) - reml * problem.design.shape[1]
    value = n_free * math.log(2 * math.pi) + torch.logdet(V) + fit.square
    return -0.5 * (value - reml * torch.logdet(fit.coef_covariance))


def deviance(problem: Problem, root: Tensor, reml: bool) -> Tensor:
    """Minus twice the log-likelihood of a relative root, at the best noise."""
    V = problem.covariance(root @ root.mT)
    n_free = len(problem.y) - reml * problem.design.shape[1]
    noise = least_squares(problem, V).square / n_free
    return -2 * log_likelihood(problem, noise * V, reml)


class Prediction(NamedTuple):
    """Of rows of one task."""

    mean: NDArray
    std: NDArray


def blup(
    problem: Problem, rows: NDArray, coef, coef_covariance, D, noise: float
) -> Prediction:
    """Predict rows of the one task of a problem; fixed effects are estimates.

    X beta + Z D Z' V^-1 (y - X beta), and the variance of a target about that: the
    noise, what is not known of b, and what is not known of beta.
    """
    Z, new = problem.design[:, problem.random], rows[:, problem.random]
    precision = np.linalg.inv(Z @ D @ Z.T + noise * np.eye(len(Z)))
    gain = new @ D @ Z.T @ precision
    mean = rows @ coef + gain @ (problem.y - problem.design @ coef)
    unknown = new @ D @ new.T - gain @ Z @ D @ new.T
    reached = rows - gain @ problem.design
    fixed = reached @ coef_covariance @ reached.T
    return Prediction(mean, np.sqrt(noise + np.diag(unknown) + np.diag(fixed)))
