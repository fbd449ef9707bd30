"""The classifier and the regressor halves of a meta-learner."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import numbers
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import log_softmax, softmax
from sklearn.base import ClassifierMixin, RegressorMixin
from sklearn.metrics import accuracy_score, r2_score

from sklmeta._compat import Interval
from sklmeta.data.scaling import Scaling


@dataclass(kw_only=True, eq=False, repr=False)
class MetaClassifierMixin(ClassifierMixin):
    """Predicts classes, in the user's own labels."""

    n_way: int | None = None
    shared_classes: bool | None = None

    _parameter_constraints = {
        "n_way": [Interval(numbers.Integral, 2, None, closed="left"), None],
        "shared_classes": ["boolean", None],
    }

    __metadata_request__predict_proba = {"task": True}
    __metadata_request__predict_log_proba = {"task": True}

    def predict(self, X: Any, task: ArrayLike | None = None) -> NDArray:
        """Predict the class of every row.

        Parameters
        ----------
        X : {array-like, data frame} of shape (n_samples, n_features)
            Rows to predict.

        task : array-like of shape (n_samples,), default=None
            Label of every row's task, after adapting to many tasks.

        Returns
        -------
        ndarray of shape (n_samples,)
            Labels as they were given to `fit` or `adapt`.

        Raises
        ------
        NotAdaptedError
            If classes are a task's own and `adapt` has not been called.
        ValueError
            If `task` is missing, not wanted, or has a label that `adapt` has not seen.
        """
        logits, codes = self._outputs(X, task)
        best = logits.argmax(axis=1)
        return self.classes_[self._columns(codes, best[:, None])[:, 0]]

    def predict_proba(self, X: Any, task: ArrayLike | None = None) -> NDArray:
        """Predict the probability of every class.

        Parameters
        ----------
        X : {array-like, data frame} of shape (n_samples, n_features)
            Rows to predict.

        task : array-like of shape (n_samples,), default=None
            Label of every row's task, after adapting to many tasks.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            Columns in the order of `classes_`; classes that a row's task does not
            have are given probability zero.
        """
        logits, codes = self._logits(X, task)
        return self._spread(softmax(logits, axis=1), codes, 0.0)

    def predict_log_proba(self, X: Any, task: ArrayLike | None = None) -> NDArray:
        """Predict the logarithm of the probability of every class.

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
        logits, codes = self._logits(X, task)
        return self._spread(log_softmax(logits, axis=1), codes, -np.inf)

    def score(
        self,
        X: Any,
        y: ArrayLike,
        *,
        task: ArrayLike | None = None,
        shots: int = 5,
        sample_weight: ArrayLike | None = None,
    ) -> float:
        """Return the accuracy; with `task`, the few-shot accuracy.

        With `task`, a support of `shots` rows is drawn from each task, a copy is
        adapted to it and predicts the task's other rows; accuracies are averaged over
        tasks. The draws are the same at every call.

        Parameters
        ----------
        X : {array-like, data frame} of shape (n_samples, n_features)
            Rows.

        y : array-like of shape (n_samples,)
            Their classes.

        task : array-like of shape (n_samples,), default=None
            Label of every row's task.

        shots : int, default=5
            Support rows: per class when classes are a task's own, else in total.

        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows, without `task`.

        Returns
        -------
        float
        """
        if task is not None:
            return self._few_shot_score(X, y, task, shots)
        return float(accuracy_score(y, self.predict(X), sample_weight=sample_weight))

    def _logits(self, X: Any, task: ArrayLike | None) -> tuple[NDArray, NDArray]:
        """Return the learner's output, at the temperature that was calibrated."""
        logits, codes = self._outputs(X, task)
        temperature = self._temperature(task, len(logits))
        if temperature is not None:
            logits = logits / temperature[:, None].astype(logits.dtype)
        return logits, codes

    def _columns(self, codes: NDArray, local: NDArray) -> NDArray:
        """Turn classes numbered within a task into positions in `classes_`."""
        own = self._adaptation["classes"]
        if own is None:
            return local
        _, members, first, _ = own
        return members[first[codes][:, None] + local]

    def _spread(self, values: NDArray, codes: NDArray, absent: float) -> NDArray:
        own = self._adaptation["classes"]
        if own is None:
            return values
        ways = own[3][codes]
        spread = np.full((len(values), len(self.classes_)), absent, values.dtype)
        local = np.arange(values.shape[1])
        row, column = np.nonzero(local < ways[:, None])
        target = self._columns(codes[row], column[:, None])[:, 0]
        spread[row, target] = values[row, column]
        return spread


