"""What the baselines share: the public methods and the choice of a row's model."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import copy
import itertools
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, is_classifier
from sklearn.metrics import accuracy_score, r2_score
from sklearn.utils import (
    _safe_indexing,
    check_array,
    check_consistent_length,
    column_or_1d,
    get_tags,
)
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from sklmeta._compat import _fit_context
from sklmeta._fit_data import unpack_collection
from sklmeta.exceptions import NotAdaptedError
from sklmeta.model_selection._few_shot import few_shot_score
from sklmeta.tasks import check_task, group_rows

Codes = NDArray[np.intp]
Predictors = dict[str, Any]
"""How to predict for some tasks: ``models`` (one per task, or one for all), and per
task ``x_mean``, ``y_shift`` or ``odds``, or None."""

_OWN_CLASSES = (
    "for classes of a task's own use PerTask(estimator, shared_classes=False)."
)


def _predicts_probabilities(self: Any) -> bool:
    getattr(self.estimator, "predict_proba")  # noqa: B009  its AttributeError says why
    return True


class BaselineEstimator(BaseEstimator):
    """The public methods of the baselines.

    A subclass implements `_learn`, which returns what predicts for a task of which
    nothing is known, and `_specialise`, which returns what predicts for new tasks.
    """

    __metadata_request__fit = {"task": True}
    __metadata_request__score = {"task": True, "shots": True}
    __metadata_request__predict = {"task": True}
    __metadata_request__predict_proba = {"task": True}
    __metadata_request__predict_log_proba = {"task": True}

    estimator: Any
    center: bool = False
    shared_classes: bool = True

    @_fit_context(prefer_skip_nested_validation=False)
    def fit(
        self, X: Any, y: ArrayLike | None = None, task: ArrayLike | None = None
    ) -> Any:
        """Learn from the training tasks.

        Parameters
        ----------
        X : {array-like, data frame} of shape (n_samples, n_features) or collection
            Rows of all tasks; or a `TaskCollection` or list of (X, y) in place of all
            arguments.

        y : array-like of shape (n_samples,), default=None
            Targets.

        task : array-like of shape (n_samples,), default=None
            Task of every row. None, or a single label, is one table, and the model is
            then `estimator` fitted to it.

        Returns
        -------
        self
        """
        X, y, task, _ = unpack_collection(X, y, task)
        X, y = self._check_X_y(X, y, reset=True)
        codes, labels = self._encode(task, y)
        if is_classifier(self):
            self.classes_ = self._fit_classes = np.unique(y)
            self.shared_classes_ = bool(self.shared_classes)
            self._check_shared(y, codes, len(labels))
        self.tasks_ = labels
        self._as_fitted = self._learn(X, y, codes)
        self._adapted: Predictors | None = None
        self._adapted_tasks: NDArray[Any] | None = None
        return self

    def adapt(self, X: Any, y: ArrayLike, task: ArrayLike | None = None) -> Any:
        """Adapt to one new task, or to many, in place of any earlier adaptation.

        Parameters
        ----------
        X : {array-like, data frame} of shape (n_support, n_features)
            Support rows.

        y : array-like of shape (n_support,)
            Their targets.

        task : array-like of shape (n_support,), default=None
            Task of every row; then ``predict(X, task=...)`` predicts with each row's
            own model. None means that all rows are of one task.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If there is no row, or one of a class that `fit` has not seen while classes
            are shared.
        """
        check_is_fitted(self)
        if not np.shape(y)[0]:
            raise ValueError(
                "The support is empty. With zero shots, use the model as fit leaves it."
            )
        X, y = self._check_X_y(X, y, reset=False)
        codes, labels = self._encode(task, y)
        shared = getattr(self, "shared_classes_", None)
        if shared and not np.isin(y, self.classes_).all():
            raise ValueError(
                "y has labels that fit has not seen: "
                f"{np.setdiff1d(y, self.classes_)[:5].tolist()}. The classes are "
                f"shared by all tasks; {_OWN_CLASSES}"
            )
        self._adapted = self._specialise(X, y, codes, len(labels))
        if shared is False:
            self.classes_ = np.unique(y)
        self._adapted_tasks = None if task is None else labels
        return self

    def predict(self, X: Any, task: ArrayLike | None = None) -> NDArray[Any]:
        """Predict with the adapted model; before `adapt`, for an unknown task.

        Parameters
        ----------
        X : {array-like, data frame} of shape (n_samples, n_features)
        task : array-like of shape (n_samples,), default=None
            Task of every row: needed after adaptation to many tasks, and only then.

        Returns
        -------
        ndarray of shape (n_samples,)
        """
        X, codes, models = self._select(X, task)
        if models["odds"] is not None:
            return self.classes_[self._probabilities(X, codes, models).argmax(axis=1)]
        y = _by_task(models["models"], "predict", X, codes)
        return y if models["y_shift"] is None else y + models["y_shift"][codes]

    @available_if(_predicts_probabilities)
    def predict_proba(self, X: Any, task: ArrayLike | None = None) -> NDArray[Any]:
        """Probability of each of `classes_`; zero for those a support lacks.

        Parameters
        ----------
        X : {array-like, data frame} of shape (n_samples, n_features)
            Rows to predict.

        task : array-like of shape (n_samples,), default=None
            Label of every row's task, after adapting to many tasks.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
        """
        return self._probabilities(*self._select(X, task))

    @available_if(_predicts_probabilities)
    def predict_log_proba(self, X: Any, task: ArrayLike | None = None) -> NDArray[Any]:
        """Logarithm of `predict_proba`; minus infinity for absent classes.

        Parameters
        ----------
        X : {array-like, data frame} of shape (n_samples, n_features)
            Rows to predict.

        task : array-like of shape (n_samples,), default=None
            Label of every row's task, after adapting to many tasks.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
        """
        with np.errstate(divide="ignore"):
            return np.log(self.predict_proba(X, task=task))

    def score(
        self,
        X: Any,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        task: ArrayLike | None = None,
        shots: int = 5,
    ) -> float:
        """Score the predictions or, with `task`, adaptation to each of its tasks.

        Parameters
        ----------
        X : {array-like, data frame} of shape (n_samples, n_features)
            Rows.

        y : array-like of shape (n_samples,)
            Their targets.

        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows, without `task`.

        task : array-like of shape (n_samples,), default=None
            Tasks to evaluate on: for each draw a support, adapt a copy and predict the
            other rows. None scores the model as it is, as scikit-learn does.

        shots : int, default=5
            Support rows: per class when classes are a task's own, else in total.

        Returns
        -------
        float
            Accuracy, averaged over tasks, or R^2 about the tasks' means.
        """
        if task is not None:
            return few_shot_score(self, X, y, task, shots=shots)
        metric = accuracy_score if is_classifier(self) else r2_score
        return float(metric(y, self.predict(X), sample_weight=sample_weight))

    def _learn(self, X: Any, y: NDArray[Any], codes: Codes) -> Predictors | None:
        raise NotImplementedError

    def _specialise(
        self, X: Any, y: NDArray[Any], codes: Codes, n_tasks: int
    ) -> Predictors:
        raise NotImplementedError

    def _reset_adaptation(self) -> None:
        """Return to the state that `fit` left."""
        check_is_fitted(self)
        self._adapted = self._adapted_tasks = None
        if is_classifier(self):
            self.classes_ = self._fit_classes

    def _check_shared(self, y: NDArray[Any], codes: Codes, n_tasks: int) -> None:
        n_classes = len(self.classes_)
        pairs = np.unique(codes * n_classes + np.searchsorted(self.classes_, y))
        if self.shared_classes_ and n_tasks > 1 and len(pairs) == n_classes > 1:
            raise ValueError(
                f"No class is in two tasks, so classes are not shared; {_OWN_CLASSES}"
            )

    def _encode(self, task: Any, y: NDArray[Any]) -> tuple[Codes, NDArray[Any]]:
        if task is None:
            return np.zeros(len(y), dtype=np.intp), np.zeros(1, dtype=np.intp)
        return check_task(task, len(y))

    def _check_X_y(self, X: Any, y: Any, reset: bool) -> tuple[Any, NDArray[Any]]:
        """Validate; X is left to the estimator inside unless its mean is needed."""
        X, y = validate_data(self, X, y, reset=reset, **self._options(X))
        y = column_or_1d(y, warn=True)
        if is_classifier(self) and reset:
            check_classification_targets(y)
        dtype = None if is_classifier(self) else "numeric"
        y = check_array(y, ensure_2d=False, dtype=dtype, input_name="y")
        check_consistent_length(X, y)
        return X, y

    def _options(self, X: Any) -> dict[str, Any]:
        if self.center:
            return {"dtype": (np.float64, np.float32)}
        if hasattr(X, "columns"):
            return {"skip_check_array": True}
        return {"dtype": None, "accept_sparse": "csr", "ensure_all_finite": False}

    def _select(self, X: Any, task: Any) -> tuple[Any, Codes, Predictors]:
        """Find each row's model; centre the rows."""
        check_is_fitted(self)
        X = validate_data(self, X, reset=False, **self._options(X))
        models = self._as_fitted if self._adapted is None else self._adapted
        if models is None:
            raise NotAdaptedError(
                f"This {type(self).__name__} has not been adapted to a task, and its "
                "classes are a task's own: call adapt(X_support, y_support) first."
            )
        codes = self._task_codes(task, X.shape[0])
        if models["x_mean"] is not None:
            X = X - models["x_mean"][codes].astype(X.dtype)
        return X, codes, models

    def _task_codes(self, task: Any, n_rows: int) -> Codes:
        if task is None:
            if self._adapted_tasks is None:
                return np.zeros(n_rows, dtype=np.intp)
            raise ValueError(
                "This estimator is adapted to several tasks: pass task=, the task of "
                "every row."
            )
        if self._adapted_tasks is None:
            raise ValueError(
                "task was given, but this estimator is not adapted to labelled tasks. "
                "Call adapt(X_support, y_support, task=...) first, also for the tasks "
                "that fit has seen."
            )
        codes, labels = check_task(task, n_rows)
        known = pd.Index(self._adapted_tasks).get_indexer(labels)
        if (known < 0).any():
            names = ", ".join(repr(name) for name in labels[known < 0][:5].tolist())
            raise ValueError(
                f"task has labels this estimator is not adapted to: {names}. Call "
                "adapt(X_support, y_support, task=...) with their support rows."
            )
        return known[codes]

    def _probabilities(self, X: Any, codes: Codes, models: Predictors) -> NDArray[Any]:
        values = _by_task(models["models"], "predict_proba", X, codes, self.classes_)
        if models["odds"] is None:
            return values
        values = values * models["odds"][codes]
        return values / values.sum(axis=1, keepdims=True)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        inner = get_tags(self.estimator)
        tags.estimator_type = inner.estimator_type
        tags.classifier_tags = copy.deepcopy(inner.classifier_tags)
        tags.regressor_tags = copy.deepcopy(inner.regressor_tags)
        tags.target_tags.required = True
        if not self.center:
            tags.input_tags = copy.deepcopy(inner.input_tags)
        return tags


