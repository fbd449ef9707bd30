"""The linear mixed model, by maximum likelihood or REML, from sums of products.

``y = x @ beta + z @ b + noise`` with ``b ~ N(0, s**2 R @ R.T)`` of each task's own and
noise of variance ``s**2``; z are some of x's columns. As in lme4 (Bates et al., "Fitting
Linear Mixed-Effects Models Using lme4", 2015), beta and s are profiled out and the
relative root R is what is sought; here with the gradient, which needs no more than the
likelihood does.
"""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize
from torch import Tensor

from sklmeta.data.codes import IntArray
from sklmeta.mixed_models.moments import Moments, blocks_of

Floats = NDArray[np.float64]

LEAST_VARIANCE = 1e-12
"""Of the noise, relative to the target's: rows that lie on a line have none."""


class LinearMixedModel(NamedTuple):
    """A fitted linear mixed model; the constant is the last column of the design."""

    coef: Floats  # shape: (n_columns,); fixed effects
    coef_covariance: Floats  # shape: (n_columns, n_columns); of their estimates
    random: IntArray  # shape: (n_random,); columns whose coefficients vary
    root: Floats  # shape: (n_random, n_factors); R
    noise_variance: float
    log_likelihood: float  # restricted, where REML was asked for
    n_iter: int
    converged: bool

    @property
    def covariance(self) -> Floats:  # shape: (n_random, n_random)
        """Covariance of the random effects."""
        return self.noise_variance * (self.root @ self.root.T)


class Pattern(NamedTuple):
    """Which entries of the relative root are free."""

    rows: IntArray
    columns: IntArray
    shape: tuple[int, int]

    def root(self, theta: Floats) -> Floats:
        root = np.zeros(self.shape)
        root[self.rows, self.columns] = theta
        return root


def pattern_of(covariance: str, n_random: int, rank: int) -> Pattern:
    """Free entries for a covariance "full", "diagonal", or of low rank plus diagonal."""
    if covariance == "full":
        rows, columns = np.tril_indices(n_random)
        return Pattern(rows, columns, (n_random, n_random))
    each = np.arange(n_random)
    if covariance == "diagonal" or not rank:
        return Pattern(each, each, (n_random, n_random))
    # The constant, the last, varies most: it is free of the factors' triangle.
    rows, columns = np.tril_indices(n_random, 0, rank)
    rows = n_random - 1 - rows
    return Pattern(
        np.r_[each, rows],
        np.r_[each, n_random + columns],
        (n_random, n_random + rank),
    )


class Profile(NamedTuple):
    """Sums over tasks, with the random effects integrated out."""

    log_determinant: float
    products: Tensor  # shape: (width, width); W.T @ V^-1 @ W, summed
    weighted: Tensor  # shape: (n_tasks, n_random, width); Z.T @ V^-1 @ W


def profile(moments: Moments, random: IntArray, root: Tensor) -> Profile:
    """Integrate the random effects out, for V = I + Z R R' Z' of every task."""
    products, index = moments.products, torch.from_numpy(random)
    n_tasks, width = products.shape[:2]
    n_factors = root.shape[1]
    total, log_determinant = torch.zeros(width, width, dtype=root.dtype), 0.0
    weighted = products.new_empty(n_tasks, len(random), width)
    eye = torch.eye(n_factors, dtype=root.dtype)
    for block in blocks_of(n_tasks, 4 * (n_factors + width) * width):
        own = products[block]
        cross = root.mT @ own[:, index]  # (block, n_factors, width)
        inner = cross[:, :, index] @ root + eye
        factor = torch.linalg.cholesky_ex(inner)[0]
        solved = torch.linalg.solve_triangular(factor, cross, upper=False)
        diagonal = factor.diagonal(dim1=-2, dim2=-1)
        log_determinant += 2 * float(diagonal.log().sum())
        flat = solved.reshape(-1, width)
        total += own.sum(0) - flat.mT @ flat
        weighted[block] = own[:, index] - solved[:, :, index].mT @ solved
    return Profile(log_determinant, total, weighted)


