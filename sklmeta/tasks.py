"""Collections of learning tasks, and the validation of ``task``."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import _safe_indexing, check_consistent_length


def check_task(
    task: Any, n_samples: int | None = None
) -> tuple[NDArray[np.intp], NDArray[Any]]:
    """Validate task labels and encode them.

    Parameters
    ----------
    task : array-like of shape (n_samples,)
        Label of the learning task of every row: str, int or categorical.

    n_samples : int, default=None
        Number of rows that `task` must label; None does not check it.

    Returns
    -------
    codes : ndarray of shape (n_samples,)
        Index into `labels` of every row's task.

    labels : ndarray of shape (n_tasks,)
        The distinct labels, sorted where they can be compared.

    Raises
    ------
    ValueError
        If `task` is not one-dimensional, has the wrong length or a missing value.

    Examples
    --------
    >>> from sklmeta.tasks import check_task
    >>> codes, labels = check_task(["oslo", "bergen", "oslo"])
    >>> codes.tolist(), labels.tolist()
    ([1, 0, 1], ['bergen', 'oslo'])
    """
    values = task.to_numpy() if hasattr(task, "to_numpy") else np.asarray(task)
    if values.ndim != 1:
        column = " For a column of a frame pass df[name]." if values.ndim == 0 else ""
        raise ValueError(
            "task must be one-dimensional, one label per row; got an array of shape "
            f"{values.shape}.{column}"
        )
    if n_samples is not None and len(values) != n_samples:
        raise ValueError(
            f"task must have one label per row: X has {n_samples} rows and task has "
            f"{len(values)} labels."
        )
    missing = pd.isna(values)
    if missing.any():
        rows = ", ".join(map(str, np.flatnonzero(missing)[:5]))
        raise ValueError(
            f"task has {missing.sum()} missing label(s), the first at row(s) {rows}. "
            "Drop these rows or give them a label of their own."
        )
    # pandas' hash table keeps a million labels of any type under a tenth of a second.
    codes, labels = pd.factorize(values)
    labels = np.asarray(labels)
    try:
        order = np.argsort(labels, kind="stable")
    except TypeError:  # labels of mixed types keep the order of appearance
        return codes, labels
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    return rank[codes], labels[order]


def group_rows(
    codes: NDArray[np.intp], n_groups: int
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return rows sorted by group, in row order within one, and each group's start.

    Group i has the rows ``order[offsets[i]:offsets[i + 1]]``.
    """
    offsets = np.zeros(n_groups + 1, dtype=np.intp)
    np.cumsum(np.bincount(codes, minlength=n_groups), out=offsets[1:])
    return np.argsort(codes, kind="stable"), offsets


