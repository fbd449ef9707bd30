"""The linear mixed model, by maximum likelihood or REML, from sums of products.

``y = x @ beta + z @ b + noise`` with ``b ~ N(0, s**2 R @ R.T)`` of each task's own and
noise of variance ``s**2``; z are some of x's columns. As in lme4 (Bates et al.,
"Fitting Linear Mixed-Effects Models Using lme4", 2015), beta and s are profiled out and
the relative root R is what is sought; here with the gradient, which needs no more than
the likelihood does.
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
from sklmeta.mixed_models.covariance import (
    Correlations,
    FreeEntries,
    coordinates_of,
    structure_of,
)
from sklmeta.mixed_models.moments import Moments, blocks_of

Floats = NDArray[np.float64]

LEAST_VARIANCE = 1e-12
"""Of the noise, relative to the target's: rows that lie on a line have none."""

OUT_OF_STEPS = 1
"""Of L-BFGS. It also stops where rounding hides every descent, which is no fault."""


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
    noise_df: float = math.inf  # of the tasks' own variances; infinite: one for all

    @property
    def covariance(self) -> Floats:  # shape: (n_random, n_random)
        """Covariance of the random effects."""
        return self.noise_variance * (self.root @ self.root.T)


class Profile(NamedTuple):
    """Sums over tasks, with the random effects integrated out."""

    log_determinant: float
    products: Tensor  # shape: (width, width); W.T @ V^-1 @ W
    weighted: Tensor  # shape: (n_random, width); Z.T @ V^-1 @ W
    apart: Tensor  # shape: (n, n_random, width); the same task by task, or as few as
    # have the same sums of squares and products where tasks are many


def profile(moments: Moments, random: IntArray, root: Tensor) -> Profile:
    """Integrate the random effects out, for V = I + Z R R' Z' of every task."""
    products, index = moments.products, torch.from_numpy(random)
    n_tasks, width = products.shape[:2]
    n_factors, n_random = root.shape[1], len(random)
    total, log_determinant = torch.zeros(width, width, dtype=root.dtype), 0.0
    weighted = total.new_zeros(n_random, width)
    parts: list[Tensor] = []
    squares = total.new_zeros(())
    is_long = n_tasks > 2 * n_random * width
    eye = torch.eye(n_factors, dtype=root.dtype)
    for block in blocks_of(n_tasks, 4 * (n_factors + width) * width):
        own = products[block]
        cross = root.mT @ own[:, index]  # (block, n_factors, width)
        inner = cross[:, :, index] @ root + eye
        factor = torch.linalg.cholesky_ex(inner)[0]
        solved = torch.linalg.solve_triangular(factor, cross, upper=False)
        log_determinant += 2 * float(factor.diagonal(dim1=-2, dim2=-1).log().sum())
        flat = solved.reshape(-1, width)
        total += own.sum(0) - flat.mT @ flat
        part = own[:, index] - solved[:, :, index].mT @ solved
        weighted += part.sum(0)
        if is_long:
            flat = part.reshape(len(part), -1)
            squares = squares + flat.mT @ flat
        else:
            parts.append(part)
    if is_long:
        values, vectors = torch.linalg.eigh(squares)
        parts.append(
            (values.clamp(min=0).sqrt() * vectors).mT.unflatten(1, (-1, width))
        )
    return Profile(log_determinant, total, weighted, torch.cat(parts))


class FixedEffects(NamedTuple):
    """Generalised least squares, given the profile."""

    coef: Tensor  # shape: (n_columns,)
    inverse: Tensor  # shape: (n_columns, n_columns); (X' V^-1 X)^-1
    rank: int  # of X' V^-1 X
    log_determinant: float  # of the same
    residual: float  # r' V^-1 r


def fixed_effects(products: Tensor, n_rows: float) -> FixedEffects:
    """Solve for the fixed effects; columns that others explain get the least norm."""
    A, b, c = products[:-1, :-1], products[:-1, -1], products[-1, -1]
    values, vectors = torch.linalg.eigh(A)
    kept = values > values.max() * len(A) * 1e-13
    values, vectors = values[kept], vectors[:, kept]
    coef = vectors @ ((vectors.mT @ b) / values)
    inverse = (vectors / values) @ vectors.mT
    residual = max(float(c - b @ coef), n_rows * LEAST_VARIANCE)
    log_determinant = float(values.log().sum())
    return FixedEffects(coef, inverse, len(values), log_determinant, residual)


