"""The generalised linear mixed model, by the Laplace approximation.

``eta = x @ beta + z @ b`` with ``b ~ N(0, R @ R.T)`` of each task's own is the linear
predictor of a family; z are some of x's columns. Classes have a beta and a b for every
contrast, all with the same R. Maximised are beta, R and the dispersion together, as
lme4's `glmer` does, here with the exact gradient.
"""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize, minimize_scalar
from torch import Tensor

from sklmeta.data.codes import IntArray
from sklmeta.mixed_models.blocks import Block, row_blocks_of
from sklmeta.mixed_models.coordinates import LOG_DISPERSIONS, Coordinates, Parameters
from sklmeta.mixed_models.covariance import (
    Floats,
    Structure,
    coordinates_of,
    structure_of,
)
from sklmeta.mixed_models.families import Family
from sklmeta.mixed_models.laplace import (
    Modes,
    TaskRows,
    cholesky,
    find_modes,
    laplace_slopes,
    laplace_value,
    weighted_products,
)

PRIOR_SCALE = 5.0
"""Standard deviation of the weak normal prior on fixed effects and on the entries of R.

It keeps classes that can be separated, or that are absent, from infinite coefficients:
five units of the logit, or logarithm, per standard deviation of a feature are many.
"""

ROWS_PER_COEFFICIENT = 10
"""With fewer, the scale of the prior on the slopes is learned: of the following, the
one under which the targets are most probable, tasks apart."""

SCALES = (5.0, 2.0, 1.0, 0.5, 0.2, 0.1, 0.05)


class GeneralisedMixedModel(NamedTuple):
    """A fitted model; the constant is the last column of the design."""

    coef: Floats  # shape: (n_columns, n_outputs); fixed effects
    coef_covariance: Floats  # of their estimates, in the order of coef.ravel()
    random: IntArray  # shape: (n_random,); columns whose coefficients vary
    root: Floats  # shape: (n_random, n_factors); R
    log_dispersion: float
    log_likelihood: float  # Laplace's
    n_iter: int
    converged: bool

    @property
    def covariance(self) -> Floats:  # shape: (n_random, n_random)
        """Covariance of the random effects."""
        return self.root @ self.root.T


class Rows(NamedTuple):
    """The rows of all tasks; the constant is the last column of the design."""

    X: Tensor  # shape: (n_samples, n_columns); float64
    y: Tensor  # shape: (n_samples,); float64
    codes: IntArray  # shape: (n_samples,)
    n_tasks: int
    weight: Tensor  # shape: (n_samples,); of the log-likelihood's terms


def as_rows(
    X: Floats, y: NDArray, codes: IntArray, n_tasks: int, weight: Floats | None = None
) -> Rows:
    """Take a design, whose last column is the constant, with its targets."""
    target = torch.tensor(np.asarray(y), dtype=torch.float64)
    weights = torch.ones_like(target) if weight is None else torch.from_numpy(weight)
    return Rows(torch.from_numpy(X), target, codes, n_tasks, weights)


class Reduced(NamedTuple):
    """A block's rows, with fewer factors where its tasks have fewer rows than those."""

    rows: TaskRows
    basis: Tensor | None  # shape: (n_tasks, n_factors, n_rows); u = basis @ reduced u

    def narrow(self, u: Tensor) -> Tensor:
        return u if self.basis is None else self.basis.mT @ u

    def widen(self, u: Tensor) -> Tensor:
        return u if self.basis is None else self.basis @ u


