"""Reading a table, checking its columns, and preparing its features."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas.api.types import is_bool_dtype, is_float_dtype, is_numeric_dtype
from sklearn.compose import make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

MOST_CLASSES = 20
"""An integer target with more values than these is taken for a number."""

MOST_CATEGORIES = 50
"""A text column with more values than these is an identifier, or free text."""


class DataError(ValueError):
    """Something about the data that a user can mend; told without a traceback."""


class Table(NamedTuple):
    """Features, targets and tasks."""

    X: pd.DataFrame
    y: NDArray[Any]
    task: NDArray[Any]
    notes: list[str]


def read_frame(path: str) -> pd.DataFrame:
    """Read a csv, tsv or parquet file."""
    file = Path(path)
    if not file.exists():
        raise DataError(f"There is no file {path}.")
    suffix = file.suffix.lower()
    if suffix in (".parquet", ".pq"):
        try:
            return pd.read_parquet(file)
        except ImportError as error:
            raise DataError(
                "Reading Parquet needs pyarrow: pip install 'sklmeta[arrow]'."
            ) from error
    try:
        frame = pd.read_csv(file, sep="\t" if suffix == ".tsv" else ",")
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as e:
        raise DataError(f"{path} cannot be read as a table: {e}") from e
    if not len(frame):
        raise DataError(f"{path} has a header and no rows.")
    return frame


def check_columns(frame: pd.DataFrame, names: Sequence[str], path: str) -> None:
    """Name what is missing, and the columns that it might have meant."""
    columns = [str(column) for column in frame.columns]
    for name in names:
        if name in columns:
            continue
        lowered = {column.lower(): column for column in columns}
        near = difflib.get_close_matches(name.lower(), list(lowered), n=3, cutoff=0.5)
        if near:
            hint = "Did you mean " + " or ".join(repr(lowered[n]) for n in near) + "?"
        else:
            hint = "There are: " + ", ".join(columns[:20]) + "."
        raise DataError(f"{path} has no column {name!r}. {hint}")


def make_table(
    frame: pd.DataFrame,
    *,
    path: str,
    target: str,
    task: str,
    features: Sequence[str] | None = None,
    drop: Sequence[str] = (),
) -> Table:
    """Take the table apart; rows without a target or a task are left out."""
    check_columns(frame, [target, task, *(features or ()), *drop], path)
    if target == task:
        raise DataError(f"The target and the task are the same column, {target!r}.")
    notes = []
    known = frame[target].notna() & frame[task].notna()
    if not known.all():
        notes.append(f"{(~known).sum()} row(s) without a target or a task left out.")
        frame = frame[known]
    if frame[task].nunique() < 2:
        raise DataError(
            f"Column {task!r} holds {frame[task].nunique()} task(s): learning across "
            "tasks needs several."
        )
    chosen = list(features) if features else list(frame.columns)
    chosen = [name for name in chosen if name not in (target, task, *drop)]
    X = features_of(frame, chosen)
    if features is None:
        useless = [name for name in chosen if not _is_useful(X[name])]
        if useless:
            notes.append(
                f"Left out as features: {', '.join(map(str, useless))} (text with more "
                f"than {MOST_CATEGORIES} values, dates, or nothing at all). Name them "
                "with --features to keep them."
            )
            X = X.drop(columns=useless)
    if not X.shape[1]:
        raise DataError("No column is left to predict from.")
    labels = frame[task]
    names = labels.to_numpy() if is_numeric_dtype(labels) else labels.astype(str)
    return Table(X, frame[target].to_numpy(), np.asarray(names), notes)


def features_of(frame: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    """Columns as the preparation takes them: numbers as floats, all else as objects."""
    columns = {
        name: frame[name].astype(float if is_numeric_dtype(frame[name]) else object)
        for name in names
    }
    return pd.DataFrame(columns, index=frame.index)


def _is_useful(column: pd.Series[Any]) -> bool:
    if not column.notna().any() or pd.api.types.is_datetime64_any_dtype(column):
        return False
    return is_numeric_dtype(column) or column.nunique() <= MOST_CATEGORIES


def is_classification(y: NDArray[Any], kind: str | None) -> bool:
    """Whether the target is a class: as said, else text, or few whole numbers."""
    if kind is not None:
        return kind == "classification"
    series = pd.Series(y)
    if is_bool_dtype(series) or not is_numeric_dtype(series):
        return True
    if is_float_dtype(series) and not (series % 1 == 0).all():
        return False
    return series.nunique() <= min(MOST_CLASSES, len(series) // 10)


def preparation(X: pd.DataFrame) -> Any:
    """Impute and scale numbers; impute categories and code them by indicators."""
    categories = [name for name in X if not is_numeric_dtype(X[name])]
    numbers = [name for name in X if name not in categories]
    numeric = make_pipeline(SimpleImputer(add_indicator=True), StandardScaler())
    categorical = make_pipeline(
        SimpleImputer(strategy="most_frequent"),
        OneHotEncoder(handle_unknown="ignore", sparse_output=False),
    )
    return make_column_transformer((numeric, numbers), (categorical, categories))
