"""A linear mixed model from which a learner starts, in the learner's own units."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sklmeta.data.codes import IntArray
from sklmeta.mixed_models.linear import fit_linear
from sklmeta.mixed_models.moments import moments_of
from sklmeta.mixed_models.units import Units

Floats = NDArray[np.float64]

LEAST_TASKS = 3
"""Fewer do not say how tasks differ."""


class MixedStart(NamedTuple):
    """The distribution of a task's coefficients: of all features, then the constant."""

    mean: Floats  # shape: (n_features + 1,)
    covariance: Floats  # shape: (n_features + 1, n_features + 1)
    noise_variance: float


def mixed_start(
    X: Floats, y: Floats, codes: IntArray, n_tasks: int
) -> MixedStart | None:
    """Fit the mixed model with all slopes random; None for too few tasks.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features)
        As the learner sees it.

    y : ndarray of shape (n_samples,)
    codes : ndarray of shape (n_samples,)
    n_tasks : int
    """
    if len(np.unique(codes)) < LEAST_TASKS:
        return None
    units = Units.of(X, y)
    moments = moments_of(units, X, y, codes, n_tasks)
    # Learning goes on from here: the last digits of the optimum do not matter.
    model = fit_linear(moments, np.arange(units.n_columns), tol=1e-8)
    linear, shift = units.to_user()
    return MixedStart(
        linear @ model.coef + shift,
        linear @ model.covariance @ linear.T,
        model.noise_variance * float(units.y.unit) ** 2,
    )
