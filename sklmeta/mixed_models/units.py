"""The units in which a mixed model is fitted, and the way back to the user's."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sklmeta.data.scaling import Scaling

Floats = NDArray[np.float64]

MOST_COLUMNS = 128
"""A task's sums of products take the square of the columns, and its solution the cube.
More columns than this are replaced by as many principal components."""

ROWS_PER_COLUMN = 5
"""With fewer rows, of all tasks together, than this for each column the fixed effects
are hardly determined; principal components are, of which fewer are kept."""


class Units(NamedTuple):
    """Standardised columns or, of wide tables, their leading principal components."""

    x: Scaling
    y: Scaling
    basis: Floats | None = None  # shape: (n_features, n_components)

    @classmethod
    def of(
        cls,
        X: NDArray,
        y: NDArray,
        *,
        scale_y: bool = True,
        reduce: bool = True,
        weight: Floats | None = None,
    ) -> Units:
        """Measure the training rows; a wide table is reduced, if it may be."""
        y_scaling = Scaling.of(y, weight=weight) if scale_y else Scaling.identity()
        units = cls(Scaling.of(X, weight=weight), y_scaling)
        n_counted = len(X) if weight is None else round(weight.sum())
        most = max(1, min(MOST_COLUMNS, n_counted // ROWS_PER_COLUMN))
        if X.shape[1] <= most or not reduce:
            return units
        rows = units.rows(X)
        counted = rows if weight is None else rows * weight[:, None]
        _, vectors = np.linalg.eigh(rows.T @ counted)
        leading = vectors[:, : -most - 1 : -1]
        # An eigenvector's sign is arbitrary: its largest entry is made positive.
        largest = np.abs(leading).argmax(axis=0)
        return units._replace(
            basis=leading * np.sign(leading[largest, np.arange(most)])
        )

    @property
    def n_columns(self) -> int:
        """Columns of the design: features or components, and the constant."""
        assert self.x.mean is not None
        return 1 + (len(self.x.mean) if self.basis is None else self.basis.shape[1])

    def rows(self, X: NDArray) -> Floats:  # shape: (n_samples, n_columns - 1)
        """Rows in these units."""
        Z = np.empty(X.shape)
        self.x.apply(X, out=Z)
        return Z if self.basis is None else Z @ self.basis

    def targets(self, y: NDArray) -> Floats:
        """Targets in these units."""
        z = np.empty(y.shape)
        self.y.apply(y, out=z)
        return z

    def to_user(self) -> tuple[Floats, Floats]:
        """The linear map of coefficients to the units of X and y, and its shift.

        Returns
        -------
        linear : ndarray of shape (n_features + 1, n_columns)
        shift : ndarray of shape (n_features + 1,)
        """
        assert self.x.mean is not None and self.x.scale is not None
        n_features = len(self.x.mean)
        basis = np.eye(n_features) if self.basis is None else self.basis
        linear = np.zeros((n_features + 1, self.n_columns))
        linear[:-1, :-1] = basis / self.x.scale[:, None]
        linear[-1, :-1] = -(self.x.mean / self.x.scale) @ basis
        linear[-1, -1] = 1.0
        shift = np.zeros(n_features + 1)
        shift[-1] = 0.0 if self.y.mean is None else float(self.y.mean)
        return linear * float(self.y.unit), shift

    def log_likelihood(self, value: float, n_rows: float, *, restricted: bool) -> float:
        """A log-likelihood in these units, as it is in the user's."""
        n_free = n_rows - (self.n_columns if restricted else 0)
        value -= n_free * float(np.log(self.y.unit))
        if restricted and self.basis is None:
            value -= float(np.log(self.x.unit).sum())
        return value