class LaplaceProblem:
    """Modes, value and gradient for rows that stay and parameters that change."""

    def __init__(self, rows: Rows, family: Family, random: IntArray, n_factors: int):
        self.rows, self.family = rows, family
        self.random = torch.from_numpy(random)
        m, n_columns = family.n_outputs, rows.X.shape[1]
        per_row = m * m * max(n_factors, 1)
        per_task = m * m * n_factors * max(n_factors, n_columns)
        self.blocks = list(row_blocks_of(rows.codes, rows.n_tasks, per_row, per_task))
        self.u = torch.zeros(rows.n_tasks, n_factors, m, dtype=torch.float64)

    def solve(
        self, parameters: Parameters, *, reduce: bool = True
    ) -> Iterator[tuple[Block, Reduced, Modes]]:
        """Find the modes, block by block, from where they were the last time."""
        coef, root, log_dispersion = parameters
        fixed = self.rows.X @ coef
        effects = self.rows.X[:, self.random] @ root
        for block in self.blocks:
            reduced = _reduce(block, self.rows, fixed, effects, reduce)
            start = reduced.narrow(self.u[block.tasks])
            modes = find_modes(reduced.rows, self.family, log_dispersion, start)
            self.u[block.tasks] = reduced.widen(modes.u)
            yield block, reduced, modes

    def value_and_slopes(self, parameters: Parameters) -> tuple[float, Parameters]:
        """Minus the Laplace log-likelihood, and its derivatives."""
        rows, (coef, root, log_dispersion) = self.rows, parameters
        n_samples = len(rows.y)
        of_fixed = rows.X.new_zeros(n_samples, coef.shape[1])
        of_effects = rows.X.new_zeros(n_samples, root.shape[1])
        value, of_dispersion = 0.0, 0.0
        for block, reduced, modes in self.solve(parameters):
            value += float(laplace_value(modes).sum())
            slopes = laplace_slopes(reduced.rows, self.family, log_dispersion, modes)
            where, effects = block.rows.flatten(), slopes.effects
            if reduced.basis is not None:
                effects = effects @ reduced.basis.mT
            of_fixed.index_add_(0, where, slopes.fixed.flatten(0, 1))
            of_effects.index_add_(0, where, effects.flatten(0, 1))
            of_dispersion += slopes.log_dispersion
        of_root = rows.X[:, self.random].mT @ of_effects
        return value, Parameters(rows.X.mT @ of_fixed, of_root, of_dispersion)

    def information(self, parameters: Parameters) -> Tensor:
        """Of the fixed effects, in the order of coef.flatten(), at the modes."""
        n_columns, m = parameters.coef.shape
        total = self.rows.X.new_zeros(n_columns * m, n_columns * m)
        for block, reduced, modes in self.solve(parameters):
            rows = reduced.rows
            weight = self.family.slopes(modes.eta, rows.y, parameters.log_dispersion)[1]
            weight = rows.weight[..., None, None] * weight
            X = block.gather(self.rows.X)
            flat = (X.flatten(0, 1)[None], weight.flatten(0, 1)[None])
            total += weighted_products(flat[0], *flat)[0]
            cross = weighted_products(rows.effects, X, weight)
            solved = torch.linalg.solve_triangular(modes.factor, cross, upper=False)
            solved = solved.flatten(0, 1)
            total -= solved.mT @ solved
        return total


def _reduce(
    block: Block, rows: Rows, fixed: Tensor, effects: Tensor, reduce: bool
) -> Reduced:
    a = block.gather(effects)
    weight = block.present * block.gather(rows.weight)
    if not reduce or a.shape[1] >= a.shape[2]:
        basis = None
    else:
        # What the rows do not see of u stays at zero, and has precision 1.
        basis, triangle = torch.linalg.qr(a.mT)
        a = triangle.mT
    y = block.gather(rows.y)
    return Reduced(TaskRows(block.gather(fixed), a, y, weight), basis)


# Fitting ---------------------------------------------------------------------------


def fit_generalised(
    rows: Rows,
    family: Family,
    random: IntArray,
    *,
    covariance: str = "auto",
    rank: int = 1,
    max_iter: int = 500,
    tol: float = 1e-9,
) -> GeneralisedMixedModel:
    """Maximise the Laplace likelihood, with weak normal priors (`PRIOR_SCALE`).

    Parameters
    ----------
    rows : Rows
        Of the training tasks, with standardised features.

    family : Family
    random : ndarray of shape (n_random,)
        Columns of the design whose coefficients vary between tasks, in order.

    covariance : {"auto", "full", "shrunk", "diagonal", "low_rank"}, default="auto"
        See `structure_of`.

    rank : int, default=1
        Of the low-rank part.

    max_iter : int, default=500
        Steps of L-BFGS.

    tol : float, default=1e-9
        Relative change of the deviance at which the fit is done.
    """
    if rows.n_tasks == 1:
        return _of_one_table(rows, family)
    structure = structure_of(covariance, len(random), rows.n_tasks, rank)
    problem = LaplaceProblem(rows, family, random, structure.shape[1])
    level = _level(rows, family)
    scales = _prior_scales(rows, family, level)
    where = _start(problem, structure, level, scales)

    def objective(vector: Floats) -> tuple[float, Floats]:
        now = where.parameters(vector)
        value, slopes = problem.value_and_slopes(now)
        deviation = now.coef - level
        squares = (deviation / scales).square().sum()
        squares += (now.root / scales[-1]).square().sum()
        of_root = slopes.root + now.root / scales[-1] ** 2
        of_coef = slopes.coef + deviation / scales**2
        slopes = slopes._replace(coef=of_coef, root=of_root)
        return where.pull(vector, value + 0.5 * float(squares), slopes)

    result = minimize(
        objective,
        where.start(),
        jac=True,
        method="L-BFGS-B",
        bounds=where.bounds(),
        options={"maxiter": max_iter, "ftol": tol, "gtol": 1e-4, "maxcor": 30},
    )
    best = where.parameters(result.x)
    value, _ = problem.value_and_slopes(best)
    inverse = torch.cholesky_inverse(_penalised(problem.information(best), scales))
    return GeneralisedMixedModel(
        best.coef.numpy(),
        inverse.numpy(),
        random,
        best.root.numpy(),
        best.log_dispersion,
        -value,
        int(result.nit),
        bool(result.success),
    )


