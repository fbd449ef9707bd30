"""Refitting a scikit-learn estimator with weights, and with the task as a column."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse
from numpy.typing import ArrayLike, NDArray
from sklearn.base import clone, is_classifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.utils.validation import has_fit_parameter

from sklmeta._compat import _safe_indexing
from sklmeta.data.codes import IntArray, group_rows

# What these take for a category by its type in a frame, and in any number.
_TAKE_CATEGORIES = ("lightgbm.", "xgboost.")
N_FOLDS = 5  # of a task's rows, where numbers stand for it


def steps_of(estimator: Any) -> tuple[Pipeline | None, Any]:
    """Return clones of what prepares the rows, and of what learns from them."""
    steps = [clone(estimator)]
    while isinstance(steps[-1], Pipeline):
        steps[-1:] = [step for _, step in steps[-1].steps]
    return make_pipeline(*steps[:-1]) if steps[1:] else None, steps[-1]


def check_weight(estimator: Any, weight: float) -> None:
    """Refuse a weight that the estimator could not be fitted with."""
    _, last = steps_of(estimator)
    if weight % 1 and not has_fit_parameter(last, "sample_weight"):
        raise ValueError(
            f"support_weight={weight:g} needs the sample_weight that the fit of "
            f"{type(last).__name__} does not take. Use a whole number: the support "
            "rows are then repeated."
        )


def fit_weighted(model: Any, X: Any, y: NDArray[Any], weight: NDArray[Any]) -> Any:
    """Fit in place, by repeating rows if the weights are whole numbers.

    What trees ask of a leaf, or of a category, they count in rows; and to find bins
    for weighted rows takes scikit-learn's boosting longer than the trees do.
    """
    if (weight == 1).all():
        return model.fit(X, y)
    if (weight % 1).any():
        return model.fit(X, y, sample_weight=weight)
    rows = np.repeat(np.arange(len(y)), weight.astype(int))
    return model.fit(_safe_indexing(X, rows), y[rows])


def refit(estimator: Any, X: Any, y: NDArray[Any], weight: NDArray[Any]) -> Any:
    """Fit a clone, of whose steps the last gets the weights."""
    if (weight == 1).all():
        return clone(estimator).fit(X, y)
    preparation, last = steps_of(estimator)
    if preparation is None:
        return fit_weighted(last, X, y, weight)
    fit_weighted(last, preparation.fit_transform(X, y), y, weight)
    return make_pipeline(*(step for _, step in preparation.steps), last)


def refit_with_task(
    estimator: Any, X: Any, y: NDArray[Any], codes: IntArray, weight: NDArray[Any]
) -> tuple[Pipeline | None, Any, NDArray[Any]]:
    """Fit a clone to the rows and their tasks' labels.

    Returns
    -------
    preparation : Pipeline or None
        Fitted steps in front; they do not see the label.

    last : estimator
        What learned from the prepared rows and the columns beside them.

    columns : ndarray of shape (n_tasks, n_columns)
        What stands for each task: its code, or numbers.
    """
    preparation, last = steps_of(estimator)
    if preparation is not None:
        X = preparation.fit_transform(X, y)
    n_tasks = int(codes.max()) + 1
    if takes_category(last, X, n_tasks):
        columns: NDArray[Any] = np.arange(n_tasks)[:, None]
        X = beside(X, columns, codes)
        _declare(last, X)
    else:
        values, columns = encoded(codes, y, is_classifier(last))
        X = beside(X, values, slice(None))
    return preparation, fit_weighted(last, X, y, weight), columns


def takes_category(estimator: Any, X: Any, n_tasks: int) -> bool:
    """Whether the estimator can be given the tasks as a category of such rows."""
    if scipy.sparse.issparse(X) or _is_foreign(X):
        return False
    if hasattr(estimator, "categorical_features"):  # scikit-learn's boosting
        return n_tasks <= getattr(estimator, "max_bins", 255)
    modules = [c.__module__ for c in type(estimator).__mro__]
    return any(m.startswith(_TAKE_CATEGORIES) for m in modules)


def beside(X: Any, columns: NDArray[Any], codes: IntArray | slice) -> Any:
    """Put the columns of each row's task beside the rows."""
    values = columns[codes]
    if scipy.sparse.issparse(X):
        return scipy.sparse.hstack([X, scipy.sparse.csr_array(values)], format="csr")
    is_category = values.dtype.kind == "i"
    if not hasattr(X, "columns"):
        if not is_category:
            return np.column_stack([X, values])
        X = pd.DataFrame(X, columns=[f"x{i}" for i in range(X.shape[1])], copy=False)
    elif isinstance(X, pd.DataFrame):
        X = X.rename(columns=str)  # scikit-learn takes no names of two types
    name = "task"
    while any(column.startswith(name) for column in X.columns):
        name += "_"
    if is_category:
        known = pd.RangeIndex(columns[-1, 0] + 1)
        code = values[:, 0].astype(np.intp)
        return X.assign(**{name: pd.Categorical.from_codes(code, known)})
    new = {f"{name}{i}": column for i, column in enumerate(values.T)}
    return X.with_columns(**new) if _is_foreign(X) else X.assign(**new)


def _is_foreign(X: Any) -> bool:
    return hasattr(X, "with_columns")  # polars has categories of other types


def _declare(last: Any, X: pd.DataFrame) -> None:
    """Add the task, the last column, to the categories that scikit-learn is told of."""
    told: ArrayLike | str | None = getattr(last, "categorical_features", "from_dtype")
    if isinstance(told, str):
        return
    features = np.asarray([] if told is None else told)
    new: Any = X.shape[1] - 1
    if features.dtype.kind == "b":
        new = True
    elif features.dtype.kind in "OUT":
        new = X.columns[-1]
    last.set_params(categorical_features=[*features.tolist(), new])


def encoded(
    codes: IntArray, y: NDArray[Any], classes: bool
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return mean targets, or class frequencies, for each row and for each task.

    A row's are those of four fifths of its task's rows, without itself: else the
    estimator would find every target in them. The mean of all rows counts as one row.
    """
    targets = (y[:, None] == np.unique(y)[1:] if classes else y[:, None]).astype(float)
    n_tasks = int(codes.max()) + 1
    order, offsets = group_rows(codes, n_tasks)
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order)) - offsets[codes[order]]
    fold = rank % N_FOLDS
    sums = np.zeros((n_tasks, N_FOLDS, targets.shape[1] + 1))
    np.add.at(sums, (codes, fold), np.column_stack([targets, np.ones(len(y))]))
    prior = np.append(targets.mean(axis=0), 1.0)
    of_task = sums.sum(axis=1) + prior
    of_row = of_task[codes] - sums[codes, fold]
    return of_row[:, :-1] / of_row[:, -1:], of_task[:, :-1] / of_task[:, -1:]