class TaskCollection(Sequence):
    """Many tasks in one table: columnar inside, a sequence of tasks outside.

    Parameters
    ----------
    X : {array-like, data frame} of shape (n_samples, n_features)
        Rows of all tasks.

    y : array-like of shape (n_samples,)
        Targets.

    task : array-like of shape (n_samples,)
        Label of every row's task: str, int or categorical.

    is_support : array-like of bool of shape (n_samples,), default=None
        Rows that belong to their task's own support; the others are its query. None
        leaves the split to whoever draws episodes.

    Attributes
    ----------
    labels : ndarray of shape (n_tasks,)
        Label of each task.

    codes : ndarray of shape (n_samples,)
        Index of every row's task.

    sizes : ndarray of shape (n_tasks,)
        Rows of each task.

    See Also
    --------
    stack_tasks : Put a list of tasks into one table.
    split_tasks : Take one table apart.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklmeta import TaskCollection
    >>> df = pd.DataFrame({"x": [1.0, 2, 3, 4], "y": [0.0, 1, 1, 0]})
    >>> df["store"] = ["a", "a", "b", "b"]
    >>> tasks = TaskCollection.from_frame(df, target="y", task="store")
    >>> tasks
    TaskCollection: 2 tasks, 4 rows, 1 features; rows per task 2 to 2, median 2
    >>> X, y = tasks[1]
    >>> y.tolist()
    [1.0, 0.0]
    """

    def __init__(self, X: Any, y: Any, task: ArrayLike, *, is_support: Any = None):
        check_consistent_length(X, y)
        self.X = X if hasattr(X, "shape") else np.asarray(X)
        self.y = y if hasattr(y, "shape") else np.asarray(y)
        self.codes, self.labels = check_task(task, len(self.y))
        self._order, self._offsets = group_rows(self.codes, len(self.labels))
        if is_support is not None:
            is_support = np.asarray(is_support)
            if is_support.shape != self.codes.shape or is_support.dtype != bool:
                raise ValueError(
                    "is_support must hold one bool per row; got an array of shape "
                    f"{is_support.shape} and type {is_support.dtype}."
                )
        self.is_support = is_support

    @classmethod
    def from_frame(
        cls, frame: Any, *, target: str, task: str, features: list[str] | None = None
    ) -> TaskCollection:
        """Build a collection from a long data frame (pandas or polars).

        Parameters
        ----------
        frame : data frame of shape (n_samples, n_columns)
            One row per labelled example.

        target, task : str
            Columns of the target and of the task labels.

        features : list of str, default=None
            Columns to use as features; None takes all the others.

        Returns
        -------
        TaskCollection

        Raises
        ------
        ValueError
            If a column is not in the frame.
        """
        columns = list(frame.columns)
        for name in [target, task, *(features or [])]:
            if name not in columns:
                raise ValueError(f"No column {name!r} in the frame; it has {columns}.")
        if features is None:
            features = [name for name in columns if name not in (target, task)]
        return cls(frame[features], frame[target], frame[task])

    @classmethod
    def from_splits(
        cls,
        splits: Iterable[tuple[Any, ArrayLike, Any, ArrayLike]],
        labels: ArrayLike | None = None,
    ) -> TaskCollection:
        """Build a collection whose tasks bring their own support and query.

        Parameters
        ----------
        splits : iterable of (X_support, y_support, X_query, y_query)
            One tuple per task.

        labels : array-like of shape (n_tasks,), default=None
            Label of each task; None numbers them.

        Returns
        -------
        TaskCollection
            Meta-training uses each task's whole support and draws from its query.
        """
        splits = list(splits)
        pairs = [pair for Xs, ys, Xq, yq in splits for pair in ((Xs, ys), (Xq, yq))]
        X, y, part = stack_tasks(pairs)
        if labels is None:
            labels = np.arange(len(splits))
        return cls(X, y, np.asarray(labels)[part // 2], is_support=part % 2 == 0)

    def to_arrays(self) -> tuple[Any, Any, NDArray[Any]]:
        """Return X, y and the task label of every row, in the order given."""
        return self.X, self.y, self.labels[self.codes]

    @property
    def sizes(self) -> NDArray[np.intp]:
        return np.diff(self._offsets)

    def rows(self, index: int) -> NDArray[np.intp]:
        """Return the positions of one task's rows, in row order."""
        return self._order[self._offsets[index] : self._offsets[index + 1]]

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, int | np.integer):
            if not -len(self) <= index < len(self):
                raise IndexError(f"task {index} of a collection of {len(self)}")
            rows = self.rows(int(index) % len(self))
            return _safe_indexing(self.X, rows), _safe_indexing(self.y, rows)
        chosen = np.arange(len(self))[index]
        parts = [self.rows(i) for i in chosen]
        rows = np.concatenate(parts) if parts else np.empty(0, np.intp)
        return TaskCollection(
            _safe_indexing(self.X, rows),
            _safe_indexing(self.y, rows),
            self.labels[self.codes[rows]],
            is_support=None if self.is_support is None else self.is_support[rows],
        )

    def __repr__(self) -> str:
        sizes = self.sizes
        spread = "no rows"
        if len(sizes):
            spread = (
                f"rows per task {sizes.min():,} to {sizes.max():,}, "
                f"median {np.median(sizes):,.0f}"
            )
        return (
            f"TaskCollection: {len(self):,} tasks, {len(self.codes):,} rows, "
            f"{' x '.join(map(str, self.X.shape[1:]))} features; {spread}"
        )


def stack_tasks(
    tasks: Iterable[tuple[Any, Any]], labels: ArrayLike | None = None
) -> tuple[Any, Any, NDArray[Any]]:
    """Put a list of tasks into one table.

    Parameters
    ----------
    tasks : iterable of (X, y)
        Tasks of any size, with the same columns.

    labels : array-like of shape (n_tasks,), default=None
        Label of each task; None numbers them.

    Returns
    -------
    X : {ndarray, data frame} of shape (n_samples, n_features)
        A frame of the library that the tasks' frames come from, else an array.

    y : {ndarray, Series} of shape (n_samples,)

    task : ndarray of shape (n_samples,)

    Raises
    ------
    ValueError
        If there is no task, or one's X and y disagree in length.

    Examples
    --------
    >>> from sklmeta import stack_tasks
    >>> X, y, task = stack_tasks([([[1.0]], [0]), ([[2.0], [3.0]], [1, 0])])
    >>> X.shape, task.tolist()
    ((3, 1), [0, 1, 1])
    """
    tasks = list(tasks)
    if not tasks:
        raise ValueError("There is no task to stack.")
    for X, y in tasks:
        check_consistent_length(X, y)
    sizes = [len(y) for _, y in tasks]
    names = np.arange(len(tasks)) if labels is None else np.asarray(labels)
    if len(names) != len(tasks):
        raise ValueError(f"There are {len(tasks)} tasks but {len(names)} labels.")
    X = _concatenate([X for X, _ in tasks])
    return X, _concatenate([y for _, y in tasks]), np.repeat(names, sizes)


def split_tasks(X: Any, y: ArrayLike, task: ArrayLike) -> list[tuple[Any, Any]]:
    """Take one table apart into a list of tasks, in the order of sorted labels.

    Parameters
    ----------
    X : {array-like, data frame} of shape (n_samples, n_features)
    y : array-like of shape (n_samples,)
    task : array-like of shape (n_samples,)

    Returns
    -------
    list of (X, y)

    Examples
    --------
    >>> from sklmeta import split_tasks
    >>> tasks = split_tasks([[1.0], [2.0], [3.0]], [0, 1, 0], ["b", "a", "b"])
    >>> [y.tolist() for _, y in tasks]
    [[1], [0, 0]]
    """
    return list(TaskCollection(X, y, task))


def _concatenate(parts: list[Any]) -> Any:
    if all(isinstance(part, pd.DataFrame | pd.Series) for part in parts):
        return pd.concat(parts, ignore_index=True)
    if all(type(part).__module__.startswith("polars") for part in parts):
        import polars

        return polars.concat(parts)
    return np.concatenate([np.asarray(part) for part in parts])
