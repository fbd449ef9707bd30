"""Targets of a regressor: one, or several side by side."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.utils import check_array, get_tags


def n_columns(y: Any) -> int:
    """Number of targets of every row."""
    return int(np.asarray(y).shape[1]) if _n_axes(y) == 2 else 1


def _n_axes(y: Any) -> int:
    return np.asarray(y).ndim  # which takes more than np.ndim does


def target_options(estimator: BaseEstimator, y: Any, *, fitted: bool) -> dict[str, Any]:
    """What `validate_data` is to ask of a regressor's targets.

    A column is one target, and for an estimator that takes several it stays a column;
    from any other scikit-learn takes it with a warning.

    Raises
    ------
    ValueError, TypeError
        If there are more targets than the estimator takes, or others than `fit` saw.
    """
    name, n_targets = type(estimator).__name__, n_columns(y)
    if scipy.sparse.issparse(y):
        raise TypeError(f"y is sparse, which {name} does not take: pass y.toarray().")
    if fitted:
        shape = getattr(estimator, "_target_shape", ())
        known = shape[0] if shape else 1
        if n_targets != known:
            raise ValueError(
                f"y has {n_targets} target(s) in every row, but {name} was fitted with "
                f"{known}."
            )
        return {"multi_output": True} if shape and _n_axes(y) == 2 else {}
    if _n_axes(y) != 2:
        return {}
    if get_tags(estimator).target_tags.multi_output:
        return {"multi_output": True}
    if n_targets != 1:
        raise ValueError(
            f"y has {n_targets} columns, and {name} learns one target. For several "
            "targets: wrap in MultiOutputRegressor of scikit-learn, through which "
            "sklmeta.adapted() finds its way."
        )
    return {}


def check_numbers(y: Any, *, several: bool) -> NDArray[Any]:
    """Return targets of several columns, where these are wanted, as an array.

    Raises
    ------
    ValueError
        If there are several, and one is wanted.
    """
    if not several:
        raise ValueError(
            f"y has {n_columns(y)} columns, and one target at a time is judged here: "
            "pass each column by itself."
        )
    return check_array(y, ensure_all_finite=False, input_name="y")
