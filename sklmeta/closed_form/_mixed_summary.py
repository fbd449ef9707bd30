"""What mixed models are asked, and what their users read of them."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sklmeta.data.codes import IntArray

NORMAL_95 = 1.959963984540054

Row = tuple[str, str, float, float]  # part, term, estimate, standard error


def random_columns(estimator: Any, n_features: int) -> IntArray:
    """Indices of the features with random slopes, in order.

    Raises
    ------
    ValueError
        If `random_slopes` names a column that X does not have.
    """
    asked = estimator.random_slopes
    if isinstance(asked, str):
        return np.arange(n_features if asked == "all" else 0)
    names = list(getattr(estimator, "feature_names_in_", []))
    found = []
    for column in asked:
        if isinstance(column, str) and column in names:
            found.append(names.index(column))
        elif isinstance(column, (int, np.integer)) and 0 <= column < n_features:
            found.append(int(column))
        else:
            known = f"the columns are {names[:10]}" if names else "X has no names"
            raise ValueError(
                f"random_slopes has {column!r}, which is no column of X: {known}, and "
                f"indices run from 0 to {n_features - 1}."
            )
    return np.unique(np.array(found, dtype=np.intp))


def summary_table(estimator: Any) -> pd.DataFrame:
    """Fixed effects, variance components and noise, one row each."""
    estimates = np.r_[estimator.intercept_, estimator.coef_]
    errors = np.r_[estimator.intercept_std_error_, estimator.coef_std_errors_]
    rows = _fixed(estimator, estimates, errors) + _random(estimator)
    if hasattr(estimator, "noise_variance_"):
        rows.append(("noise", "sd", np.sqrt(estimator.noise_variance_), np.nan))
    if hasattr(estimator, "dispersion_"):
        rows.append(("noise", "dispersion", estimator.dispersion_, np.nan))
    return _finished(rows)


def class_summary_table(estimator: Any) -> pd.DataFrame:
    """Fixed effects of every logit, and variance components, one row each."""
    estimates = np.c_[estimator.intercept_, estimator.coef_]
    errors = np.c_[estimator.intercept_std_errors_, estimator.coef_std_errors_]
    labels = [f"{label}: " for label in estimator.classes_]
    labels = [""] if len(estimates) == 1 else labels
    rows = []
    for label, value, error in zip(labels, estimates, errors, strict=True):
        rows += _fixed(estimator, value, error, label)
    return _finished(rows + _random(estimator))


def _fixed(
    estimator: Any, estimates: NDArray, errors: NDArray, label: str = ""
) -> list[Row]:
    n_features = estimator.n_features_in_
    names = ["intercept", *getattr(estimator, "feature_names_in_", range(n_features))]
    terms = [f"{label}{name}" for name in names]
    return [("fixed", *row) for row in zip(terms, estimates, errors, strict=True)]


def _random(estimator: Any) -> list[Row]:
    covariance = estimator.random_effects_covariance_
    deviations = np.sqrt(np.diag(covariance))
    random = ["intercept", *map(str, estimator.random_slopes_)]
    rows: list[Row] = [
        ("random", f"sd({name})", deviation, np.nan)
        for name, deviation in zip(random, deviations, strict=True)
    ]
    for i, name in enumerate(random):
        for j in range(i):
            product = deviations[i] * deviations[j]
            value = covariance[i, j] / product if product else np.nan
            rows.append(("random", f"corr({random[j]}, {name})", value, np.nan))
    return rows


def _finished(rows: list[Row]) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=["part", "term", "estimate", "std_error"])
    with np.errstate(divide="ignore", invalid="ignore"):
        table["z"] = table.estimate / table.std_error
    half = NORMAL_95 * table.std_error
    table["lower"], table["upper"] = table.estimate - half, table.estimate + half
    return table.set_index(["part", "term"])