class Likelihood:
    """The profiled likelihood of one set of tasks, as a function of the root."""

    def __init__(self, moments: Moments, random: IntArray, reml: bool):
        self.moments, self.random, self.reml = moments, random, reml
        self.n_rows = float(moments.n_rows.sum())

    def solve(self, root: Floats) -> tuple[Profile, FixedEffects, float]:
        """Sums over tasks, fixed effects, and the rows less what these use up."""
        sums = profile(self.moments, self.random, torch.from_numpy(root))
        fixed = fixed_effects(sums.products, self.n_rows)
        return sums, fixed, max(self.n_rows - self.reml * fixed.rank, 1.0)

    def deviance(self, root: Floats) -> tuple[float, Floats]:
        """Minus twice the log-likelihood, but for a constant; its gradient in R."""
        sums, fixed, n_free = self.solve(root)
        value = sums.log_determinant + n_free * math.log(fixed.residual)
        index = torch.from_numpy(self.random)
        of_x = sums.apart[:, :, :-1]
        of_y = sums.apart[:, :, -1] - of_x @ fixed.coef  # Z' V^-1 r
        slope = sums.weighted[:, index]
        slope = slope - (n_free / fixed.residual) * (of_y.mT @ of_y)
        if self.reml:
            value += fixed.log_determinant
            left, right = (
                part.transpose(0, 1).reshape(len(index), -1)
                for part in (of_x, of_x @ fixed.inverse)
            )
            slope = slope - left @ right.mT
        return value, (2 * slope @ torch.from_numpy(root)).numpy()

    def model(self, root: Floats, n_iter: int, converged: bool) -> LinearMixedModel:
        """The model of a root."""
        sums, fixed, n_free = self.solve(root)
        noise = fixed.residual / n_free
        deviance = sums.log_determinant + self.reml * fixed.log_determinant
        deviance += n_free * (1 + math.log(2 * math.pi * noise))
        return LinearMixedModel(
            fixed.coef.numpy(),
            noise * fixed.inverse.numpy(),
            self.random,
            root,
            noise,
            -0.5 * deviance,
            n_iter,
            converged,
        )


def fit_linear(
    moments: Moments,
    random: IntArray,
    *,
    covariance: str = "auto",
    rank: int = 1,
    reml: bool = True,
    max_iter: int = 500,
    tol: float = 1e-10,
) -> LinearMixedModel:
    """Fit by the profiled likelihood.

    Parameters
    ----------
    moments : Moments
        Of the training tasks.

    random : ndarray of shape (n_random,)
        Columns of the design whose coefficients vary between tasks, in order.

    covariance : {"auto", "full", "shrunk", "diagonal", "low_rank"}, default="auto"
        See `structure_of`.

    rank : int, default=1
        Of the low-rank part.

    reml : bool, default=True
    max_iter : int, default=500
        Steps of L-BFGS.

    tol : float, default=1e-10
        Relative change of the deviance at which the fit is done.
    """
    likelihood = Likelihood(moments, random, reml)
    n_random, n_tasks = len(random), len(moments.products)
    if n_tasks == 1 or not n_random:  # a single task does not say how tasks vary
        return likelihood.model(np.zeros((n_random, n_random)), 1, True)
    n_iter, converged = 0, True
    root = np.eye(n_random) / math.sqrt(n_random)
    for name in ("diagonal", covariance):
        where = coordinates_of(structure_of(name, n_random, n_tasks, rank))
        result = minimize(
            _objective,
            where.start(np.abs(np.diag(root))),
            args=(likelihood, where),
            jac=True,
            method="L-BFGS-B",
            options={"maxiter": max_iter, "ftol": tol, "gtol": 1e-7, "maxcor": 30},
        )
        root, converged = where.root(result.x), result.status != OUT_OF_STEPS
        n_iter += int(result.nit)
        if covariance == "diagonal" or n_random == 1:
            break
    return likelihood.model(root, n_iter, converged)


def _objective(
    theta: Floats, likelihood: Likelihood, where: FreeEntries | Correlations
) -> tuple[float, Floats]:
    return where.pull(theta, *likelihood.deviance(where.root(theta)))
