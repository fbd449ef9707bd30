"""How well each member predicts the support rows that it was not given."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import scipy.sparse
from numpy.typing import NDArray

from sklmeta._compat import _safe_indexing
from sklmeta.auto._response import adapt_member, has_formula, respond
from sklmeta.data.codes import IntArray, group_rows
from sklmeta.data.table import Table

MOST_FOLDS = 5
"""Beyond this many rows several are left out at a time, where there is no formula."""

CUTS = (0.5, 0.75)
"""Shares of the rows, in their order, from which the later ones are predicted."""

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


def leave_out(
    codes: IntArray, n_tasks: int, keys: NDArray[np.uint64] | None = None
) -> LeftOut:
    """Leave each row out of its task once; by fifths where there are more than five.

    A virtual task is a task less a fold of its rows. Tasks of one row have none. Rows
    are dealt to folds in the order of their keys, else in their own.
    """
    sizes = np.bincount(codes, minlength=n_tasks)
    position = _positions(codes, n_tasks, keys)
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


def look_ahead(codes: IntArray, n_tasks: int) -> LeftOut:
    """Cut each task's rows at some points: the first are to predict all that follow.

    Rows left out between others would say who interpolates; what is asked of a task's
    first rows is to extrapolate.
    """
    sizes = np.bincount(codes, minlength=n_tasks)
    position = _positions(codes, n_tasks)
    cuts = [np.maximum(1, (share * sizes).astype(np.intp)) for share in CUTS]
    parts = []
    for i, cut in enumerate(cuts):
        usable = sizes > 1
        for earlier in cuts[:i]:
            usable &= cut > earlier
        rows = np.flatnonzero(usable[codes])
        parts.append((rows, len(CUTS) * codes[rows] + i, cut))
    rows = np.concatenate([part[0] for part in parts])
    virtual = np.concatenate([part[1] for part in parts])
    is_support = np.concatenate([position[r] < cut[codes[r]] for r, _, cut in parts])
    _, virtual = np.unique(virtual, return_inverse=True)
    query = rows[~is_support]
    return LeftOut(
        rows[is_support],
        virtual[is_support],
        query,
        virtual[~is_support],
        codes[query],
    )


def _positions(
    codes: IntArray, n_tasks: int, keys: NDArray[np.uint64] | None = None
) -> IntArray:
    """Place of every row among its task's."""
    order, offsets = group_rows(codes, n_tasks)
    if keys is not None:
        order = np.lexsort((keys, codes))
    position = np.empty(len(codes), dtype=np.intp)
    position[order] = np.arange(len(codes)) - np.repeat(offsets[:-1], np.diff(offsets))
    return position


def _keys(table: Table) -> NDArray[np.uint64] | None:
    """A number for the content of every row: which fold it gets is not for its place.

    None where each fold is one row.
    """
    if table.sizes.max() <= MOST_FOLDS:
        return None
    X = table.X.toarray() if scipy.sparse.issparse(table.X) else table.X
    rows = pd.DataFrame(X).assign(**{"": np.asarray(table.y)})
    return np.asarray(pd.util.hash_pandas_object(rows, index=False), dtype=np.uint64)


def _adapt_to_parts(
    member: Any, table: Table, left: LeftOut, new: Any
) -> tuple[Any, Floats]:
    """Adapt to the supports too, unless `new` is, and predict what is left out."""
    rows, codes, first = left.support, left.support_task, 0
    # A lone task is adapted to beside its parts: calls are what takes time.
    together = new is None and table.n_tasks == 1
    if together:
        everything = np.arange(len(table.y))
        rows = np.concatenate([everything, rows])
        codes, first = np.concatenate([table.codes, 1 + codes]), 1
    parts = table.part(rows)._replace(
        codes=codes, labels=np.arange(codes.max() + 1), own=None
    )
    adapted_to_parts = adapt_member(member, parts)[0]
    X = _safe_indexing(table.X, left.query)
    values = respond(adapted_to_parts, X, first + left.query_task, table.classes)
    if new is None:
        new = adapted_to_parts if together else adapt_member(member, table)[0]
    return new, values.astype(np.float64)


def losses_of(values: Floats, y: NDArray[Any], classes: NDArray[Any] | None) -> Floats:
    """Squared error, or log loss of probabilities that are clipped, of every row."""
    if classes is None:
        return (values - y) ** 2
    column = np.searchsorted(classes, y)
    return -np.log(np.maximum(values[np.arange(len(y)), column], CLIP))


def adapt_and_judge(
    member: Any, table: Table, judged_by: str, bounds: Floats | None = None
) -> tuple[Any, Floats]:
    """Adapt a copy to the supports, and predict rows of them from others.

    Parameters
    ----------
    member : estimator
    table : Table
        The supports.

    judged_by : {"rows", "later", "fifths"}
        Each row from its task's others, where there is a formula, else by fifths; later
        rows from the first ones; or by fifths, whatever the member.

    bounds : ndarray of shape (n_tasks, 2), default=None
        Lowest and highest prediction.

    Returns
    -------
    adapted : estimator
    losses : ndarray of shape (n_tasks,)
        Mean loss of each task; NaN where it has one row.
    """
    losses = np.full(table.n_tasks, np.nan)
    if (table.sizes < 2).all():
        return adapt_member(member, table)[0], losses
    new = values = None
    if judged_by == "rows" and has_formula(member):
        new, values = adapt_member(member, table, leaving_out=True)
    if values is not None:
        query = np.flatnonzero(table.sizes[table.codes] > 1)
        codes, values = table.codes[query], values[query]
    else:
        if judged_by == "later":
            left = look_ahead(table.codes, table.n_tasks)
        else:
            left = leave_out(table.codes, table.n_tasks, _keys(table))
        query, codes = left.query, left.query_code
        new, values = _adapt_to_parts(member, table, left, new)
    if bounds is not None:
        values = np.clip(values, bounds[codes, 0], bounds[codes, 1])
    each = losses_of(values, table.y[query], table.classes)
    counts = np.bincount(codes, minlength=table.n_tasks)
    totals = np.bincount(codes, each, minlength=table.n_tasks)
    losses[counts > 0] = totals[counts > 0] / counts[counts > 0]
    return new, losses
