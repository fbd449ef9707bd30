"""The order of rows in time."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas.api import types


def rows_in_time(time: Any, X: Any = None) -> NDArray[np.intp]:
    """Return the numbers of the rows, the earliest first.

    Rows of the same time keep their order.

    Parameters
    ----------
    time : str or array-like of shape (n_samples,)
        A column of X, or the time of every row: numbers, dates, or text as ISO 8601
        writes dates.

    X : data frame of shape (n_samples, n_features), default=None
        Which `time` names a column of.

    Returns
    -------
    rows : ndarray of shape (n_samples,)

    Raises
    ------
    ValueError
        If there is no such column, a row has no time, or text is no date.

    Examples
    --------
    >>> from sklmeta.preparation import rows_in_time
    >>> rows_in_time(["2024-03-01", "2024-01-15", "2024-02-01"])
    array([1, 2, 0])
    """
    name = "time"
    if isinstance(time, str):
        if time not in getattr(X, "columns", ()):
            has = ", ".join(map(repr, list(getattr(X, "columns", []))[:10]))
            raise ValueError(
                f"time={time!r} is no column of X"
                + (f", which has {has}." if has else "; X is no data frame.")
            )
        name, time = f"time={time!r}", X[time]
    values = pd.Series(np.asarray(time) if not hasattr(time, "dtype") else time)
    values = pd.Series(values.to_numpy() if hasattr(values, "to_numpy") else values)
    n_rows = getattr(X, "shape", (len(values),))[0]
    if len(values) != n_rows:
        raise ValueError(f"time has {len(values)} values, and X has {n_rows} rows.")
    missing = values.isna()
    if missing.any():
        raise ValueError(
            f"{name} is missing in {missing.sum()} row(s), the first of them row "
            f"{int(missing.to_numpy().argmax())}. Leave these rows out."
        )
    if not types.is_numeric_dtype(values) and not types.is_datetime64_any_dtype(values):
        try:
            values = pd.to_datetime(values, format="ISO8601", utc=True)
        except (ValueError, TypeError) as error:
            raise ValueError(
                f"{name} holds {values.iloc[0]!r}, which may be read in several ways, "
                "or in none. Give dates: pd.to_datetime(column, format=...)."
            ) from error
    return np.argsort(values.to_numpy(), kind="stable")
