"""Validation of what `fit` and `adapt` are given."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import is_regressor
from sklearn.utils import assert_all_finite, check_consistent_length, check_X_y
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import validate_data

from sklmeta.data.blocks import is_mapped, row_blocks
from sklmeta.data.codes import IntArray, check_task
from sklmeta.data.collection import TaskCollection, stack_tasks


class FitData(NamedTuple):
    """A validated table of tasks."""

    X: NDArray  # shape: (n_samples, *input), float64 or float32; any number on disk
    y: NDArray  # shape: (n_samples,); class index, or target
    codes: IntArray  # shape: (n_samples,)
    labels: NDArray  # shape: (n_tasks,)
    classes: NDArray | None  # sorted classes; None for regression
    kind: str  # "regression", "shared" or "own"
    is_support: NDArray[np.bool_] | None

    @property
    def one_table(self) -> bool:
        return len(self.labels) == 1

    @property
    def n_shared_classes(self) -> int:
        if self.classes is None or self.kind == "own":
            return 0
        return len(self.classes)


def unpack_collection(X: Any, y: Any, task: Any) -> tuple[Any, Any, Any, Any]:
    """Turn a collection, in any of its forms, into the flat form."""
    if isinstance(X, TaskCollection):
        _check_alone(y, task)
        return (*X.to_arrays(), X.is_support)
    pairs = (
        y is None
        and isinstance(X, Sequence)
        and len(X) > 0
        and all(isinstance(item, tuple | list) and len(item) == 2 for item in X)
        and np.ndim(X[0][0]) >= 2
    )
    if pairs:
        return (*stack_tasks(X), None)
    return X, y, task, None


def _check_alone(y: Any, task: Any) -> None:
    if y is not None or task is not None:
        raise ValueError("A TaskCollection brings its own y and task; pass it alone.")


def check_rows(estimator: Any, X: Any, y: Any = "no_validation", **options: Any) -> Any:
    """Validate X (and y) as scikit-learn does; text columns get a hint."""
    if not isinstance(y, str) and is_regressor(estimator):
        options["y_numeric"] = True
        if np.asarray(y).dtype.kind in "UST":
            raise ValueError(
                "y is text, and a regressor predicts numbers; a classifier predicts "
                "labels."
            )
    options |= {"dtype": (np.float64, np.float32), "allow_nd": True}
    if is_mapped(X) and X.dtype.kind in "biuf":
        return _check_mapped_rows(estimator, X, y, **options)
    with hints_on_columns():
        return validate_data(estimator, X, y, **options)


@contextmanager
def hints_on_columns() -> Iterator[None]:
    """Say what to do about columns that are not numbers."""
    try:
        yield
    except (ValueError, TypeError) as error:
        problem = str(error)
        if "string to float" in problem:
            raise ValueError(
                f"X has a column of text ({problem}). Encode it first, for example "
                "with a ColumnTransformer of a OneHotEncoder in a Pipeline in front; "
                "if it is the task's label, drop it and pass it as task."
            ) from error
        if "DType" in problem:
            raise ValueError(
                "X has columns that are not numbers, such as dates. Turn them into "
                "numbers first, for example into days since the first date."
            ) from error
        raise


def _check_mapped_rows(estimator: Any, X: Any, y: Any, **options: Any) -> Any:
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
    numeric = options.get("y_numeric", False)
    _, y = check_X_y(np.zeros((len(y), 1)), y, y_numeric=numeric, estimator=estimator)
    return X, y


def check_fit_data(estimator: Any, X: Any, y: Any, task: Any) -> FitData:
    """Validate the arguments of `fit` and decide what the classes are.

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
    X, y = check_rows(estimator, X, y, ensure_min_samples=2)
    if collection is not None:
        codes, labels = collection.codes, collection.labels
        if collection.feature_names is not None:  # an array has no names of its own
            header = pd.DataFrame(columns=collection.feature_names)
            validate_data(estimator, header, skip_check_array=True)
    elif task is None:
        codes, labels = np.zeros(len(X), dtype=np.intp), np.zeros(1, dtype=np.intp)
    else:
        codes, labels = check_task(task, len(X))
    if is_regressor(estimator):
        y = y.astype(np.float64, copy=False)
        return FitData(X, y, codes, labels, None, "regression", is_support)
    kind = "shared" if classes_are_shared(estimator) else "own"
    with warnings.catch_warnings():
        if kind == "own":  # thousands of classes of few rows are what it is made for
            warnings.filterwarnings("ignore", "The number of unique classes")
        check_classification_targets(y)
    classes, indices = np.unique(y, return_inverse=True)
    data = FitData(X, indices, codes, labels, classes, kind, is_support)
    _check_classes(estimator, data)
    return data


def classes_are_shared(estimator: Any) -> bool:
    """Whether all tasks speak of the same classes; never guessed from the labels."""
    shared = estimator.shared_classes
    if shared and estimator.n_way is not None:
        raise ValueError(
            f"n_way={estimator.n_way} draws classes of a task's own, which "
            "shared_classes=True excludes; set one of the two to None."
        )
    return estimator.n_way is None if shared is None else bool(shared)


def shares_classes(estimator: Any) -> bool:
    """Whether all tasks have the same classes, by the parameters before `fit`."""
    if is_regressor(estimator):
        return True
    params = estimator.get_params(deep=False)
    shared = params.get("shared_classes")
    return params.get("n_way") is None if shared is None else bool(shared)


def _check_classes(estimator: Any, data: FitData) -> None:
    assert data.classes is not None
    n_classes = len(data.classes)
    cells = np.unique(data.codes * n_classes + data.y)
    if data.kind == "shared":
        if not data.one_table and len(cells) == n_classes > 1:
            raise ValueError(
                "No class appears in two tasks, so the classes cannot be shared. Set "
                "shared_classes=False (or n_way) if classes are a task's own."
            )
        return
    most = int(np.bincount(cells // n_classes).max())
    n_way = estimator.n_way
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


class SupportClasses(NamedTuple):
    """Classes of each adapted task, in compressed rows."""

    classes: NDArray  # union over the tasks, sorted
    members: IntArray  # index into `classes` of every (task, class) pair
    first: IntArray  # shape: (n_tasks,); where a task's pairs begin
    ways: IntArray  # shape: (n_tasks,)


def own_classes(
    y: NDArray, codes: IntArray, n_tasks: int
) -> tuple[IntArray, SupportClasses]:
    """Number the classes of each task from 0, all tasks at once."""
    classes, indices = np.unique(y, return_inverse=True)
    pairs, inverse = np.unique(codes * len(classes) + indices, return_inverse=True)
    ways = np.bincount(pairs // len(classes), minlength=n_tasks)
    first = np.cumsum(ways) - ways
    members = SupportClasses(classes, pairs % len(classes), first, ways)
    return inverse - first[codes], members


def shared_class_indices(y: NDArray, classes: NDArray) -> IntArray:
    """Index of every label, all of which `fit` must have seen."""
    seen = np.isin(y, classes)
    if not seen.all():
        unseen = np.unique(y[~seen])[:5].tolist()
        raise ValueError(
            f"y has labels that fit has not seen: {unseen}. The classes are shared by "
            "all tasks (shared_classes=True, which n_way=None implies); to adapt to "
            "new classes, fit with shared_classes=False or with n_way."
        )
    return np.searchsorted(classes, y)
