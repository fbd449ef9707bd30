"""Rows of any kind as standardised numbers, to measure distances between them."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sklmeta._compat import _num_samples
from sklmeta.data.scaling import Scaling

MOST_CATEGORIES = 20
"""Of a column, the most frequent ones, that get a number each."""


class NumericColumns(NamedTuple):
    """How columns become numbers: gaps are filled, categories become indicators."""

    categories: list[list[Any] | None]  # of every column; None is one of numbers
    fill: NDArray[np.float64]  # shape: (n_columns,); instead of missing numbers
    scaling: Scaling

    @classmethod
    def of(cls, X: Any) -> NumericColumns:
        categories = [_categories(column) for column in _columns(X)]
        raw = _as_numbers(X, categories)
        seen = np.isfinite(raw)
        counts = np.maximum(seen.sum(axis=0), 1)
        # Dividing first keeps the sum of huge numbers finite.
        fill = (np.where(seen, raw, 0.0) / counts).sum(axis=0)
        return cls(categories, fill, Scaling.of(np.where(seen, raw, fill)))

    def transform(self, X: Any) -> NDArray[np.float64]:
        raw = _as_numbers(X, self.categories)
        raw = np.where(np.isfinite(raw), raw, self.fill)
        self.scaling.apply(raw, out=raw)
        return raw


def _columns(X: Any) -> Iterator[Any]:
    if hasattr(X, "columns"):
        return (X[name] for name in X.columns)
    return iter(X.T)


def _categories(column: Any) -> list[Any] | None:
    is_category = isinstance(column.dtype, pd.CategoricalDtype)
    if isinstance(column, pd.Series) and not is_category:
        is_category = not pd.api.types.is_numeric_dtype(column.dtype)
    elif not isinstance(column, pd.Series):
        is_category = np.asarray(column).dtype.kind not in "biuf"
    if not is_category:
        return None
    counts = pd.Series(np.asarray(column, dtype=object)).value_counts(sort=True)
    return counts.index[:MOST_CATEGORIES].tolist()


def _as_numbers(
    X: Any, categories: list[list[Any] | None]
) -> NDArray[np.float64]:  # a copy
    if not hasattr(X, "columns"):
        return np.array(X, dtype=np.float64)
    blocks = [np.empty((_num_samples(X), 0))]
    for column, known in zip(_columns(X), categories, strict=True):
        if known is not None:
            codes = pd.Index(known, dtype=object).get_indexer(
                np.asarray(column, dtype=object)
            )
            blocks.append((codes[:, None] == np.arange(len(known))).astype(np.float64))
        elif isinstance(column, pd.Series):
            numbers = column.to_numpy(dtype=np.float64, na_value=np.nan)
            blocks.append(numbers[:, None])
        else:
            blocks.append(np.asarray(column, dtype=np.float64)[:, None])
    return np.hstack(blocks)
