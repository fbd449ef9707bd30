"""Each task's own model."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone, is_classifier
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.utils import _safe_indexing

from sklmeta._compat import HasMethods
from sklmeta.baselines._base import Codes, Predictors
from sklmeta.baselines._wrapping import WrappingBaseline, predictors
from sklmeta.data.codes import group_rows
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

    def __init__(self, estimator: Any, *, shared_classes: bool = True):
        self.estimator = estimator
        self.shared_classes = shared_classes

    def _learn(self, X: Any, y: NDArray[Any], codes: Codes) -> Predictors | None:
        if len(self.tasks_) == 1:
            return predictors([self._fit_one(X, y)])
        if not is_classifier(self):
            return predictors([DummyRegressor().fit(np.zeros((len(y), 1)), y)])
        if self.shared_classes_:
            return predictors([DummyClassifier().fit(np.zeros((len(y), 1)), y)])
        return None

    def _specialise(
        self, X: Any, y: NDArray[Any], codes: Codes, n_tasks: int
    ) -> Predictors:
        order, offsets = group_rows(codes, n_tasks)
        parts = np.split(order, offsets[1:-1])
        return predictors([self._fit_one(_safe_indexing(X, i), y[i]) for i in parts])

    def _fit_one(self, X: Any, y: NDArray[Any]) -> Any:
        if is_classifier(self) and len(np.unique(y)) == 1:
            return DummyClassifier().fit(np.zeros((len(y), 1)), y)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", FEW_ROWS_PER_CLASS, UserWarning)
            return clone(self.estimator).fit(X, y)
