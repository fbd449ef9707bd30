"""Collections of learning tasks, and the validation of ``task``."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_consistent_length

from sklmeta._compat import _safe_indexing
from sklmeta.data.blocks import as_rows, is_mapped
from sklmeta.data.codes import check_order, check_task, group_rows
from sklmeta.data.labels import as_column, as_labels
from sklmeta.data.sketch import html_of
from sklmeta.data.stacking import (
    check_pairs,
    choose_columns,
    refuse_parts,
    stacked_rows,
    stacked_targets,
)


class TaskCollection(Sequence):
    """Many tasks in one table: columnar inside, a sequence of tasks outside.

    Parameters
    ----------
    X : {array-like, data frame, sparse} of shape (n_samples, n_features)
        Rows of all tasks. A memory-mapped array (``np.load(path, mmap_mode="r")``) may
        be larger than memory: `fit` leaves it on disk and reads the rows it draws.

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

    feature_names : list of str or None
        Names of the columns, where `from_file` read them; a data frame has its own.

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
        refuse_parts(X)
        check_consistent_length(X, y)
        check_order(X, task)
        self.X = as_rows(X) if hasattr(X, "shape") else np.asarray(X)
        self.y = as_column(y)
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
        self.feature_names: list[str] | None = None

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
            If a column is not in the frame, or there twice.
        """
        names = list(frame.columns)
        features = choose_columns(names, target, task, features, "the frame")
        return cls(frame[features], frame[target], frame[task])

    @classmethod
    def from_file(
        cls,
        path: Any,
        *,
        target: str,
        task: str,
        features: list[str] | None = None,
        cache: Any = None,
    ) -> TaskCollection:
        """Build a collection from an Arrow or Parquet file, which may exceed memory.

        Targets and task labels are kept in memory. Features are copied to an array on
        disk, from which single rows can be read; the file itself is compressed, or
        stored by columns.

        Parameters
        ----------
        path : str or path-like
            A file that ends in .parquet, .pq, .feather, .arrow or .ipc, or a folder of
            Parquet files.

        target, task : str
            Columns of the target and of the task labels.

        features : list of str, default=None
            Columns to use as features; None takes all the others.

        cache : str or path-like, default=None
            Folder to keep the array on disk in; the next call finds it there unless
            the file has changed. None writes a temporary file, which goes with the
            collection. The array has 8 bytes per number, or 4 where all the features
            are of single precision.

        Returns
        -------
        TaskCollection
            Its rows are grouped by task, in the order of the labels; within a task
            they keep the order of the file.

        Raises
        ------
        ImportError
            If pyarrow is not installed.

        ValueError
            If a column is not in the file, or there twice, or a feature is not
            numbers.
        """
        from sklmeta.data.arrow import read_arrow

        table = read_arrow(path, target, task, features, cache)
        collection = cls(table.X, table.y, table.task)
        collection.feature_names = table.features
        return collection

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
        names = (
            np.arange(len(splits)) if labels is None else as_labels(labels, "labels")
        )
        return cls(X, y, names[part // 2], is_support=part % 2 == 0)

    def to_arrays(self) -> tuple[Any, Any, NDArray[Any]]:
        """Return the table and the task label of every row, in the order given.

        Returns
        -------
        X : {ndarray, data frame} of shape (n_samples, n_features)
            As it was given; a data frame where it was read from a file.

        y : {ndarray, Series} of shape (n_samples,)
            Targets.

        task : ndarray of shape (n_samples,)
            Label of every row's task.
        """
        return self._named(self.X), self.y, self.labels[self.codes]

    @property
    def sizes(self) -> NDArray[np.intp]:
        return np.diff(self._offsets)

    def rows(self, index: int) -> NDArray[np.intp]:
        """Return the positions of one task's rows.

        Parameters
        ----------
        index : int
            Position of the task in the collection.

        Returns
        -------
        ndarray of shape (n_rows,)
            In row order.
        """
        return self._order[self._offsets[index] : self._offsets[index + 1]]

    def __array__(self, *args: Any, **kwargs: Any) -> NDArray[Any]:
        raise TypeError(
            "A TaskCollection is not a table of rows, which are wanted here: take it "
            "apart by X, y, task = tasks.to_arrays() and pass these."
        )

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, int | np.integer):
            if not -len(self) <= index < len(self):
                raise IndexError(f"task {index} of a collection of {len(self)}")
            rows = self.rows(int(index) % len(self))
            X = self._named(_safe_indexing(self.X, rows))
            return X, _safe_indexing(self.y, rows)
        chosen = np.arange(len(self))[index]
        parts = [self.rows(i) for i in chosen]
        rows = np.concatenate(parts) if parts else np.empty(0, np.intp)
        # Neighbours on disk stay there; other rows are loaded.
        neighbours = is_mapped(self.X) and len(rows) and (np.diff(rows) == 1).all()
        part = slice(rows[0], rows[-1] + 1) if neighbours else rows
        some = TaskCollection(
            self.X[part] if neighbours else _safe_indexing(self.X, rows),
            _safe_indexing(self.y, rows),
            self.labels[self.codes[rows]],
            is_support=None if self.is_support is None else self.is_support[rows],
        )
        some.feature_names = self.feature_names
        return some

    def _named(self, X: Any) -> Any:
        if self.feature_names is None:
            return X
        return pd.DataFrame(X, columns=self.feature_names, copy=False)

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

    def _repr_html_(self) -> str:
        return html_of(repr(self), self.y, self.codes, self.labels)


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
    X : {ndarray, data frame, sparse} of shape (n_samples, n_features)
        A frame of the library that the tasks' frames come from, else an array.

    y : {ndarray, Series} of shape (n_samples,)
        Targets.

    task : ndarray of shape (n_samples,)
        Label of every row's task.

    Raises
    ------
    ValueError
        If there is no task, one's X and y disagree in length, or one has other
        columns than the first.

    Examples
    --------
    >>> from sklmeta import stack_tasks
    >>> X, y, task = stack_tasks([([[1.0]], [0]), ([[2.0], [3.0]], [1, 0])])
    >>> X.shape, task.tolist()
    ((3, 1), [0, 1, 1])
    """
    tasks = check_pairs(tasks)
    sizes = [len(y) for _, y in tasks]
    names = np.arange(len(tasks)) if labels is None else as_labels(labels, "labels")
    if len(names) != len(tasks):
        raise ValueError(f"There are {len(tasks)} tasks but {len(names)} labels.")
    X = stacked_rows([X for X, _ in tasks])
    return X, stacked_targets([y for _, y in tasks]), np.repeat(names, sizes)


def split_tasks(X: Any, y: ArrayLike, task: ArrayLike) -> list[tuple[Any, Any]]:
    """Take one table apart into a list of tasks, in the order of sorted labels.

    Parameters
    ----------
    X : {array-like, data frame} of shape (n_samples, n_features)
        Rows of all tasks.

    y : array-like of shape (n_samples,)
        Targets.

    task : array-like of shape (n_samples,)
        Label of every row's task.

    Returns
    -------
    list of (X, y)
        One pair per task.

    Examples
    --------
    >>> from sklmeta import split_tasks
    >>> tasks = split_tasks([[1.0], [2.0], [3.0]], [0, 1, 0], ["b", "a", "b"])
    >>> [y.tolist() for _, y in tasks]
    [[1], [0, 0]]
    """
    return list(TaskCollection(X, y, task))
