"""What the baselines share: the public methods and the choice of a row's model."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, is_classifier, is_regressor
from sklearn.metrics import accuracy_score, r2_score
from sklearn.utils import (
    check_array,
    check_consistent_length,
    column_or_1d,
)
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from sklmeta._compat import _fit_context
from sklmeta.data.codes import check_task, group_rows
from sklmeta.data.validation import hints_on_columns, unpack_collection
from sklmeta.estimator.calibrating import CalibrationMixin
from sklmeta.evaluation.few_shot import few_shot_score
from sklmeta.evaluation.temperature import soften
from sklmeta.exceptions import NotAdaptedError

Codes = NDArray[np.intp]
Predictors = dict[str, Any]
"""How to predict for some tasks."""


def _predicts_probabilities(self: Any) -> bool:
    if is_regressor(self):
        raise AttributeError("A regressor predicts no probabilities.")
    if hasattr(self, "estimator"):
        getattr(self.estimator, "predict_proba")  # noqa: B009  its error says why
    return True


class BaselineEstimator(CalibrationMixin, BaseEstimator):
    """The public methods of the baselines.

    A subclass implements `_learn`, which returns what predicts for a task of which
    nothing is known, or None; `_specialise`, which returns what predicts for new tasks;
    and `_predict` and `_probabilities`, which predict with either.
    """

    __metadata_request__fit = {"task": True}
    __metadata_request__score = {"task": True, "shots": True}
    __metadata_request__predict = {"task": True}
    __metadata_request__predict_proba = {"task": True}
    __metadata_request__predict_log_proba = {"task": True}

    shared_classes: bool = True
    _is_baseline = True  # to `compare`
    _own_classes_remedy = "set shared_classes=False."

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
            then that of this table.

        Returns
        -------
        self
        """
        own = self.__dict__
        before = dict(own)
        try:
            return self._fit(X, y, task)
        except BaseException:  # also Ctrl-C: an earlier fit is kept, or none is left
            own.clear()
            own.update(before)
            raise

    def _fit(self, X: Any, y: Any, task: Any) -> Any:
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
        self._fit_sizes = np.zeros(1, dtype=np.intp)
        if len(labels) == 1:  # the model knows its one table
            own = getattr(self, "shared_classes_", None) is False
            self._fit_sizes = shots_of(y, codes, 1, own=own)
        self._calibration = None
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
                "shared by all tasks; for classes of a task's own "
                f"{self._own_classes_remedy}"
            )
        self._adapted = self._specialise(X, y, codes, len(labels))
        self._adapted_sizes = shots_of(y, codes, len(labels), own=shared is False)
        if shared is False:
            self.classes_ = np.unique(y)
        self._adapted_tasks = None if task is None else labels
        return self

    def predict(self, X: Any, task: ArrayLike | None = None) -> NDArray[Any]:
        """Predict with the adapted model; before `adapt`, for an unknown task.

        Parameters
        ----------
        X : {array-like, data frame} of shape (n_samples, n_features)
            Rows to predict.

        task : array-like of shape (n_samples,), default=None
            Task of every row: needed after adaptation to many tasks, and only then.

        Returns
        -------
        ndarray of shape (n_samples,)
        """
        return self._predict(*self._select(X, task))

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
        X, codes, models = self._select(X, task)
        values = self._probabilities(X, codes, models)
        temperature = self._temperature(task, len(values))
        return values if temperature is None else soften(values, temperature)

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
        # Here and below: plain methods, without ABCMeta, as in scikit-learn's mixins.
        raise NotImplementedError(f"{type(self).__name__} lacks _learn.")

    def _specialise(
        self, X: Any, y: NDArray[Any], codes: Codes, n_tasks: int
    ) -> Predictors:
        # `adapt` is the same for all baselines but for this.
        raise NotImplementedError(f"{type(self).__name__} lacks _specialise.")

    def _predict(self, X: Any, codes: Codes, models: Predictors) -> NDArray[Any]:
        # `predict` is the same for all baselines but for this.
        raise NotImplementedError(f"{type(self).__name__} lacks _predict.")

    def _probabilities(self, X: Any, codes: Codes, models: Predictors) -> NDArray[Any]:
        # Not reached for a regressor: `predict_proba` is not available there.
        raise NotImplementedError(f"{type(self).__name__} lacks _probabilities.")

    def _reset_adaptation(self) -> None:
        """Return to the state that `fit` left."""
        check_is_fitted(self)
        self._adapted = self._adapted_tasks = None
        if is_classifier(self):
            self.classes_ = self._fit_classes

    def _row_shots(self, task: ArrayLike | None, n_samples: int) -> Codes:
        """Support rows of every row's model: per class where classes are its own."""
        sizes = self._fit_sizes if self._adapted is None else self._adapted_sizes
        return sizes[self._task_codes(task, n_samples)]

    def _check_shared(self, y: NDArray[Any], codes: Codes, n_tasks: int) -> None:
        n_classes = len(self.classes_)
        pairs = np.unique(codes * n_classes + np.searchsorted(self.classes_, y))
        if self.shared_classes_ and n_tasks > 1 and len(pairs) == n_classes > 1:
            raise ValueError(
                "No class is in two tasks, so classes are not shared; for classes of "
                f"a task's own {self._own_classes_remedy}"
            )

    def _encode(self, task: Any, y: NDArray[Any]) -> tuple[Codes, NDArray[Any]]:
        if task is None:
            return np.zeros(len(y), dtype=np.intp), np.zeros(1, dtype=np.intp)
        return check_task(task, len(y))

    def _check_X_y(self, X: Any, y: Any, reset: bool) -> tuple[Any, NDArray[Any]]:
        with hints_on_columns():
            X, y = validate_data(self, X, y, reset=reset, **self._options(X))
        y = column_or_1d(y, warn=True)
        if is_classifier(self) and reset:
            check_classification_targets(y)
        dtype = None if is_classifier(self) else "numeric"
        y = check_array(y, ensure_2d=False, dtype=dtype, input_name="y")
        check_consistent_length(X, y)
        return X, y

    def _options(self, X: Any) -> dict[str, Any]:
        """What `validate_data` is to ask of X."""
        return {"dtype": (np.float64, np.float32)}

    def _select(self, X: Any, task: Any) -> tuple[Any, Codes, Predictors]:
        """Validate the rows and find each one's model."""
        check_is_fitted(self)
        with hints_on_columns():
            X = validate_data(self, X, reset=False, **self._options(X))
        models = self._as_fitted if self._adapted is None else self._adapted
        if models is None:
            raise NotAdaptedError(
                f"This {type(self).__name__} has not been adapted to a task, and its "
                "classes are a task's own: call adapt(X_support, y_support) first."
            )
        return X, self._task_codes(task, X.shape[0]), models

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

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        return tags


