"""What the baselines around a scikit-learn estimator share."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import copy
import itertools
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.utils import check_array, get_tags
from sklearn.utils.validation import has_fit_parameter

from sklmeta._compat import _safe_indexing
from sklmeta.baselines._base import BaselineEstimator
from sklmeta.baselines._refitting import beside
from sklmeta.data.codes import IntArray, group_rows
from sklmeta.data.table import Table
from sklmeta.data.validation import as_given
from sklmeta.evaluation.probabilities import spread

MOST_REPEATED = 1e7
"""Rows of a support, where repeating them stands for weights."""


class Wrapped(NamedTuple):
    """What predicts for some tasks: scikit-learn's models, and corrections of them."""

    models: list[Any]  # one per task, or one for all
    x_mean: NDArray[Any] | None = None  # per task, to be subtracted
    y_shift: NDArray[Any] | None = None  # per task, to be added
    odds: NDArray[Any] | None = None  # per task and class, to multiply with
    preparation: Any = None  # of the rows, before the columns stand beside them
    columns: NDArray[Any] | None = None  # per task: its code, or numbers
    linear: NDArray[Any] | None = None  # per task: coefficients, instead of a model


class WrappingBaseline(BaselineEstimator):
    """A baseline around a scikit-learn estimator."""

    estimator: BaseEstimator
    center: bool = False
    _several_targets = True  # if the estimator inside takes them
    _own_classes_remedy = "use PerTask(estimator, shared_classes=False)."

    def _options(self, X: Any) -> dict[str, Any]:
        """Leave X to the estimator inside, unless its mean is needed."""
        if self.center:
            return super()._options(X)
        return as_given(X)

    def _why_no_weights(self, weight: NDArray[np.float64]) -> str:
        if not self._weighs and (weight % 1).any():
            name = type(self.estimator).__name__
            return f"weights with a fraction are not for the fit of {name}"
        if weight.sum() > MOST_REPEATED:
            return f"its rows would be repeated {weight.sum():.3g} times"
        return ""

    @property
    def _weighs(self) -> bool:
        """Whether the estimator inside takes weights, rather than repeated rows."""
        return has_fit_parameter(self.estimator, "sample_weight")

    def _unfolded(self, table: Table) -> Table:
        """Repeat rows of whole weights, unless the estimator inside takes weights."""
        if table.weight is None or self._weighs:
            return table
        times = table.weight.astype(np.intp)
        return table.part(np.repeat(np.arange(len(times)), times))._replace(weight=None)

    def _arrange(self, X: Any, codes: IntArray, model: Wrapped) -> Any:
        if model.x_mean is not None:
            X = X - model.x_mean[codes].astype(X.dtype)
        if model.preparation is not None:
            X = model.preparation.transform(X)
        if model.columns is not None:
            X = beside(X, model.columns, codes)
        return X

    def _predict(self, X: Any, codes: IntArray, model: Wrapped) -> NDArray[Any]:
        if model.odds is not None:
            return self.classes_[self._probabilities(X, codes, model).argmax(axis=1)]
        if model.linear is not None:
            own, X = model.linear[codes], check_array(X, input_name="X")
            return np.einsum("ij,ij->i", X, own[:, :-1]) + own[:, -1]
        y = _by_task(model.models, "predict", X, codes)
        return y if model.y_shift is None else y + model.y_shift[codes]

    def _probabilities(self, X: Any, codes: IntArray, model: Wrapped) -> NDArray[Any]:
        values = _by_task(model.models, "predict_proba", X, codes, self.classes_)
        if model.odds is None:
            return values
        values = values * model.odds[codes]
        return values / values.sum(axis=1, keepdims=True)

    @classmethod
    def _restore(cls, model: Any) -> Wrapped:
        return Wrapped(**model)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        inner = get_tags(self.estimator)
        tags.estimator_type = inner.estimator_type
        tags.classifier_tags = copy.deepcopy(inner.classifier_tags)
        tags.regressor_tags = copy.deepcopy(inner.regressor_tags)
        several = inner.estimator_type == "regressor" and self._several_targets
        tags.target_tags.multi_output = several and inner.target_tags.multi_output
        if not self.center:
            tags.input_tags = copy.deepcopy(inner.input_tags)
        return tags


def _by_task(
    models: list[Any],
    method: str,
    X: Any,
    codes: IntArray,
    classes: NDArray[Any] | None = None,
) -> NDArray[Any]:
    """Answer every row with its task's model; a single model answers all at once."""
    if len(models) == 1:
        return respond_with(models[0], method, X, classes)
    order, offsets = group_rows(codes, len(models))
    answers = [
        respond_with(models[i], method, _safe_indexing(X, order[start:stop]), classes)
        for i, (start, stop) in enumerate(itertools.pairwise(offsets))
        if stop > start
    ]
    ranked = np.concatenate(answers)
    values = np.empty_like(ranked)
    values[order] = ranked
    return values


def respond_with(
    model: Any, method: str, X: Any, classes: NDArray[Any] | None
) -> NDArray[Any]:
    values = getattr(model, method)(X)
    return values if classes is None else spread(values, model.classes_, classes)
