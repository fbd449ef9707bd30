"""Tables of several tasks, put below each other."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse
from sklearn.utils import check_consistent_length

from sklmeta.data.labels import as_column


def check_pairs(tasks: Iterable[Any]) -> list[tuple[Any, Any]]:
    """Return tasks as a list of (X, y) with the same columns.

    Raises
    ------
    ValueError
        That names the first task that is something else.
    """
    pairs: list[tuple[Any, Any]] = []
    for i, task in enumerate(tasks):
        try:
            X, y = task
            check_consistent_length(X, y)
            _ = len(y), np.shape(X)
            if i and np.ndim(y) != np.ndim(pairs[0][1]):
                raise ValueError(f"y has {np.ndim(y)} dimensions, unlike tasks[0].")
        except (TypeError, ValueError) as error:
            raise ValueError(f"tasks[{i}] is no pair (X, y): {error}") from error
        pairs.append((_with_columns(X, pairs[0][0], i) if i else X, y))
    if not pairs:
        raise ValueError("There is no task to stack.")
    return pairs


def _with_columns(X: Any, first: Any, i: int) -> Any:
    """Return a task's rows with their columns in the order of the first task's."""
    if hasattr(X, "columns") and hasattr(first, "columns"):
        check_names(X.columns, f"X of tasks[{i}]")
        names, own = list(first.columns), list(X.columns)
        missing = [name for name in names if name not in own]
        if missing or len(names) != len(own):
            more = [name for name in own if name not in names]
            raise ValueError(
                f"tasks[{i}] has other columns than tasks[0]: {missing} are missing, "
                f"{more} are new. Give all tasks the same columns."
            )
        return X if names == own else X[names]
    if np.shape(X)[1:] != np.shape(first)[1:]:
        raise ValueError(
            f"tasks[{i}] has rows of shape {np.shape(X)[1:]}, and tasks[0] of "
            f"{np.shape(first)[1:]}. Give all tasks the same columns."
        )
    return X


def is_pair(item: Any) -> bool:
    """Whether something looks like a task (X, y), and not like a row of a table."""
    if not isinstance(item, tuple | list) or len(item) != 2:
        return False
    return getattr(item[0], "ndim", None) == 2 or np.ndim(item[0]) >= 2


def refuse_parts(X: Any) -> None:
    """Say what to do with tables in parts, one per task."""
    if isinstance(X, Mapping) and not scipy.sparse.issparse(X):  # one of its kinds is
        raise TypeError(
            "X is a dict where a table of rows is wanted: pass {name: (X, y)} alone, a "
            "pair for each task; or put frames with their targets below each other, "
            'frame = pd.concat(frames, names=["task"]).reset_index(level="task"), and '
            'take TaskCollection.from_frame(frame, target=..., task="task").'
        )
    if hasattr(X, "get_group"):
        raise TypeError(
            "X is grouped, and a table of rows is wanted: pass the frame as it was, "
            "and the column that it was grouped by as task."
        )
    if isinstance(X, Iterator):
        raise TypeError(
            "X is an iterator, which can be read once only: pass list(X), of a pair "
            "(X, y) for each task."
        )


def refuse_tasks(X: Any) -> None:
    """Say what to do with tasks where a table of rows is wanted."""
    refuse_parts(X)
    if isinstance(X, list) and X and isinstance(X[0], tuple) and is_pair(X[0]):
        raise TypeError(
            "X is a list of tasks where a table of rows is wanted: pass what "
            "X, y, task = stack_tasks(tasks) returns."
        )
    if hasattr(X, "to_arrays"):
        np.asarray(X)  # its error says more


def check_is_table(X: Any, reader: str, *, sparse: bool) -> None:
    """Refuse what is no table of rows, or not one that the reader can read."""
    refuse_tasks(X)
    if hasattr(X, "columns"):
        check_names(X.columns, "X")
    if scipy.sparse.issparse(X) and not sparse:
        raise TypeError(
            f"X is sparse, which {reader} does not take: pass X.toarray(), or put a "
            "TruncatedSVD in front, in a Pipeline."
        )


def check_names(names: Iterable[Any], where: str) -> None:
    """Refuse columns that share a name."""
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise ValueError(
            f"{where} has more than one column of each of these names: {twice[:5]}. "
            "Rename them, or drop all but one."
        )


def choose_columns(
    names: Sequence[Any], target: Any, task: Any, features: list[Any] | None, where: str
) -> list[Any]:
    """Return the features of a table: those asked for, or all other columns.

    Raises
    ------
    ValueError
        If a column is not there, there twice, or asked for twice.
    """
    for name in [target, task, *(features or [])]:
        if name not in names:
            raise ValueError(f"No column {name!r} in {where}; it has {list(names)}.")
    if features is None:
        features = [name for name in names if name not in (target, task)]
        check_names(names, where)
    used = [target, task, *features]
    check_names([name for name in names if name in used], where)
    if target in (task, *features) or len(set(features)) < len(features):
        raise ValueError(
            f"A column has one use, but target={target!r}, task={task!r} and "
            f"features={features} name one twice."
        )
    return list(features)


def stacked_rows(parts: Sequence[Any]) -> Any:
    """Put tables with the same columns below each other."""
    if any(map(scipy.sparse.issparse, parts)):
        return scipy.sparse.vstack(parts, format="csr")
    return _stacked(parts)


def stacked_targets(parts: Sequence[Any]) -> Any:
    """Put targets below each other; text stays apart from numbers."""
    columns = [as_column(part) for part in parts]
    if all(isinstance(column, np.ndarray) for column in columns):
        kinds = {column.dtype.kind for column in columns}
        if len(kinds) > 1 and not kinds <= set("iuf"):
            columns = [column.astype(object) for column in columns]
    return _stacked(columns)


def _stacked(parts: Sequence[Any]) -> Any:
    if all(isinstance(part, pd.DataFrame | pd.Series) for part in parts):
        return pd.concat(parts, ignore_index=True)
    if all(type(part).__module__.startswith("polars") for part in parts):
        import polars

        return polars.concat(parts)
    return np.concatenate([np.asarray(part) for part in parts])
