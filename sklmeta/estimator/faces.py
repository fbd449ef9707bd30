"""The classifier and the regressor halves of a meta-learner."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import numbers
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import log_softmax, softmax
from sklearn.base import ClassifierMixin, RegressorMixin

from sklmeta._compat import Interval
from sklmeta.data.codes import IntArray
from sklmeta.data.rows import RowTable
from sklmeta.estimator.base import AdaptableEstimator
from sklmeta.estimator.likelihoods import deviations, means, quantiles
from sklmeta.estimator.naming import says_what_it_takes
from sklmeta.estimator.quantiles import QuantilesMixin
from sklmeta.estimator.state import Fitted, TaskModels
from sklmeta.learners.likelihoods import LOG_LINKS
from sklmeta.learners.torch_state import as_if_alone


class PartOfMetaEstimator:
    """What mixins find in `BaseMetaEstimator`."""

    _rows_of: Callable[[Any], RowTable]
    _lent_learner: Any  # a context manager
    _outputs: Callable[..., NDArray]
    _select: Callable[..., tuple[NDArray, IntArray, TaskModels]]
    _shaped: Callable[[NDArray], NDArray]
    _fitted: Fitted
    _several_targets: bool
    _of_learner: Callable[..., Any]
    classes_: NDArray


@dataclass(kw_only=True, eq=False, repr=False)
class MetaClassifierMixin(PartOfMetaEstimator, ClassifierMixin):
    """Predicts classes, in the user's own labels.

    Parameters
    ----------
    n_way : int, default=None
        Number of classes in a training episode, for classes that are a task's own;
        None takes all of a task's classes.

    shared_classes : bool, default=None
        Whether all tasks speak of the same classes. None means True unless `n_way`
        is given; it is never guessed from the labels.
    """

    n_way: int | None = None
    shared_classes: bool | None = None

    _parameter_constraints = {
        "n_way": [Interval(numbers.Integral, 2, None, closed="left"), None],
        "shared_classes": ["boolean", None],
    }

    score = AdaptableEstimator.score

    def _predict(self, X: NDArray, codes: IntArray, model: TaskModels) -> NDArray:
        best = self._outputs(X, codes, model).argmax(axis=1)
        return self.classes_[_columns(model, codes, best[:, None])[:, 0]]

    def _calibrated(
        self,
        X: NDArray,
        codes: IntArray,
        model: TaskModels,
        temperature: NDArray[np.float64] | None,
        *,
        log: bool,
    ) -> NDArray:
        logits = self._outputs(X, codes, model)
        if temperature is not None:
            logits = logits / temperature[:, None].astype(logits.dtype)
        return self._answers(logits, codes, model, log=log)

    def _answers(
        self, logits: NDArray, codes: IntArray, model: TaskModels, *, log: bool = False
    ) -> NDArray:
        """Probabilities, or their logarithms, in the columns of `classes_`."""
        values = (log_softmax if log else softmax)(logits, axis=1)
        if model.own is None:
            return values
        # Classes numbered within a task go to their columns in `classes_`.
        absent = -np.inf if log else 0.0
        spread = np.full((len(values), len(self.classes_)), absent, values.dtype)
        local = np.arange(values.shape[1])
        row, column = np.nonzero(local < model.own.ways[codes][:, None])
        target = _columns(model, codes[row], column[:, None])[:, 0]
        spread[row, target] = values[row, column]
        return spread


def _columns(model: TaskModels, codes: IntArray, local: IntArray) -> IntArray:
    """Turn classes numbered within a task into positions in `classes_`."""
    if model.own is None:
        return local
    return model.own.members[model.own.first[codes][:, None] + local]


class MetaRegressorMixin(PartOfMetaEstimator, RegressorMixin):
    """Predicts numbers, in the user's own units."""

    score = AdaptableEstimator.score

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = self._several_targets
        return tags

    def _predict(self, X: NDArray, codes: IntArray, model: TaskModels) -> NDArray:
        return self._mean(self._outputs(X, codes, model))

    def _answers(self, outputs: NDArray, codes: IntArray, model: TaskModels) -> NDArray:
        return self._mean(outputs)

    def _mean(self, outputs: NDArray) -> NDArray:
        fitted = self._fitted
        given = fitted.likelihood, fitted.y_scaling, self._part(outputs, 0)
        return means(*given).astype(fitted.dtype)

    @property
    def _least_target(self) -> float:
        return 0.0 if self._fitted.likelihood in LOG_LINKS else -np.inf

    def _part(self, outputs: NDArray, i: int) -> NDArray:
        """The means, or what comes after them, of one target or of several."""
        n = self._fitted.n_targets
        return outputs[:, i] if n == 1 else outputs[:, i * n : (i + 1) * n]


class PredictiveStdMixin(QuantilesMixin, MetaRegressorMixin):
    """A regressor whose learner has a predictive distribution."""

    __metadata_request__predict = {"task": True, "return_std": True}

    @says_what_it_takes
    @as_if_alone()
    def predict(
        self, X: Any, task: ArrayLike | None = None, return_std: bool = False
    ) -> Any:
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
        outputs = self._outputs(*self._select(X, task))
        mean = self._shaped(self._mean(outputs))
        return (mean, self._shaped(self._std(outputs))) if return_std else mean

    def _std(self, outputs: NDArray) -> NDArray:
        fitted, parts = self._fitted, (self._mean(outputs), self._part(outputs, 1))
        std = deviations(fitted.likelihood, fitted.y_scaling, *parts)
        return std.astype(fitted.dtype)

    def _quantiles(
        self, X: NDArray, codes: IntArray, model: TaskModels, levels: NDArray
    ) -> NDArray:  # shape: (n_samples, n_q) or (n_samples, n_targets, n_q)
        outputs = self._outputs(X, codes, model)
        parts = self._mean(outputs), self._std(outputs), self._part(outputs, 1)
        name, df = self._fitted.likelihood, None
        if name == "student_t":
            df = float(self._of_learner(_degrees))
        return quantiles(name, *parts, df, levels)


def _degrees(learner: Any) -> Any:
    return learner.likelihood.degrees()
