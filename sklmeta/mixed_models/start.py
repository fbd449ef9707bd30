"""A mixed model from which a learner starts, in the learner's own units."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sklmeta.data.codes import IntArray
from sklmeta.mixed_models.families import family_of_classes
from sklmeta.mixed_models.generalised import as_rows, fit_generalised
from sklmeta.mixed_models.linear import fit_linear
from sklmeta.mixed_models.moments import moments_of
from sklmeta.mixed_models.units import Units

Floats = NDArray[np.float64]

LEAST_TASKS = 3
"""Fewer do not say how tasks differ."""

MOST_EFFECTS = 1000
"""Fixed effects of all contrasts of classes; with more, no mixed model is fitted."""

MOST_ROWS = 20_000
ENOUGH_TASKS = 500
"""Of more rows every so many tasks are fitted; of so few tasks, every so many rows."""

MOST_WORK = 1e9
"""Of factorising the precision of all tasks' random effects, whose size is cubed. Where
all slopes take more, intercepts alone vary between tasks."""


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


class MixedClassStart(NamedTuple):
    """Logits of shared classes: of all features, then the constant.

    There is a column for every contrast of the family of classes; random effects have
    the same root for each.
    """

    coef: Floats  # shape: (n_features + 1, n_classes - 1); fixed effects
    root: Floats  # shape: (n_features + 1, n_factors); of the random effects


def mixed_class_start(
    X: Floats, y: IntArray, codes: IntArray, n_tasks: int, n_classes: int
) -> MixedClassStart | None:
    """Fit the logistic mixed model; None for too few tasks or too many classes.

    All slopes are random, unless there are so many tasks, columns and classes that the
    fit would take minutes (`MOST_WORK`): then intercepts alone are.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features)
        As the learner sees it.

    y : ndarray of shape (n_samples,)
        Indices of classes.

    codes : ndarray of shape (n_samples,)
    n_tasks : int
    n_classes : int
    """
    if len(X) > MOST_ROWS:
        some = _some_rows(codes)
        X, y, codes = X[some], y[some], codes[some]
    _, sizes = np.unique(codes, return_counts=True)
    units = Units.of(X, y, scale_y=False)
    n, m = units.n_columns, n_classes - 1
    if len(sizes) < LEAST_TASKS or not 0 < n * m <= MOST_EFFECTS:
        return None
    work = ((m * np.minimum(n, sizes.astype(float))) ** 3).sum()
    random = np.arange(n) if work <= MOST_WORK else np.array([n - 1])
    design = np.column_stack([units.rows(X), np.ones(len(X))])
    rows = as_rows(design, y, codes, n_tasks)
    model = fit_generalised(rows, family_of_classes(n_classes), random, tol=1e-6)
    linear, _ = units.to_user()
    return MixedClassStart(linear @ model.coef, linear[:, random] @ model.root)


def _some_rows(codes: IntArray) -> IntArray:
    """About `MOST_ROWS` rows, in order: of fewer tasks, or fewer of each."""
    tasks = np.unique(codes)
    step = min(-(-len(codes) // MOST_ROWS), max(1, len(tasks) // ENOUGH_TASKS))
    rows = np.flatnonzero(np.isin(codes, tasks[::step]))
    rows = rows[np.argsort(codes[rows], kind="stable")]
    return np.sort(rows[:: -(-len(rows) // MOST_ROWS)])
