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


class FreeEntries(NamedTuple):
    """A root by its free entries; for `linear` and `own_noise`."""

    structure: Structure

    def start(self, deviations: Floats) -> Floats:
        """Where to begin, given the diagonal of R."""
        return self.structure.start_from(deviations)

    def of_root(self, root: Floats) -> Floats:
        """The coordinates of R."""
        return self.structure.free(root)

    def root(self, theta: Floats) -> Floats:
        """R of its coordinates."""
        return self.structure.root(theta)

    def pull(self, theta: Floats, value: float, slope: Floats) -> tuple[float, Floats]:
        """An objective and its gradient in R as one of the coordinates."""
        return value, self.structure.free(slope)


class Correlations(NamedTuple):
    """A root by its rows' lengths and directions, whose correlations are shrunk.

    Rows are ``s_i u_i / |u_i|`` with ``u_ii = 1``, so that a variance may become zero
    without an end: its correlations then follow the prior.
    """

    structure: Structure

    def start(self, deviations: Floats) -> Floats:
        """Uncorrelated, given the diagonal of R."""
        n = len(deviations)
        return np.r_[np.maximum(deviations, 0.01), np.zeros(n * (n - 1) // 2)]

    def of_root(self, root: Floats) -> Floats:
        """The coordinates of R, whose diagonal has no zero."""
        below = np.tril_indices(len(root), -1)
        directions = root / np.diag(root)[:, None]
        return np.r_[np.sqrt((root**2).sum(axis=1)), directions[below]]

    def _parts(self, theta: Floats) -> tuple[Floats, Floats, Floats]:
        n = self.structure.shape[0]
        directions = np.eye(n)
        directions[np.tril_indices(n, -1)] = theta[n:]
        lengths = np.sqrt((directions**2).sum(axis=1, keepdims=True))
        return theta[:n, None], directions / lengths, lengths

    def root(self, theta: Floats) -> Floats:
        """R of its coordinates."""
        scales, units, _ = self._parts(theta)
        return scales * units

    def pull(self, theta: Floats, value: float, slope: Floats) -> tuple[float, Floats]:
        """An objective and its gradient in R as one of the coordinates, penalised."""
        scales, units, lengths = self._parts(theta)
        along = (slope * units).sum(axis=1, keepdims=True)
        across = scales * (slope - along * units) / lengths
        # The log determinant of the correlations is that of the lengths, negative.
        shrinkage = self.structure.shrinkage
        across += 2 * shrinkage * units / lengths
        value += 2 * shrinkage * float(np.log(lengths).sum())
        return value, np.r_[along[:, 0], across[np.tril_indices(len(units), -1)]]


def coordinates_of(structure: Structure) -> FreeEntries | Correlations:
    """The coordinates in which a Gaussian model's root is sought."""
    return Correlations(structure) if structure.shrinkage else FreeEntries(structure)


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
