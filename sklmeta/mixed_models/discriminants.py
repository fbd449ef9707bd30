"""Normal classes whose means are random: covariances, coordinates, likelihoods.

The mean of a class of a task is drawn about the prior mean with the covariance B, its
rows about that mean with the covariance W. In the coordinates found here W is the
identity and B diagonal, so that all that follows is done one coordinate at a time.
"""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cholesky, eigh, solve_triangular
from sklearn.covariance import ledoit_wolf_shrinkage
from sklearn.utils.extmath import randomized_svd

from sklmeta.data.codes import IntArray, group_means

MAX_FEATURES = 1000
"""Past it the leading principal components stand for the features: covariances of more
would take gigabytes, and seconds for their every use."""

BLOCK_NUMBERS = 2**20
"""Differences held at once, at most, unless one row has more."""

Array = NDArray[np.float64]


class Cells(NamedTuple):
    """The classes of all tasks, task by task: means given their support rows."""

    means: Array  # shape: (n_cells, n_coordinates)
    counts: IntArray  # shape: (n_cells,); support rows
    classes: IntArray  # shape: (n_cells,); index into `classes_`, rising within a task
    first: IntArray  # shape: (n_tasks,); where a task's cells begin
    ways: IntArray  # shape: (n_tasks,); how many it has


class Parts(NamedTuple):
    """How training rows fall into the classes of tasks."""

    cell: IntArray  # shape: (n_rows,); class of a task that a row is of
    task: IntArray  # shape: (n_cells,)
    prior: IntArray  # shape: (n_cells,); which prior mean is a cell's

    def means(self, X: Array) -> tuple[Array, Array]:
        """Average the rows of every cell, and the cells of every prior."""
        means = group_means(X, self.cell, len(self.prior))
        return means, group_means(means, self.prior, self.n_priors)

    @property
    def n_priors(self) -> int:
        return int(self.prior.max()) + 1

    @property
    def noise(self) -> float:
        """Mean variance of a cell's mean, where rows have variance 1."""
        return float(np.mean(1 / np.bincount(self.cell)))


