"""Labels of tasks and classes, which must come out as they went in."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import numbers
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.utils import column_or_1d

from sklmeta.data.targets import check_numbers, n_columns

_KINDS: tuple[Any, ...] = (bool | np.bool_, str, bytes, numbers.Number)


def as_labels(values: Any, name: str) -> NDArray[Any]:
    """Return labels as an array, in which no two have become one.

    Parameters
    ----------
    values : array-like
        Labels of any kind.

    name : str
        What errors call them.

    Returns
    -------
    ndarray of the shape of `values`
        Integers are whole to the last digit, also those of nullable columns.

    Raises
    ------
    ValueError
        If a label is missing, or if several may have been made one.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklmeta.data.labels import as_labels
    >>> as_labels(pd.Series([2**60 + 1, 3], dtype="Int64"), "task").tolist()
    [1152921504606846977, 3]
    """
    if isinstance(values, list | tuple) and values and np.ndim(values[0]) == 0:
        labels = np.empty(len(values), dtype=object)
        labels[:] = values  # NumPy itself would make a text of what stands next to one
    else:
        labels = np.asarray(values)
    missing = np.asarray(pd.isna(labels))
    if missing.any():
        rows = ", ".join(map(str, np.flatnonzero(missing)[:5]))
        raise ValueError(
            f"{name} has {missing.sum()} missing label(s), the first at row(s) {rows}. "
            "Drop these rows or give them a label of their own."
        )
    if labels.dtype == object and labels.size:
        labels = _of_one_kind(labels, name, copy=isinstance(values, list | tuple))
    if labels.dtype.kind == "f" and labels.size:
        largest = labels.flat[np.abs(labels).argmax()]
        if abs(largest) >= 2 / np.finfo(labels.dtype).eps:
            raise ValueError(
                f"{name} has labels as large as {largest:.20g} among {labels.dtype}s, "
                "where several whole numbers may have become one. Keep them integers "
                "or text from the start: read the column with dtype='Int64' or str."
            )
    return labels


def _of_one_kind(labels: NDArray[Any], name: str, *, copy: bool) -> NDArray[Any]:
    """Check Python objects; numbers become an array of numbers, where that is exact."""
    flat = labels.ravel().tolist()
    first: dict[Any, Any] = {}
    for kind in dict.fromkeys(map(type, flat)):
        family = next((k for k in _KINDS if issubclass(kind, k)), kind)
        first.setdefault(family, next(v for v in flat if type(v) is kind))
    if len(first) > 1:
        one, other = list(first.values())[:2]
        raise ValueError(
            f"{name} has labels of mixed types, such as {one!r} and {other!r}. Make "
            "them of one type, for example with astype(str)."
        )
    (family,) = first
    if family in (str, bytes):
        null = "\0" if family is str else b"\0"
        cut = next((value for value in flat if null in value), None)
        if cut is not None:
            raise ValueError(
                f"{name} has the label {cut!r}, of which NumPy drops the end. Replace "
                "null characters first."
            )
    whole = all(isinstance(value, int | np.integer) for value in flat)
    if whole and family not in _KINDS[:1]:
        for dtype in (np.int64, np.uint64):
            try:
                return np.array(flat, dtype).reshape(labels.shape)
            except OverflowError:
                continue
        return labels
    numeric = all(isinstance(v, _KINDS[0] | float | int | np.number) for v in flat)
    return np.asarray(flat).reshape(labels.shape) if copy or numeric else labels


def as_column(y: Any) -> Any:
    """Return y as it is, or a list as an array; text beside anything else is refused.

    Labels or numbers: only an estimator knows which.
    """
    if hasattr(y, "shape"):
        return y
    apart = any(isinstance(value, str | bytes | _KINDS[0]) for value in y)
    return as_labels(y, "y") if apart else np.asarray(y)


def check_targets(y: Any, *, classes: bool, several: bool = False) -> NDArray[Any]:
    """Return classes, as `as_labels` does, or numbers, in one dimension.

    With `several` numbers may have two.
    """
    if not classes and n_columns(y) > 1:
        return check_numbers(y, several=several)
    return column_or_1d(as_labels(y, "y") if classes else y)


def positions(labels: NDArray[Any], known: NDArray[Any]) -> NDArray[np.intp]:
    """Index of every label among the `known` ones, -1 where it is none of them.

    The number 1 is not the text "1"; True is 1.
    """
    if {labels.dtype.kind, known.dtype.kind} & set("iuf"):
        labels, known = (
            np.asarray(v, np.int64) if v.dtype == bool else v for v in (labels, known)
        )
    return pd.Index(known).get_indexer(pd.Index(labels))


def shared_class_indices(
    y: NDArray[Any], classes: NDArray[Any], remedy: str
) -> NDArray[np.intp]:
    """Index of every label, all of which `fit` must have seen."""
    found = positions(y, classes)
    if (found < 0).any():
        unseen = np.unique(y[found < 0])[:5].tolist()
        raise ValueError(
            f"y has labels that fit has not seen: {unseen}. The classes are shared by "
            f"all tasks; for classes of a task's own, {remedy}"
        )
    return found
