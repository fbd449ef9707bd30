"""Validation of what `fit` and `adapt` are given."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, is_regressor
from sklearn.utils import (
    assert_all_finite,
    check_array,
    check_consistent_length,
    check_X_y,
    column_or_1d,
)
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import validate_data

from sklmeta._compat import _num_samples
from sklmeta.data.blocks import as_rows, is_mapped, row_blocks
from sklmeta.data.codes import IntArray, check_order, check_task
from sklmeta.data.collection import TaskCollection, stack_tasks
from sklmeta.data.hints import hints_on_columns
from sklmeta.data.kinds import TaskKind, kind_of
from sklmeta.data.labels import as_labels, check_targets, shared_class_indices
from sklmeta.data.own_classes import own_classes
from sklmeta.data.stacking import check_is_table, is_pair, refuse_parts, refuse_tasks
from sklmeta.data.table import Table
from sklmeta.data.targets import target_options


def unpack_collection(X: Any, y: Any, task: Any) -> tuple[Any, Any, Any, Any]:
    """Turn a collection, in any of its forms, into the flat form."""
    if isinstance(X, TaskCollection):
        _check_alone(y, task)
        return (*X.to_arrays(), X.is_support)
    if y is None and isinstance(X, Sequence) and any(map(is_pair, X)):
        return (*stack_tasks(X), None)
    if y is None and isinstance(X, Mapping) and all(map(is_pair, X.values())):
        return (*stack_tasks(X.values(), list(X)), None)
    refuse_parts(X)
    check_order(X, task)
    return X, y, task, None


def _check_alone(y: Any, task: Any) -> None:
    if y is not None or task is not None:
        raise ValueError("A TaskCollection brings its own y and task; pass it alone.")


def check_rows(
    estimator: BaseEstimator,
    X: Any,
    y: Any = "no_validation",
    *,
    options: dict[str, Any],
) -> Any:
    """Validate X (and y) as scikit-learn does, with a hint on columns of no numbers."""
    with_y = not isinstance(y, str)
    check_is_table(X, type(estimator).__name__, sparse="accept_sparse" in options)
    numeric = with_y and is_regressor(estimator)
    if numeric:
        if np.asarray(y).dtype.kind in "UST":
            raise ValueError(
                "y is text, and a regressor predicts numbers; a classifier predicts "
                "labels."
            )
        fitted = not options.get("reset", True)
        options = {
            "y_numeric": True,
            **target_options(estimator, y, fitted=fitted),
            **options,
        }
    elif with_y and y is not None:
        y = as_labels(y, "y")
    if is_mapped(X) and X.dtype.kind in "biuf":
        return _check_mapped_rows(estimator, X, y, **options)
    with hints_on_columns(estimator):
        checked = validate_data(estimator, X, y, **options)
    if not with_y:
        return checked
    X, y = checked
    if options.get("skip_check_array"):  # which skips y as well
        with hints_on_columns(estimator):
            y = check_array(
                y if options.get("multi_output") else column_or_1d(y, warn=True),
                ensure_2d=False,
                dtype="numeric" if numeric else None,
                input_name="y",
            )
        check_consistent_length(X, y)
    return X, y


def as_given(X: Any) -> dict[str, Any]:
    """Options of `validate_data` that leave X to estimators inside."""
    if hasattr(X, "columns"):
        return {"skip_check_array": True}
    options = {"dtype": None, "accept_sparse": "csr", "ensure_all_finite": False}
    if scipy.sparse.issparse(X):
        return options
    refuse_tasks(X)
    values = np.asarray(X)
    is_text = values.ndim == 1 and values.dtype.kind in "OUT"
    return {**options, "ensure_2d": False} if is_text else options


def _check_mapped_rows(estimator: BaseEstimator, X: Any, y: Any, **options: Any) -> Any:
    """Validate rows on disk block by block, without a copy of them.

    Numbers of another type than float64 and float32 stay as they are; they count as
    float64.
    """
    has_y = not isinstance(y, str)
    head = y[:2] if has_y and y is not None else y
    validate_data(estimator, np.asarray(X[:2]), head, **options)
    for block in row_blocks(X):
        assert_all_finite(
            np.asarray(X[block]),
            estimator_name=type(estimator).__name__,
            input_name="X",
        )
    if not has_y:
        return X
    check_consistent_length(X, y)
    of_y = {k: v for k, v in options.items() if k in ("y_numeric", "multi_output")}
    _, y = check_X_y(np.zeros((len(y), 1)), y, estimator=estimator, **of_y)
    return X, y


def check_fit_table(
    estimator: BaseEstimator,
    X: Any,
    y: Any,
    task: Any,
    *,
    options: Callable[[Any], dict[str, Any]],
    remedy: str,
) -> Table:
    """Validate the arguments of `fit` and decide what the classes are.

    Parameters
    ----------
    estimator : estimator
        Whose features are noted.

    X, y, task
        As `fit` takes them.

    options : callable
        Returns what `validate_data` is to ask of these rows.

    remedy : str
        What to do where classes turn out not to be shared.

    Raises
    ------
    ValueError, TypeError
        Naming the argument that is wrong and what to do.
    """
    collection = X if isinstance(X, TaskCollection) else None
    if collection is None:
        X, y, task, is_support = unpack_collection(X, y, task)
    else:
        _check_alone(y, task)
        X, y, is_support = collection.X, collection.y, collection.is_support
    X, y = check_rows(estimator, X, y, options=options(X))
    if collection is not None:
        codes, labels = collection.codes, collection.labels
        if collection.feature_names is not None:  # an array has no names of its own
            header = pd.DataFrame(columns=collection.feature_names)
            validate_data(estimator, header, skip_check_array=True)
    else:
        codes, labels = encode_tasks(task, _num_samples(X))
    kind = kind_of(estimator)
    if kind == TaskKind.REGRESSION:
        shape = y.shape[1:]
        y = y[:, 0] if shape == (1,) else y
        return Table(
            X, y, codes, labels, kind, is_support=is_support, target_shape=shape
        )
    with warnings.catch_warnings():
        if kind == TaskKind.OWN:  # thousands of classes of few rows are normal there
            warnings.filterwarnings("ignore", "The number of unique classes")
        check_classification_targets(y)
    classes, index = np.unique(y, return_inverse=True)
    table = Table(X, y, codes, labels, kind, classes, index, is_support=is_support)
    _check_classes(table, remedy)
    return table


def check_support_table(
    estimator: BaseEstimator,
    X: Any,
    y: Any,
    task: Any,
    *,
    kind: TaskKind,
    classes: NDArray | None,
    options: Callable[[Any], dict[str, Any]],
    remedy: str,
) -> Table:
    """Validate the arguments of `adapt`; `classes` are those that `fit` has seen.

    Raises
    ------
    ValueError, TypeError
        Naming the argument that is wrong and what to do.
    """
    if hasattr(X, "__len__") and _num_samples(X) == 0:
        raise ValueError(
            "The support is empty. With zero shots, use the estimator as it is after "
            "fit."
        )
    X, y = check_rows(estimator, X, y, options={**options(X), "reset": False})
    codes, labels = encode_tasks(task, _num_samples(X))
    if kind == TaskKind.REGRESSION and y.shape[1:] == (1,):
        y = y[:, 0]
    table = Table(X, y, codes, labels, kind, classes)
    if kind == TaskKind.OWN:
        index, own = own_classes(y, codes, table.n_tasks)
        return table._replace(classes=own.classes, class_index=index, own=own)
    if kind == TaskKind.SHARED:
        assert classes is not None
        return table._replace(class_index=shared_class_indices(y, classes, remedy))
    return table


def check_tasks(
    X: Any, y: Any, task: Any, *, classes: bool, several: bool = False
) -> tuple[Any, NDArray, IntArray, NDArray]:
    """Check what is cut into tasks before any estimator sees it.

    With `several` there may be more than one target.

    Returns
    -------
    X : {array-like, data frame}
        Rows that can be indexed; what is in them is for the estimator to check.

    y : ndarray of shape (n_samples,) or (n_samples, n_targets)
    codes : ndarray of shape (n_samples,)
    labels : ndarray of shape (n_tasks,)
    """
    refuse_parts(X)
    check_consistent_length(X, y)
    check_order(X, task)
    targets = check_targets(y, classes=classes, several=several)
    return (as_rows(X), targets, *check_task(task, len(targets)))


def encode_tasks(task: Any, n_samples: int) -> tuple[IntArray, NDArray]:
    """Encode task labels; None is one task, whose label is 0."""
    if task is None:
        return np.zeros(n_samples, dtype=np.intp), np.zeros(1, dtype=np.intp)
    return check_task(task, n_samples)


def _check_classes(table: Table, remedy: str) -> None:
    assert table.classes is not None
    if table.kind == TaskKind.SHARED and not table.one_table:
        n_classes = len(table.classes)
        if n_classes > 1 and len(_cells(table)) == n_classes:
            raise ValueError(
                "No class appears in two tasks, so the classes cannot be shared. If "
                f"they are a task's own, {remedy}"
            )


def check_ways(table: Table, n_way: int | None) -> None:
    """Check that episodes of classes of a task's own can be drawn.

    Raises
    ------
    ValueError
        If no task has two classes, or `n_way` of them.
    """
    assert table.classes is not None
    most = int(np.bincount(_cells(table) // len(table.classes)).max())
    if n_way is not None and n_way > most:
        raise ValueError(
            f"n_way={n_way} is larger than the number of classes there are: the "
            f"richest task has {most}. Lower n_way."
        )
    if most < 2:
        raise ValueError(
            "Every task has a single class, from which nothing about telling classes "
            "apart can be learned. Set shared_classes=True if classes are shared."
        )


def _cells(table: Table) -> IntArray:
    """Distinct pairs of task and class, as one number."""
    assert table.classes is not None and table.class_index is not None
    return np.unique(table.codes * len(table.classes) + table.class_index)
