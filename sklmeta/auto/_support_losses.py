"""How well each member predicts the support rows that it was not given."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import sklearn
from numpy.typing import NDArray
from sklearn.base import is_classifier

from sklmeta._compat import _safe_indexing
from sklmeta.data.codes import IntArray, group_rows
from sklmeta.data.validation import Table
from sklmeta.evaluation.containers import adapted, zero_shot
from sklmeta.evaluation.probabilities import spread

MOST_FOLDS = 5
"""Beyond this many rows, several are left out at a time."""

CLIP = 0.02
"""A member that gives the true class no chance is wrong, not infinitely wrong."""

Floats = NDArray[np.float64]


class LeftOut(NamedTuple):
    """Each task's support, cut into folds: what to adapt to and what to predict."""

    support: IntArray  # rows, of all virtual tasks one after the other
    support_task: IntArray  # virtual task of each
    query: IntArray
    query_task: IntArray
    query_code: IntArray  # the real task of each query row


def leave_out(codes: IntArray, n_tasks: int) -> LeftOut:
    """Leave each row out of its task once; by fifths where there are more than five.

    A virtual task is a task less a fold of its rows. Tasks of one row have none.
    """
    order, offsets = group_rows(codes, n_tasks)
    sizes = np.diff(offsets)
    position = np.empty(len(codes), dtype=np.intp)
    position[order] = np.arange(len(codes)) - np.repeat(offsets[:-1], sizes)
    n_folds = np.where(sizes > 1, np.minimum(sizes, MOST_FOLDS), 0)
    first = np.cumsum(n_folds) - n_folds
    usable = np.flatnonzero(n_folds[codes])
    fold = position[usable] % n_folds[codes[usable]]
    # Every usable row is in the support of all its task's virtual tasks but one.
    repeats = n_folds[codes[usable]]
    rows = np.repeat(usable, repeats)
    offset = np.arange(len(rows)) - np.repeat(np.cumsum(repeats) - repeats, repeats)
    kept = offset != np.repeat(fold, repeats)
    return LeftOut(
        rows[kept],
        (first[codes[rows]] + offset)[kept],
        usable,
        first[codes[usable]] + fold,
        codes[usable],
    )


def respond(model: Any, X: Any, codes: IntArray | None) -> NDArray:
    """Predict numbers, or the probabilities of `model.classes_`."""
    method = "predict_proba" if is_classifier(model) else "predict"
    metadata = {} if codes is None else {"task": codes}
    with sklearn.config_context(enable_metadata_routing=True):
        return np.asarray(getattr(model, method)(X, **metadata))


def adapted_response(
    model: Any,
    support: tuple[Any, NDArray, IntArray] | None,
    X: Any,
    codes: IntArray,
    classes: NDArray[Any] | None,
) -> Floats:  # shape: (n_samples,) or (n_samples, n_classes)
    """Adapt a copy to the supports, or to none, and predict.

    Probabilities are spread over `classes`; what the model does not know gets zero.
    """
    if support is None:
        new, codes_or_none = zero_shot(model), None
    else:
        with sklearn.config_context(enable_metadata_routing=True):
            new, codes_or_none = adapted(model, *support), codes
    values = respond(new, X, codes_or_none).astype(np.float64)
    return values if classes is None else spread(values, new.classes_, classes)


def losses_of(values: Floats, y: NDArray[Any], classes: NDArray[Any] | None) -> Floats:
    """Squared error, or log loss of probabilities that are clipped, of every row."""
    if classes is None:
        return (values - y) ** 2
    column = np.searchsorted(classes, y)
    return -np.log(np.maximum(values[np.arange(len(y)), column], CLIP))


def support_losses(
    members: list[Any], table: Table
) -> Floats:  # shape: (n_tasks, n_members); NaN for tasks of one row
    """Return the mean leave-one-out loss of every member on every task's support."""
    n_tasks, classes = table.n_tasks, table.classes
    losses = np.full((n_tasks, len(members)), np.nan)
    left = leave_out(table.codes, n_tasks)
    if not len(left.query):
        return losses
    rows = _safe_indexing(table.X, left.support)
    support = rows, table.y[left.support], left.support_task
    query = _safe_indexing(table.X, left.query)
    counts = np.bincount(left.query_code, minlength=n_tasks)
    present = counts > 0
    for m, member in enumerate(members):
        values = adapted_response(member, support, query, left.query_task, classes)
        each = losses_of(values, table.y[left.query], classes)
        totals = np.bincount(left.query_code, each, minlength=n_tasks)
        losses[present, m] = totals[present] / counts[present]
    return losses
