"""What the covariance of random effects may be, as free entries of its root."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sklmeta.data.codes import IntArray

Floats = NDArray[np.float64]

COVARIANCES = ("auto", "full", "shrunk", "diagonal", "low_rank")
MOST_FULL = 3
"""Random coefficients of an unconstrained covariance, where it is not asked for."""

TASKS_PER_COEFFICIENT = 5
MOST_SHRUNK = 64
TINY = 1e-10


class Structure(NamedTuple):
    """Free entries of the relative root R, and how far correlations are shrunk."""

    rows: IntArray
    columns: IntArray
    shape: tuple[int, int]
    shrinkage: float = 0.0

    def root(self, theta: Floats) -> Floats:
        """R of its free entries."""
        root = np.zeros(self.shape)
        root[self.rows, self.columns] = theta
        return root

    def free(self, root: Floats) -> Floats:
        """The free entries of R, or of a matrix like it."""
        return root[self.rows, self.columns]

    def start_from(self, deviations: Floats) -> Floats:
        """Free entries at which to start, given the diagonal of R."""
        deviations = np.maximum(deviations, 0.01)
        diagonal = self.columns == self.rows
        # Of low rank: factors that differ, or they would stay the same.
        factor = (
            0.1 * np.cos(np.arange(len(self.rows))) * (self.columns >= self.shape[0])
        )
        return np.where(diagonal, deviations[self.rows], factor)

    def penalty(self, root: Floats) -> tuple[float, Floats]:
        """Minus twice the log density of the correlations, and its gradient in R.

        Lewandowski, Kurowicka and Joe (2009): proportional to the determinant of the
        correlation matrix to a power, here of half the shrinkage.
        """
        if not self.shrinkage:
            return 0.0, np.zeros(self.shape)
        diagonal = np.diag(root)
        pivots, variances = diagonal**2 + TINY, (root**2).sum(axis=1) + TINY
        value = np.log(variances).sum() - np.log(pivots).sum()
        gradient = 2 * root / variances[:, None] - np.diag(2 * diagonal / pivots)
        return self.shrinkage * float(value), self.shrinkage * gradient


def structure_of(
    covariance: str, n_random: int, n_tasks: int, rank: int = 1
) -> Structure:
    """Choose the free entries.

    Parameters
    ----------
    covariance : {"auto", "full", "shrunk", "diagonal", "low_rank"}
        "auto" is "full" for at most three random coefficients and five tasks for each,
        "shrunk" for at most 64, and else "diagonal".

    n_random, n_tasks : int
    rank : int, default=1
        Of the low-rank part.
    """
    if covariance == "auto":
        few = n_random <= MOST_FULL and n_tasks >= TASKS_PER_COEFFICIENT * n_random
        shrunk = "shrunk" if n_random <= MOST_SHRUNK else "diagonal"
        covariance = "full" if few else shrunk
    each, shape = np.arange(n_random), (n_random, n_random)
    if covariance == "diagonal" or n_random == 1:
        return Structure(each, each, shape)
    if covariance == "low_rank":
        rows, columns = np.tril_indices(n_random, 0, min(rank, n_random))
        # Upside down: the constant, which is last and varies most, is in one factor.
        rows, columns = (
            np.r_[each, n_random - 1 - rows],
            np.r_[each, n_random + columns],
        )
        return Structure(rows, columns, (n_random, n_random + min(rank, n_random)))
    rows, columns = np.tril_indices(n_random)
    return Structure(
        rows, columns, shape, 2.0 * n_random if covariance == "shrunk" else 0.0
    )
