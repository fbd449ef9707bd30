"""Which tables have to be prepared before a network or a mixed model takes them."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from typing import Any

import pandas as pd
from pandas.api import types


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
