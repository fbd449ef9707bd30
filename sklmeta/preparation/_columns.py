"""Columns of frames: which are numbers, and later ones read as those of `fit`."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from collections.abc import Sequence
from numbers import Number
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas.api import types

MISSING = ["", "?", "-", "--", ".", "N/A", "n/a", "NA", "NaN", "nan", "NULL", "null"]
"""Words that mean "missing" where all else is numbers."""

DATES, NUMBERS, WORDS = "dates", "numbers", "words"


def as_frame(X: Any) -> pd.DataFrame:
    """Return a data frame of pandas with names of text, each once.

    Raises
    ------
    ValueError, TypeError
        If X is no table, or two columns have one name.
    """
    if hasattr(X, "to_pandas"):  # polars, Arrow
        X = X.to_pandas()
    if not isinstance(X, pd.DataFrame):
        values = np.asarray(X)
        if values.ndim != 2:
            raise ValueError(
                "X must be a table: a data frame, or an array of two dimensions; got "
                f"{values.ndim}."
            )
        names = [f"x{i}" for i in range(values.shape[1])]
        X = pd.DataFrame(values, columns=names)
        if values.dtype.kind == "O":
            X = X.infer_objects()
    X = X.set_axis([str(name) for name in X.columns], axis=1)
    twice = X.columns[X.columns.duplicated()]
    if len(twice):
        raise ValueError(f"X has two columns called {twice[0]!r}; rename one.")
    return X


def pick(frame: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    """Return the columns of `fit`, in its order; others are left aside.

    Raises
    ------
    ValueError
        If one is missing.
    """
    missing = [name for name in names if name not in frame.columns]
    if missing:
        raise ValueError(
            f"X lacks {len(missing)} column(s) that fit was given: "
            f"{', '.join(map(repr, missing[:5]))}. It has: "
            f"{', '.join(map(repr, frame.columns[:10]))}. Add them, with missing "
            "values where nothing is known."
        )
    return frame[list(names)]


def kind_of_column(column: pd.Series) -> str:
    """Dates, numbers or words, by the type and, of objects, the values."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        return WORDS
    if types.is_datetime64_any_dtype(column) or isinstance(
        column.dtype, pd.PeriodDtype
    ):
        return DATES
    if types.is_complex_dtype(column):
        raise ValueError(f"Column {column.name!r} of X is complex.")
    if types.is_numeric_dtype(column) or types.is_timedelta64_dtype(column):
        return NUMBERS
    found = column.dropna()
    if not len(found):
        return NUMBERS  # nothing at all
    odd = [v for v in found if isinstance(v, list | dict | tuple | set | np.ndarray)]
    if odd:
        raise ValueError(
            f"Column {column.name!r} of X holds {type(odd[0]).__name__}s, such as "
            f"{odd[0]!r}; give each of their values a column of its own."
        )
    if all(isinstance(value, Number | np.bool_) for value in found):
        return NUMBERS
    words = found[~found.astype(str).str.strip().isin(MISSING)]
    parsed = pd.to_numeric(words.astype(str), errors="coerce")
    return NUMBERS if len(words) and parsed.notna().all() else WORDS


def numbers_of(column: pd.Series) -> NDArray[np.float64]:
    """Return a column as numbers, NaN where nothing is known.

    Raises
    ------
    ValueError
        If it holds a word or an infinity; it names the column and the value.
    """
    values = column
    if isinstance(values.dtype, pd.CategoricalDtype):
        values = values.astype(object)
    if types.is_timedelta64_dtype(values):
        values = values.dt.total_seconds()
    if not types.is_numeric_dtype(values):
        if types.is_datetime64_any_dtype(values) and values.notna().any():
            raise _another_kind(column, "numbers")
        words = values.astype(object).where(values.notna(), None)
        text = words.map(lambda v: v.strip() if isinstance(v, str) else v)
        text = text.where(~text.isin(MISSING), None)
        values = pd.to_numeric(text, errors="coerce")
        wrong = values.isna() & text.notna()
        if wrong.any():
            raise _another_kind(column[wrong], "numbers")
    numbers = values.to_numpy(dtype=np.float64, na_value=np.nan)
    if np.isinf(numbers).any():
        raise ValueError(
            f"Column {column.name!r} of X holds infinity. Make it missing, or a number."
        )
    return numbers


def words_of(column: pd.Series) -> pd.Series:
    """Return a column, of any type, as categories; whole numbers without a point."""
    words = column.astype(object).map(_word, na_action="ignore")
    # Empty text is missing; "none" may be a kind of promotion.
    known = words.notna() & (words.astype(str).str.strip() != "")
    return words.where(known, None).astype("category")


def _word(value: Any) -> str:
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return str(int(value))
    return str(value)


def dates_of(column: pd.Series) -> pd.Series:
    """Return a column of dates as time stamps, or as text that skrub reads.

    Raises
    ------
    ValueError
        If these are numbers or durations.
    """
    if isinstance(column.dtype, pd.PeriodDtype):
        return column.dt.to_timestamp()
    if types.is_datetime64_any_dtype(column):
        return column
    if column.notna().any() and kind_of_column(column) == NUMBERS:
        raise _another_kind(column, "dates")
    return column.astype(object).where(column.notna(), None)


def _another_kind(column: pd.Series, kind: str) -> ValueError:
    return ValueError(
        f"Column {column.name!r} of X held {kind} in fit, and now {column.iloc[0]!r}. "
        "Mend it, or make it missing where nothing is known."
    )
