"""Adapting members and asking them, without checking the same rows again for each."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from typing import Any

import numpy as np
import sklearn
from numpy.typing import NDArray
from sklearn.base import clone

from sklmeta.data.codes import IntArray
from sklmeta.data.kinds import TaskKind
from sklmeta.data.table import Table
from sklmeta.estimator.base import AdaptableEstimator
from sklmeta.estimator.meta import BaseMetaEstimator
from sklmeta.evaluation.containers import inner_estimator, inner_rows, rebuilt
from sklmeta.evaluation.probabilities import spread
from sklmeta.learners.learner import Learner

Floats = NDArray[np.float64]


def fit_member(member: Any, table: Table) -> Any:
    """Fit a copy to all tasks, or to one table."""
    if table.one_table:
        return clone(member).fit(table.X, table.y)
    with sklearn.config_context(enable_metadata_routing=True):
        return clone(member).fit(table.X, table.y, task=table.codes)


def adapt_member(
    member: Any, table: Table, *, leaving_out: bool = False
) -> tuple[Any, Floats | None]:
    """Return a copy that is adapted to the supports, which are named by their codes.

    With `leaving_out` and what it predicts for every row from its task's others: its
    number or the probabilities of ``table.classes``, where it has a formula for that.
    """
    found: list[NDArray[Any]] = []

    def adapt(estimator: Any, support: Any) -> Any:
        if not isinstance(estimator, AdaptableEstimator):
            return estimator.adapt(support.X, support.y, task=support.task)
        own = _table_of(estimator, table, support)
        estimator._adapt_to(own, np.arange(table.n_tasks))
        if leaving_out and support.y is table.y:
            values = estimator._leave_one_out(own, estimator._adaptation.model)
            if values is not None:
                if table.classes is not None:
                    values = spread(values, estimator.classes_, table.classes)
                found.append(values.astype(np.float64, copy=False))
        return estimator

    new = rebuilt(member, adapt, table.X, table.y, table.codes, "A blend")
    return new, found[0] if found else None


def _table_of(estimator: AdaptableEstimator, table: Table, support: Any) -> Table:
    """The supports as the estimator's own checks would leave them."""
    known: Any = estimator._initial_adaptation.classes
    classes: Any = table.classes
    agree = (
        table.kind == TaskKind.REGRESSION
        or (table.kind == TaskKind.OWN and table.own is not None)
        or (known is not None and np.array_equal(known, classes))
    )
    if agree and support.y is table.y and _is_plain(support.X):
        return table._replace(X=support.X)
    return estimator._support_table(support.X, support.y, support.task)


def _is_plain(X: Any) -> bool:
    return isinstance(X, np.ndarray) and X.dtype in (np.float64, np.float32)


def respond(
    model: Any, X: Any, codes: IntArray | None, classes: NDArray[Any] | None
) -> NDArray[Any]:
    """Predict numbers, or the probabilities of `classes`."""
    inner, X, undo = inner_rows(model, X, codes)
    if _is_plain(X) and isinstance(inner, AdaptableEstimator):
        if codes is None:
            codes = np.zeros(len(X), dtype=np.intp)
        values = _ask(inner, X, codes, classes is not None)
    else:
        metadata = {} if codes is None else {"task": codes}
        method = inner.predict if classes is None else inner.predict_proba
        values = np.asarray(method(X, **metadata))
    return undo(values) if classes is None else spread(values, inner.classes_, classes)


def _ask(
    model: AdaptableEstimator, X: NDArray[Any], codes: IntArray, wants_classes: bool
) -> NDArray[Any]:
    """`predict` or `predict_proba` of rows that were checked before."""
    X = model._arrange(X, codes, model._adaptation.model)
    if not wants_classes:
        return model._predict(X, codes, model._adaptation.model)
    temperature = model._temperature(codes)
    return model._calibrated(X, codes, model._adaptation.model, temperature, log=False)


def has_formula(member: Any) -> bool:
    """Whether leaving rows out may be cheaper than adapting to the others."""
    inner = inner_estimator(member)
    if isinstance(inner, BaseMetaEstimator):
        with inner._lent_learner() as learner:
            return type(learner).leave_one_out is not Learner.leave_one_out
    own = getattr(type(inner), "_leave_one_out", AdaptableEstimator._leave_one_out)
    return own is not AdaptableEstimator._leave_one_out
