"""Ridge regression of few rows, without the checks that take longer than solving it."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def is_plain(X: Any) -> bool:
    """Whether X is an array of finite floating-point numbers.

    What is not is for scikit-learn's own estimator to take, or to refuse.
    """
    is_table = isinstance(X, np.ndarray) and X.ndim == 2 and X.dtype.kind == "f"
    return is_table and bool(np.isfinite(X).all())


def ridge(
    X: NDArray[Any],
    y: NDArray[Any],
    alpha: float,
    weight: NDArray[np.float64] | None = None,
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Solve in the smaller of the spaces of rows and of features.

    Returns
    -------
    coef : ndarray of shape (n_features + 1,)
        The intercept is the last.

    without : ndarray of shape (n_samples,)
        What the other rows would predict for each; NaN where there is none, or where
        rows have weights.
    """
    x_mean = np.average(X, axis=0, weights=weight)
    y_mean = np.average(y, weights=weight)
    Z, r = X - x_mean, y - y_mean
    if weight is not None:
        Z, r = Z * np.sqrt(weight)[:, None], r * np.sqrt(weight)
    n, p = Z.shape
    if n <= p:
        inverse = np.linalg.inv(Z @ Z.T + alpha * np.eye(n))
        coef = Z.T @ (inverse @ r)
        remaining = alpha * np.diag(inverse) - 1 / n
    else:
        solved = np.linalg.solve(Z.T @ Z + alpha * np.eye(p), Z.T)
        coef = solved @ r
        remaining = 1 - 1 / n - np.einsum("ij,ji->i", Z, solved)
    with np.errstate(divide="ignore", invalid="ignore"):
        without = y - (r - Z @ coef) / remaining
    if n == 1 or weight is not None:
        without[:] = np.nan
    return np.append(coef, y_mean - x_mean @ coef), without
