"""Each task's own model."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, clone, is_classifier
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.linear_model import Ridge

from sklmeta._compat import HasMethods
from sklmeta.baselines._ridge import is_plain, ridge
from sklmeta.baselines._wrapping import Wrapped, WrappingBaseline
from sklmeta.data.codes import group_rows
from sklmeta.data.hints import hints_on_columns
from sklmeta.data.kinds import TaskKind
from sklmeta.data.table import Table
from sklmeta.evaluation.few_shot import FEW_ROWS_PER_CLASS


class PerTask(WrappingBaseline):
    """Each task's own model: what a user does who ignores all other tasks.

    Parameters
    ----------
    estimator : estimator
        Any scikit-learn classifier or regressor. `adapt` fits a clone to each task.

    shared_classes : bool, default=True
        Whether all tasks speak of the same classes. Ignored for a regressor.

    Attributes
    ----------
    tasks_ : ndarray of shape (n_tasks,)
        Labels of the tasks that `fit` saw.

    classes_ : ndarray of shape (n_classes,)
        Classes that `fit` saw; with classes of a task's own, those of the tasks adapted
        to. Only for a classifier.

    shared_classes_ : bool
        What was used. Only for a classifier.

    n_features_in_ : int

    See Also
    --------
    Pooled : One model for all tasks.

    Notes
    -----
    A task of which nothing is known gets the mean of the training targets, or the
    frequencies of the training classes: `fit` learns nothing else from several tasks.
    With classes of a task's own `predict` needs `adapt` first. After ``fit(X, y)``,
    without tasks, it is `estimator` fitted to that table. A support of one class gives
    a model that always predicts it.

    Examples
    --------
    >>> from sklearn.linear_model import Ridge
    >>> from sklmeta import PerTask
    >>> model = PerTask(Ridge(alpha=1e-9))
    >>> X, y, task = [[0.0], [1.0], [0.0], [1.0]], [0.0, 1, 0, 3], ["a", "a", "b", "b"]
    >>> model.fit(X, y, task=task).predict([[2.0]])
    array([1.])
    >>> model.adapt([[0.0], [1.0]], [5.0, 7.0]).predict([[2.0]]).round(3)
    array([9.])
    """

    _parameter_constraints = {
        "estimator": [HasMethods(["fit", "predict"])],
        "shared_classes": ["boolean"],
    }

    _learns_from_tasks = False

    def __init__(self, estimator: BaseEstimator, *, shared_classes: bool = True):
        self.estimator = estimator
        self.shared_classes = shared_classes

    def _learn(self, table: Table) -> Wrapped | None:
        if table.one_table:
            return Wrapped([self._fit_one(table.X, table.y)])
        if table.kind == TaskKind.OWN:
            return None
        is_regression = table.kind == TaskKind.REGRESSION
        dummy = DummyRegressor() if is_regression else DummyClassifier()
        return Wrapped([dummy.fit(np.zeros((len(table.y), 1)), table.y)])

    def _specialise(self, table: Table) -> Wrapped:
        table = self._unfolded(table)
        order, offsets = group_rows(table.codes, table.n_tasks)
        tasks = [table.part(rows) for rows in np.split(order, offsets[1:-1])]
        if self._is_ridge and is_plain(table.X) and table.n_targets == 1:
            alpha = self.estimator.alpha
            heads = [ridge(own.X, own.y, alpha, own.weight)[0] for own in tasks]
            return Wrapped([], linear=np.stack(heads))
        return Wrapped([self._fit_one(own.X, own.y, own.weight) for own in tasks])

    @property
    def _is_ridge(self) -> bool:
        """Whether the estimator is a ridge regression that `ridge` can solve."""
        model = self.estimator
        return (
            type(model) is Ridge
            and model.fit_intercept
            and not model.positive
            and model.solver in ("auto", "cholesky", "svd")
            and isinstance(model.alpha, int | float)
            and model.alpha > 0
        )

    def _leave_one_out(self, table: Table, model: Wrapped) -> NDArray[Any] | None:
        if model.linear is None:
            return None
        values = np.empty(len(table.y))
        order, offsets = group_rows(table.codes, table.n_tasks)
        for i in np.split(order, offsets[1:-1]):
            values[i] = ridge(table.X[i], table.y[i], self.estimator.alpha)[1]
        return values

    def _fit_one(
        self, X: Any, y: NDArray[Any], weight: NDArray[np.float64] | None = None
    ) -> Any:
        if is_classifier(self) and len(np.unique(y)) == 1:
            return DummyClassifier().fit(np.zeros((len(y), 1)), y)
        with hints_on_columns(self), warnings.catch_warnings():
            warnings.filterwarnings("ignore", FEW_ROWS_PER_CLASS, UserWarning)
            weights = {} if weight is None else {"sample_weight": weight}
            return clone(self.estimator).fit(X, y, **weights)
