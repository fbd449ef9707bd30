"""Hierarchical split-conformal calibration: tasks are exchangeable, rows are not."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


class Scores(NamedTuple):
    """Scores of the calibration rows in ascending order, and their weights."""

    values: Floats
    weights: Floats  # sum to K / (K + 1), the rest being at infinity
    n_tasks: int


def collect_scores(scores: Floats, codes: NDArray[np.intp]) -> Scores:
    """Weigh each row of task t by 1 / ((K + 1) N_t), so that tasks count alike."""
    _, codes, counts = np.unique(codes, return_inverse=True, return_counts=True)
    weights = 1.0 / ((len(counts) + 1) * counts[codes])
    order = np.argsort(scores, kind="stable")
    return Scores(scores[order], weights[order], len(counts))


def conformal_quantile(scores: Scores, coverage: float) -> float:
    """Least score at which the weights so far reach the coverage, else infinity.

    Lee, Barber and Willett, "Distribution-free inference with hierarchical data",
    the quantile of ``sum_t sum_i delta(s_ti) / ((K + 1) N_t) + delta(inf) / (K + 1)``.
    """
    reached = np.cumsum(scores.weights)
    # Sums of weights such as 10 * 1 / (10 * 9) must reach 1 / 9 in spite of rounding.
    i = int(np.searchsorted(reached, coverage - 1e-12))
    return float(scores.values[i]) if i < len(reached) else float("inf")


def least_tasks(coverage: float) -> int:
    """Fewest calibration tasks with a finite quantile: K / (K + 1) >= coverage."""
    return int(np.ceil(coverage / (1.0 - coverage) - 1e-9))


def winkler_score(
    y: ArrayLike, interval: ArrayLike, coverage: float
) -> Floats:  # shape: (n_samples,)
    """Width of an interval, and a penalty where the target lies outside.

    The penalty is ``2 / (1 - coverage)`` times the distance to the interval, so that
    neither a wide interval nor a narrow one that misses scores well [1]_.

    Parameters
    ----------
    y : array-like of shape (n_samples,)
        Targets.

    interval : array-like of shape (n_samples, 2)
        Lower and upper ends.

    coverage : float
        Coverage that was asked for.

    Returns
    -------
    ndarray of shape (n_samples,)
        Less is better.

    References
    ----------
    .. [1] R. L. Winkler, "A Decision-Theoretic Approach to Interval Estimation",
       Journal of the American Statistical Association, 1972.

    Examples
    --------
    >>> from sklmeta.calibration import winkler_score
    >>> winkler_score([1.0, 3.0], [[0.0, 2.0], [0.0, 2.0]], coverage=0.5).round(2)
    array([2., 6.])
    """
    y = np.asarray(y, dtype=np.float64)
    low, high = np.asarray(interval, dtype=np.float64).T
    outside = np.maximum(low - y, 0) + np.maximum(y - high, 0)
    with np.errstate(invalid="ignore"):
        return (high - low) + 2.0 / (1.0 - coverage) * outside