class _RegressorScore(RegressorMixin):
    """Scores a regressor, in one task or over many."""

    def score(
        self,
        X: Any,
        y: ArrayLike,
        *,
        task: ArrayLike | None = None,
        shots: int = 5,
        sample_weight: ArrayLike | None = None,
    ) -> float:
        """Return R²; with `task`, the few-shot R².

        With `task`, a support of `shots` rows is drawn from each task, a copy is
        adapted to it and predicts the task's other rows. The score is 1 minus the sum
        of squared errors over the sum of squares about each task's query mean. The
        draws are the same at every call.

        Parameters
        ----------
        X : {array-like, data frame} of shape (n_samples, n_features)
            Rows.

        y : array-like of shape (n_samples,)
            Their targets.

        task : array-like of shape (n_samples,), default=None
            Label of every row's task.

        shots : int, default=5
            Support rows of every task.

        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows, without `task`.

        Returns
        -------
        float
        """
        if task is not None:
            return self._few_shot_score(X, y, task, shots)
        return float(r2_score(y, self.predict(X), sample_weight=sample_weight))


class MetaRegressorMixin(_RegressorScore):
    """Predicts numbers, in the user's own units."""

    def predict(self, X: Any, task: ArrayLike | None = None) -> NDArray:
        """Predict the target of every row.

        Parameters
        ----------
        X : {array-like, data frame} of shape (n_samples, n_features)
            Rows to predict.

        task : array-like of shape (n_samples,), default=None
            Label of every row's task, after adapting to many tasks.

        Returns
        -------
        ndarray of shape (n_samples,)

        Raises
        ------
        ValueError
            If `task` is missing, not wanted, or has a label that `adapt` has not seen.
        """
        outputs, _ = self._outputs(X, task)
        return Scaling(*self._scalings[1]).undo(outputs[:, 0]).astype(self._dtype)


class PredictiveStdMixin(_RegressorScore):
    """A regressor whose learner has a predictive distribution."""

    __metadata_request__predict = {"task": True, "return_std": True}

    def predict(
        self, X: Any, task: ArrayLike | None = None, return_std: bool = False
    ) -> NDArray | tuple[NDArray, NDArray]:
        """Predict the target of every row, and how sure that is.

        Parameters
        ----------
        X : {array-like, data frame} of shape (n_samples, n_features)
            Rows to predict.

        task : array-like of shape (n_samples,), default=None
            Label of every row's task, after adapting to many tasks.

        return_std : bool, default=False
            Whether to return the standard deviation too.

        Returns
        -------
        y_mean : ndarray of shape (n_samples,)
            Mean of the predictive distribution.

        y_std : ndarray of shape (n_samples,)
            Its standard deviation, in the units of y; with `return_std`.

        Raises
        ------
        ValueError
            If `task` is missing, not wanted, or has a label that `adapt` has not seen.
        """
        outputs, _ = self._outputs(X, task)
        scaling = Scaling(*self._scalings[1])
        mean = scaling.undo(outputs[:, 0]).astype(self._dtype)
        if not return_std:
            return mean
        std = np.exp(0.5 * outputs[:, 1])
        if scaling.scale is not None:
            std = std * scaling.scale
        return mean, std.astype(self._dtype)