class Space(NamedTuple):
    """Coordinates in which classes are told apart, and how far apart they lie."""

    center: Array  # shape: (n_features,)
    directions: Array  # shape: (n_features, n_coordinates)
    between: Array  # shape: (n_coordinates,); variance of class means, within is 1
    length: float  # that rows are brought to; 0 leaves them alone
    prior: Array  # shape: (n_classes or 1, n_coordinates); means before any support

    def coordinates(self, X: Array) -> Array:
        Z = (X - self.center) @ self.directions
        if self.length:
            norm = np.sqrt(np.square(Z).sum(axis=1, keepdims=True))
            Z *= self.length / np.where(norm > 0, norm, np.inf)
        return Z

    def posterior(self, means: Array, counts: IntArray, prior: Any) -> Array:
        """Draw the means of so many rows towards the prior ones."""
        expected = self.prior[prior]
        trust = self.between * counts[:, None]
        trust = trust / (1 + trust)
        means = expected + trust * (means - expected)
        if self.length:
            # Rows of a class that point apart have a short mean: no reason to be near.
            squares = np.square(expected).sum(axis=-1) + (self.between * trust).sum(
                axis=1
            )
            norm = np.sqrt(np.square(means).sum(axis=1))
            means *= (np.sqrt(squares) / np.where(norm > 0, norm, np.inf))[:, None]
        return means

    def log_likelihood(
        self, Z: Array, codes: IntArray, cells: Cells
    ) -> Array:  # shape: (n_rows, most ways); minus infinity past a task's ways
        local = np.arange(cells.ways.max())
        ways = cells.ways[codes][:, None]
        index = cells.first[codes][:, None] + np.minimum(local, ways - 1)
        values = np.empty(index.shape)
        step = max(1, BLOCK_NUMBERS // max(1, len(local) * Z.shape[1]))
        for start in range(0, len(Z), step):
            block = slice(start, start + step)
            counts = cells.counts[index[block]][..., None]
            variance = 1 + self.between / (1 + counts * self.between)
            squares = np.square(Z[block, None] - cells.means[index[block]]) / variance
            values[block] = -0.5 * (squares + np.log(variance)).sum(axis=2)
        return np.where(local < ways, values, -np.inf)


def cells_of(
    space: Space,
    Z: Array,  # shape: (n_rows, n_coordinates)
    codes: IntArray,  # shape: (n_rows,); task
    index: IntArray,  # shape: (n_rows,); class
    n_tasks: int,
    n_classes: int,
    *,
    weight: Array | None = None,  # shape: (n_rows,); how often a row counts
) -> Cells:
    """Average the rows of each class of each task, with what was expected of it.

    Where every class has a prior mean of its own, every task has them all.
    """
    shared = len(space.prior) == n_classes
    key = codes * n_classes + index
    present, cell = np.unique(key, return_inverse=True)
    distinct = np.arange(n_tasks * n_classes) if shared else present
    where = np.searchsorted(distinct, present)
    counted = np.bincount(cell, weight)
    means = np.zeros((len(distinct), Z.shape[1]))
    counts = np.zeros(len(distinct), dtype=counted.dtype)
    if len(Z):
        means[where] = group_means(Z, cell, len(present), weight)
        counts[where] = counted
    classes = distinct % n_classes
    ways = np.bincount(distinct // n_classes, minlength=n_tasks)
    means = space.posterior(means, counts, classes if shared else 0)
    return Cells(means, counts, classes, np.cumsum(ways) - ways, ways)


def find_space(X: Array, parts: Parts, *, standardize: bool) -> Space:
    """Estimate both covariances and the coordinates that diagonalise them."""
    n_cells, n_priors = len(parts.prior), parts.n_priors
    means, priors = parts.means(X)
    center = priors.mean(axis=0)
    basis = _components(X - center)
    residuals = (X - means[parts.cell]) @ basis
    unit = np.ones(residuals.shape[1])
    if standardize:
        spread = np.sqrt(np.square(residuals).mean(axis=0))
        # A feature that is constant within every class would have all the say.
        largest = spread.max() or 1.0
        unit = np.where(spread > 1e-3 * largest, spread, largest)
    within = _shrunk(residuals / unit, len(X) - n_cells)
    whitening = (
        basis
        / unit
        @ solve_triangular(
            cholesky(within, lower=True), np.eye(len(within)), lower=True
        ).T
    )
    deviations = (means - priors[parts.prior]) @ whitening
    between = _shrunk(deviations, n_cells - n_priors, parts.noise)
    variances, axes = eigh(between)
    variances = np.maximum(variances, 0.0)
    if n_priors == 1 and not variances.any():
        # Nothing speaks for it, and yet a class of a task's own has its own mean.
        variances = np.ones_like(variances)
    directions = whitening @ axes
    prior = (priors - center) @ directions
    return Space(center, directions, variances, 0.0, prior)


def of_equal_length(space: Space, X: Array, parts: Parts) -> Space:
    """Compare directions alone; coordinates count by what they tell of the class.

    What is estimated anew, of rows of equal length, are two numbers: the variances
    within classes and between them, alike in all coordinates.
    """
    weight = np.sqrt(space.between / (1 + space.between))
    space = space._replace(directions=space.directions * weight, length=1.0)
    Z = space.coordinates(X)
    means, priors = parts.means(Z)
    within = _variance(Z - means[parts.cell], len(means)) or 1.0
    between = _variance(means - priors[parts.prior], len(priors)) / within - parts.noise
    if between <= 0:
        between = float(len(priors) == 1)
    return space._replace(
        between=np.full_like(space.between, between),
        length=within**-0.5,
        prior=priors * within**-0.5,
    )


def _variance(residuals: Array, n_means: int) -> float:
    """Estimate the variance about so many means, averaged over the coordinates."""
    n_free = max(len(residuals) - n_means, 1)
    return float(np.square(residuals).sum() / (n_free * residuals.shape[1]))


def _components(X: Array) -> Array:  # shape: (n_features, n_components)
    if X.shape[1] <= MAX_FEATURES:
        return np.eye(X.shape[1])
    n_components = min(MAX_FEATURES, len(X))
    return randomized_svd(X, n_components, random_state=0)[2].T


def _shrunk(residuals: Array, n_free: int, noise: float = 0.0) -> Array:
    """Shrink a covariance, less that of noise, towards a multiple of the identity.

    By as much as Ledoit and Wolf (2004) find best.
    """
    width = residuals.shape[1]
    identity = np.eye(width)
    covariance = residuals.T @ residuals / max(n_free, 1) - noise * identity
    mean = np.trace(covariance) / width
    if n_free < 1 or mean <= 0:
        return identity * (noise == 0)
    share = ledoit_wolf_shrinkage(residuals, assume_centered=True)
    shrunk = (1 - share) * covariance + share * mean * identity
    # Rounding, and features that repeat one another, need a floor.
    return shrunk if noise else shrunk + 1e-9 * mean * identity