class FixedEffects(NamedTuple):
    """Generalised least squares, given the profile."""

    coef: Tensor  # shape: (n_columns,)
    inverse: Tensor  # shape: (n_columns, n_columns); (X' V^-1 X)^-1
    rank: int  # of X' V^-1 X
    log_determinant: float  # of the same
    residual: float  # r' V^-1 r


def fixed_effects(products: Tensor) -> FixedEffects:
    """Solve for the fixed effects; columns that others explain get the least norm."""
    A, b, c = products[:-1, :-1], products[:-1, -1], products[-1, -1]
    values, vectors = torch.linalg.eigh(A)
    kept = values > values.max() * A.shape[0] * 1e-12
    values, vectors = values[kept], vectors[:, kept]
    coef = vectors @ ((vectors.mT @ b) / values)
    inverse = (vectors / values) @ vectors.mT
    residual = max(float(c - b @ coef), float(c) * LEAST_VARIANCE)
    log_determinant = float(values.log().sum())
    return FixedEffects(coef, inverse, len(values), log_determinant, residual)


def deviance(
    theta: Floats, moments: Moments, random: IntArray, pattern: Pattern, reml: bool
) -> tuple[float, Floats]:
    """Minus twice the profiled log-likelihood, but for a constant, and its gradient."""
    root = torch.from_numpy(pattern.root(theta))
    sums = profile(moments, random, root)
    fixed = fixed_effects(sums.products)
    n_free = float(moments.n_rows.sum()) - reml * fixed.rank
    value = sums.log_determinant + n_free * math.log(fixed.residual)
    own, index = sums.weighted, torch.from_numpy(random)
    of_x = own[:, :, :-1]
    of_y = own[:, :, -1] - of_x @ fixed.coef  # Z' V^-1 r
    slope = own[:, :, index].sum(0) - (n_free / fixed.residual) * (of_y.mT @ of_y)
    if reml:
        value += fixed.log_determinant
        n_random = len(random)
        left, right = (
            part.transpose(0, 1).reshape(n_random, -1)
            for part in (of_x, of_x @ fixed.inverse)
        )
        slope = slope - left @ right.mT
    gradient = (2 * slope @ root).numpy()[pattern.rows, pattern.columns]
    return value, gradient


def fit_linear(
    moments: Moments,
    random: IntArray,
    *,
    covariance: str = "full",
    rank: int = 0,
    reml: bool = True,
    max_iter: int = 500,
    tol: float = 1e-9,
) -> LinearMixedModel:
    """Fit by the profiled likelihood.

    Parameters
    ----------
    moments : Moments
        Of the training tasks.

    random : ndarray of shape (n_random,)
        Columns of the design whose coefficients vary between tasks, in order.

    covariance : {"full", "diagonal", "low_rank"}, default="full"
    rank : int, default=0
        Of the low-rank part.

    reml : bool, default=True
    max_iter : int, default=500
        Steps of L-BFGS.

    tol : float, default=1e-9
        Relative change of the deviance at which the fit is done.
    """
    pattern = pattern_of(covariance, len(random), rank)
    start = np.where(
        pattern.columns == pattern.rows,
        1 / math.sqrt(len(random)),
        np.where(
            pattern.columns < len(random),
            0.0,
            0.1 * np.cos(np.arange(len(pattern.rows))),
        ),
    )
    result = minimize(
        deviance,
        start,
        args=(moments, random, pattern, reml),
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": max_iter, "ftol": tol * 1e-3, "gtol": 1e-6, "maxcor": 30},
    )
    root = pattern.root(result.x)
    sums = profile(moments, random, torch.from_numpy(root))
    fixed = fixed_effects(sums.products)
    n_free = float(moments.n_rows.sum()) - reml * fixed.rank
    noise = fixed.residual / n_free
    log_likelihood = -0.5 * (
        sums.log_determinant
        + reml * fixed.log_determinant
        + n_free * (1 + math.log(2 * math.pi * noise))
    )
    return LinearMixedModel(
        fixed.coef.numpy(),
        noise * fixed.inverse.numpy(),
        random,
        root,
        noise,
        log_likelihood,
        int(result.nit),
        bool(result.success),
    )
