"""Rows as arrays and plain values, for files that name no class of others."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse


def plain_rows(X: Any) -> Any:
    """Turn rows into what `rows_of_plain` takes; None where that would lose something.

    Parameters
    ----------
    X : {ndarray, sparse, DataFrame}
    """
    if isinstance(X, np.ndarray) or scipy.sparse.issparse(X):
        return np.asarray(X) if isinstance(X, np.ndarray) else X
    if not isinstance(X, pd.DataFrame):
        return None
    columns = [_plain_column(X.iloc[:, i]) for i in range(X.shape[1])]
    if any(column is None for column in columns):
        return None
    return {"names": X.columns.to_list(), "columns": columns}


def rows_of_plain(plain: Any) -> Any:
    """Return what `plain_rows` was given, a frame with another index."""
    if not isinstance(plain, dict):
        return plain
    columns = [_column(column) for column in plain["columns"]]
    frame = pd.concat(columns, axis=1) if columns else pd.DataFrame()
    return frame.set_axis(plain["names"], axis=1)


def _plain_column(column: pd.Series) -> dict[str, Any] | None:
    kind = column.dtype
    if isinstance(kind, pd.CategoricalDtype):
        categories = _plain_column(pd.Series(kind.categories))
        codes = np.asarray(column.cat.codes)
        return {"codes": codes, "categories": categories, "ordered": kind.ordered}
    if isinstance(kind, np.dtype) and kind.kind in "biufmM":
        return {"values": column.to_numpy()}
    values = column.to_list()
    gaps = column.isna().to_list()
    kept = [None if gap else v for v, gap in zip(values, gaps, strict=True)]
    if not all(v is None or isinstance(v, str | int | float) for v in kept):
        return None  # such as dates with a time zone
    return {"values": kept, "dtype": str(kind)}


def _column(plain: dict[str, Any]) -> pd.Series:
    if "codes" in plain:
        categories = pd.Index(_column(plain["categories"]))
        kind = pd.CategoricalDtype(categories, plain["ordered"])
        return pd.Series(pd.Categorical.from_codes(plain["codes"], dtype=kind))
    return pd.Series(plain["values"], dtype=plain.get("dtype"))