def predictors(
    models: list[Any],
    *,
    x_mean: NDArray[Any] | None = None,
    y_shift: NDArray[Any] | None = None,
    odds: NDArray[Any] | None = None,
) -> Predictors:
    return {"models": models, "x_mean": x_mean, "y_shift": y_shift, "odds": odds}


def group_means(
    values: NDArray[Any], codes: Codes, n_groups: int
) -> NDArray[np.float64]:  # shape: (n_groups, ...); no group may be empty
    order, offsets = group_rows(codes, n_groups)
    totals = np.add.reduceat(values[order].astype(np.float64), offsets[:-1], axis=0)
    sizes = np.diff(offsets)
    return totals / sizes.reshape(-1, *[1] * (totals.ndim - 1))


def _by_task(
    models: list[Any],
    method: str,
    X: Any,
    codes: Codes,
    classes: NDArray[Any] | None = None,
) -> NDArray[Any]:
    """Answer every row with its task's model; a single model answers all at once."""
    if len(models) == 1:
        return _respond(models[0], method, X, classes)
    order, offsets = group_rows(codes, len(models))
    answers = [
        _respond(models[i], method, _safe_indexing(X, order[start:stop]), classes)
        for i, (start, stop) in enumerate(itertools.pairwise(offsets))
        if stop > start
    ]
    ranked = np.concatenate(answers)
    values = np.empty_like(ranked)
    values[order] = ranked
    return values


def _respond(
    model: Any, method: str, X: Any, classes: NDArray[Any] | None
) -> NDArray[Any]:
    values = getattr(model, method)(X)
    if classes is None or np.array_equal(model.classes_, classes):
        return values
    columns = np.zeros((len(values), len(classes)), dtype=values.dtype)
    columns[:, np.searchsorted(classes, model.classes_)] = values
    return columns