def spread(
    values: NDArray[Any], known: NDArray[Any], classes: NDArray[Any]
) -> NDArray[Any]:  # shape: (n_samples, n_classes)
    """Put a model's probabilities into the columns of `classes`, zeros in others."""
    if np.array_equal(known, classes):
        return values
    columns = np.zeros((len(values), len(classes)), dtype=values.dtype)
    columns[:, np.searchsorted(classes, known)] = values
    return columns


def as_given(X: Any) -> dict[str, Any]:
    """Options of `validate_data` that leave X to estimators inside."""
    if hasattr(X, "columns"):
        return {"skip_check_array": True}
    options = {"dtype": None, "accept_sparse": "csr", "ensure_all_finite": False}
    values = np.asarray(X)
    is_text = values.ndim == 1 and values.dtype.kind in "OUT"
    return {**options, "ensure_2d": False} if is_text else options


def shots_of(y: NDArray[Any], codes: Codes, n_tasks: int, *, own: bool) -> Codes:
    """Support rows of each task; per class where classes are a task's own."""
    sizes = np.bincount(codes, minlength=n_tasks)
    if not own:
        return sizes
    classes = np.unique(y, return_inverse=True)[1]
    cells = np.unique(np.column_stack([codes, classes]), axis=0)
    return sizes // np.bincount(cells[:, 0], minlength=n_tasks)


def group_means(
    values: NDArray[Any], codes: Codes, n_groups: int
) -> NDArray[np.float64]:  # shape: (n_groups, ...); no group may be empty
    order, offsets = group_rows(codes, n_groups)
    totals = np.add.reduceat(values[order].astype(np.float64), offsets[:-1], axis=0)
    sizes = np.diff(offsets)
    return totals / sizes.reshape(-1, *[1] * (totals.ndim - 1))