def _of_one_table(rows: Rows, family: Family) -> GeneralisedMixedModel:
    """One table does not say how tables vary: its model is the weak prior.

    What is known of the table is the posterior; only the dispersion is found here.
    """
    n_columns, scale = rows.X.shape[1], prior_scale(family)
    level, every = _level(rows, family), np.arange(n_columns)
    problem = LaplaceProblem(rows, family, every, n_columns)
    root = scale * torch.eye(n_columns, dtype=torch.float64)

    def objective(log_dispersion: float) -> float:
        return problem.value_and_slopes(Parameters(level, root, log_dispersion))[0]

    log_dispersion, n_iter = 0.0, 1
    if family.has_dispersion:
        result = minimize_scalar(objective, bounds=LOG_DISPERSIONS, method="bounded")
        log_dispersion, n_iter = float(result.x), int(result.nit)
    value = objective(log_dispersion)
    best = Parameters(level, root, log_dispersion)
    _, _, modes = next(problem.solve(best, reduce=False))
    covariance = scale**2 * torch.cholesky_inverse(modes.factor[0])
    return GeneralisedMixedModel(
        *(level.numpy(), covariance.numpy(), every, root.numpy()),
        *(log_dispersion, -value, n_iter, True),
    )


def _level(rows: Rows, family: Family) -> Tensor:  # shape: (n_columns, n_outputs)
    """The centre of the prior on the fixed effects."""
    level = torch.zeros(rows.X.shape[1], family.n_outputs, dtype=torch.float64)
    level[-1] = family.level(rows.y, rows.weight)
    return level


def prior_scale(family: Family) -> float:
    """`PRIOR_SCALE` for the difference between two classes, which are two contrasts."""
    return PRIOR_SCALE / math.sqrt(2 if family.name == "multinomial" else 1)


def _penalised(information: Tensor, scales: Tensor) -> Tensor:
    precision = (scales**-2).expand(len(scales), len(information) // len(scales))
    return cholesky(information + precision.flatten().diag())


def _prior_scales(rows: Rows, family: Family, level: Tensor) -> Tensor:
    """Deviations of the prior on every column's coefficients, the weak one mostly."""
    weak = prior_scale(family)
    scales = torch.full((len(level), 1), weak, dtype=torch.float64)
    if rows.weight.sum() >= ROWS_PER_COEFFICIENT * level.numel():
        return scales
    evidence = []
    for scale in SCALES:
        scales[:-1] = weak * scale / PRIOR_SCALE
        evidence.append(float(laplace_value(_pooled(rows, family, level, scales))))
    scales[:-1] = weak * SCALES[int(np.argmin(evidence))] / PRIOR_SCALE
    return scales


def _pooled(rows: Rows, family: Family, level: Tensor, scales: Tensor) -> Modes:
    """One model for all rows, that ignores tasks."""
    X, zero = rows.X[None], torch.zeros(1, *level.shape, dtype=torch.float64)
    pooled = TaskRows(X @ level, X * scales[:, 0], rows.y[None], rows.weight[None])
    return find_modes(pooled, family, 0.0, zero)


def _start(
    problem: LaplaceProblem, structure: Structure, level: Tensor, scales: Tensor
) -> Coordinates:
    """Begin at the fixed effects of one model for all rows."""
    rows, family = problem.rows, problem.family
    origin = level + scales * _pooled(rows, family, level, scales).u[0]
    eye = torch.eye(origin.numel(), dtype=torch.float64)
    theta_scale = rows.n_tasks**-0.5
    of_root, has_dispersion = coordinates_of(structure), family.has_dispersion
    where = Coordinates(origin, eye, of_root, theta_scale, has_dispersion)
    information = problem.information(where.parameters(where.start()))
    return where._replace(factor=_penalised(information, scales))
