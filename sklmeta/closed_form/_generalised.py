"""The half of a mixed model's estimator that the Laplace approximation does."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning

from sklmeta.closed_form._mixed_summary import random_columns
from sklmeta.data.codes import IntArray
from sklmeta.data.validation import Table
from sklmeta.exceptions import warn
from sklmeta.mixed_models.covariance import Floats
from sklmeta.mixed_models.families import Family
from sklmeta.mixed_models.generalised import (
    GeneralisedMixedModel,
    as_rows,
    fit_generalised,
)
from sklmeta.mixed_models.laplace_posterior import (
    Posterior,
    Predictor,
    posterior_of,
    predictor_of,
    prior_of,
)
from sklmeta.mixed_models.units import Units

MOST_EFFECTS = 1000
"""Random effects of a task: their precision is factorised at every Newton step."""


def design_of(units: Units, X: NDArray) -> Floats:  # shape: (n_samples, n_columns)
    """Rows in the units of the fit, and the constant."""
    return np.column_stack([units.rows(X), np.ones(len(X))])


def learn(
    estimator: Any, table: Table, family: Family
) -> tuple[Units, GeneralisedMixedModel, IntArray]:
    """Fit to the training tasks; returns the indices of the random slopes as well."""
    X = table.X
    slopes = random_columns(estimator, X.shape[1])
    all_or_none = len(slopes) in (0, X.shape[1])
    units = Units.of(X, table.targets, scale_y=False, reduce=all_or_none)
    columns = np.arange(units.n_columns)
    if not len(slopes) or not all_or_none:
        columns = np.append(slopes, units.n_columns - 1)
    _check_size(type(estimator).__name__, units.n_columns, len(columns), family)
    model = fit_generalised(
        as_rows(design_of(units, X), table.targets, table.codes, table.n_tasks),
        family,
        columns,
        covariance=estimator.covariance,
        rank=estimator.rank,
        max_iter=estimator.max_iter,
        tol=estimator.tol,
    )
    if not model.converged:
        warn(
            f"{type(estimator).__name__} stopped after {model.n_iter} steps without "
            "converging. Raise max_iter, or let fewer slopes vary.",
            ConvergenceWarning,
        )
    return units, model, slopes


def condition(
    units: Units, model: GeneralisedMixedModel, family: Family, table: Table
) -> Posterior:
    """What a table says of its tasks' random effects."""
    design = design_of(units, table.X)
    rows = as_rows(design, table.targets, table.codes, table.n_tasks)
    return posterior_of(model, family, rows)


def without_rows(model: GeneralisedMixedModel, family: Family) -> Posterior:
    """What is known of a task without rows."""
    return prior_of(model, family.n_outputs)


def predictor(
    units: Units,
    model: GeneralisedMixedModel,
    posterior: Posterior,
    X: NDArray,
    codes: IntArray,
) -> Predictor:
    """Distribution of the linear predictor of rows of tasks."""
    return predictor_of(model, posterior, design_of(units, X), codes)


def _check_size(name: str, n_columns: int, n_random: int, family: Family) -> None:
    most, m = max(n_columns, n_random), family.n_outputs
    if m > 1 and most * m > MOST_EFFECTS:
        raise ValueError(
            f"{m + 1} classes with {most} columns, the constant among them, make "
            f"{most * m} coefficients, of which {name} takes {MOST_EFFECTS} at most. "
            "Reduce the features, for example by a PCA in a Pipeline in front; or take "
            "RidgeHeadClassifier, which learns what to reduce them to."
        )
