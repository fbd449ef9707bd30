"""Validation of ``task``, and rows by task."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sklmeta.data.labels import as_labels

IntArray = NDArray[np.intp]


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
        If `task` is not one-dimensional, has the wrong length, a missing value or
        labels that may have been made one.

    Examples
    --------
    >>> from sklmeta.data.codes import check_task
    >>> codes, labels = check_task(["oslo", "bergen", "oslo"])
    >>> codes.tolist(), labels.tolist()
    ([1, 0, 1], ['bergen', 'oslo'])
    """
    values = as_labels(task, "task")
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
    # pandas' hash table keeps a million labels of any type under a tenth of a second.
    codes, labels = pd.factorize(values)
    labels = np.asarray(labels)
    try:
        order = np.argsort(labels, kind="stable")
    except TypeError:  # labels that have no order keep that of their appearance
        return codes, labels
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    return rank[codes], labels[order]


def check_order(X: Any, task: Any) -> None:
    """Refuse labels that have the index of X in another order.

    Rows are matched by their place, as everywhere in scikit-learn.

    Raises
    ------
    ValueError
        If both have an index of pandas, of the same labels, in different orders.
    """
    one, other = getattr(X, "index", None), getattr(task, "index", None)
    if not isinstance(one, pd.Index) or not isinstance(other, pd.Index):
        return
    if len(one) != len(other) or one.equals(other):
        return
    places = np.unique(one.get_indexer_for(other))
    if len(places) >= len(one) and places[0] >= 0:
        raise ValueError(
            "task has the rows of X in another order, by its index. Rows are matched "
            "by their place: pass task.loc[X.index], or task.to_numpy() if the places "
            "are right."
        )


def refuse_task(weight: Any, tasks: Any) -> None:
    """Refuse labels of tasks where a scorer expects weights of rows.

    Third by position, they would count as weights without a word. Two different values
    are not enough to tell: rows that weigh one or two are common.

    Raises
    ------
    ValueError
        If the weights are text, or repeat three or more of the labels and no more.
    """
    values = np.unique([] if weight is None else np.asarray(weight))
    few = 3 <= len(values) <= np.size(weight) / 2
    if values.dtype.kind in "OSUT" or (few and np.isin(values, tasks).all()):
        raise ValueError(
            "sample_weight looks like the tasks' labels, which are given by name: "
            "score(X, y, task=task)."
        )


def group_means(
    values: NDArray[Any],
    codes: IntArray,
    n_groups: int,
    weight: NDArray[np.float64] | None = None,
) -> NDArray[np.float64]:  # shape: (n_groups, ...); no group may be empty
    order, offsets = group_rows(codes, n_groups)
    ranked, sizes = values[order].astype(np.float64), np.diff(offsets)
    columns = [1] * (ranked.ndim - 1)
    if weight is not None:
        ranked = ranked * weight[order].reshape(-1, *columns)
        sizes = np.bincount(codes, weight, minlength=n_groups)
    totals = np.add.reduceat(ranked, offsets[:-1], axis=0)
    return totals / sizes.reshape(-1, *columns)


def group_rows(
    codes: NDArray[np.intp], n_groups: int
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return rows sorted by group, in row order within one, and each group's start.

    Group i has the rows ``order[offsets[i]:offsets[i + 1]]``.
    """
    offsets = np.zeros(n_groups + 1, dtype=np.intp)
    np.cumsum(np.bincount(codes, minlength=n_groups), out=offsets[1:])
    return np.argsort(codes, kind="stable"), offsets
