"""Coefficients of a mixed model: of all tasks, and how much some tasks deviate."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import logit

import sklmeta
from sklmeta.evaluation.containers import adapted, inner_estimator, inner_rows

MOST_TASKS = 3
"""As many columns as fit a terminal beside those of all tasks."""


def coefficients_of(
    model: Any, X: pd.DataFrame, y: NDArray[Any], task: NDArray[Any]
) -> pd.DataFrame | None:
    """A row for each coefficient, in the units of the prepared columns.

    None of other models than mixed ones.
    """
    mixed = inner_estimator(model)
    numbers = isinstance(mixed, sklmeta.MixedModelRegressor)
    if not numbers and not isinstance(mixed, sklmeta.MixedModelClassifier):
        return None
    names = list(model[:-1].get_feature_names_out())
    error = mixed.intercept_std_error_ if numbers else mixed.intercept_std_errors_
    values = np.c_[mixed.intercept_, np.atleast_2d(mixed.coef_)]
    errors = np.c_[error, np.atleast_2d(mixed.coef_std_errors_)]
    several = len(values) > 1
    labels = [f"{c}: " for c in mixed.classes_] if several else [""]
    terms = [label + name for label in labels for name in ["intercept", *names]]
    table = pd.DataFrame(
        {"all tasks": values.ravel(), "±": 1.96 * errors.ravel()},
        index=pd.Index(terms, name="term"),
    )
    if several:
        return table
    covariance = mixed.random_effects_covariance_
    own = np.r_[0, 1 + np.array(mixed.random_slopes_, dtype=int)]
    table["tasks' sd"] = pd.Series(np.sqrt(np.diag(covariance)), table.index[own])
    return table.join(_deviations(model, values[0], table.index, X, y, task))


def _deviations(
    model: Any,
    shared: NDArray[Any],
    terms: pd.Index[str],
    X: pd.DataFrame,
    y: NDArray[Any],
    task: NDArray[Any],
) -> pd.DataFrame:
    """What is a task's own, read off the predictions at and beside the mean row.

    On the scale on which the model is a line; where that is not the scale of the
    predictions, they are averages over what is not known, and this is near the truth.
    """
    mixed, Z, _ = inner_rows(model, X)
    beside = np.vstack([np.zeros(Z.shape[1]), np.eye(Z.shape[1])])
    found = {}
    for name in pd.unique(task)[:MOST_TASKS]:
        rows = task == name
        one = adapted(mixed, Z[rows], y[rows])
        if isinstance(one, sklmeta.MixedModelClassifier):
            line = logit(one.predict_proba(beside)[:, 1])
        else:
            line = one.predict(beside)
            line = line if mixed.family == "gaussian" else np.log(line)
        own = np.r_[line[0], line[1:] - line[0]]
        found[str(name)] = own - shared
    return pd.DataFrame(found, index=terms)
