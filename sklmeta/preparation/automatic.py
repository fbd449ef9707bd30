"""Which tables have to be prepared before a network or a mixed model takes them."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from typing import Any

import pandas as pd
from pandas.api import types
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import FeatureUnion, Pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils import get_tags

from sklmeta.preparation.table import TablePreparation


def needs_preparation(X: Any, *, takes_gaps: bool = False) -> bool:
    """Whether X is a data frame with text, categories, dates or gaps.

    Parameters
    ----------
    X : {data frame, array-like}
        Arrays are never prepared: what has no names of columns is numbers, or a
        mistake.

    takes_gaps : bool, default=False
        Whether missing numbers are no reason.

    Returns
    -------
    bool

    Examples
    --------
    >>> import pandas as pd
    >>> from sklmeta.preparation import needs_preparation
    >>> needs_preparation(pd.DataFrame({"price": [3.5, None]}))
    True
    >>> needs_preparation(pd.DataFrame({"price": [3.5, 4.0]}))
    False
    """
    if not hasattr(X, "columns"):
        return False
    if not isinstance(X, pd.DataFrame):
        if not hasattr(X, "to_pandas"):
            return False
        X = X.to_pandas()
    if X.columns.has_duplicates:
        return False  # refused elsewhere, by name
    kinds = X.dtypes
    if not all(types.is_numeric_dtype(kind) for kind in kinds):
        return True
    return not takes_gaps and bool(X.isna().to_numpy().any())


def chosen_preparation(preparation: Any, X: Any) -> Any:
    """What X is to be prepared by: of "auto" a `TablePreparation`, where X needs one.

    Parameters
    ----------
    preparation : "auto", transformer or None
    X : {data frame, array-like}

    Returns
    -------
    transformer or None
    """
    if not isinstance(preparation, str):
        return preparation
    return TablePreparation() if needs_preparation(X) else None


def prepares_itself(estimator: Any) -> bool:
    """Whether an estimator, or one inside it, takes raw tables by its own means.

    Parameters
    ----------
    estimator : estimator

    Returns
    -------
    bool
    """
    if isinstance(estimator, Pipeline):
        return _takes_words(estimator.steps[0][1])
    if not isinstance(getattr(estimator, "preparation", "auto"), str | None):
        return True
    inner = (getattr(estimator, name, None) for name in ("estimator", "regressor"))
    return any(e is not None and prepares_itself(e) for e in inner)


def _takes_words(step: Any) -> bool:
    """Whether a step may take text; scalers and the like of scikit-learn do not."""
    if isinstance(step, Pipeline):
        return _takes_words(step.steps[0][1])
    if isinstance(step, ColumnTransformer | FeatureUnion | FunctionTransformer):
        return True
    if not type(step).__module__.startswith("sklearn."):
        return not isinstance(step, str)
    tags = get_tags(step).input_tags
    return bool(tags.string or tags.categorical)
