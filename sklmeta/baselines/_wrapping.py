"""What the baselines around a scikit-learn estimator share."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import copy
import itertools
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import _safe_indexing, get_tags

from sklmeta.baselines._base import (
    BaselineEstimator,
    Codes,
    Predictors,
    as_given,
    spread,
)
from sklmeta.data.codes import group_rows


class WrappingBaseline(BaselineEstimator):
    """A baseline around a scikit-learn estimator.

    Its predictors are ``models`` (one per task, or one for all), and per task
    ``x_mean``, ``y_shift`` or ``odds``, or None.
    """

    estimator: Any
    center: bool = False
    _own_classes_remedy = "use PerTask(estimator, shared_classes=False)."

    def _options(self, X: Any) -> dict[str, Any]:
        """Leave X to the estimator inside, unless its mean is needed."""
        if self.center:
            return super()._options(X)
        return as_given(X)

    def _select(self, X: Any, task: Any) -> tuple[Any, Codes, Predictors]:
        X, codes, models = super()._select(X, task)
        if models["x_mean"] is not None:
            X = X - models["x_mean"][codes].astype(X.dtype)
        return X, codes, models

    def _predict(self, X: Any, codes: Codes, models: Predictors) -> NDArray[Any]:
        if models["odds"] is not None:
            return self.classes_[self._probabilities(X, codes, models).argmax(axis=1)]
        y = _by_task(models["models"], "predict", X, codes)
        return y if models["y_shift"] is None else y + models["y_shift"][codes]

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
    return values if classes is None else spread(values, model.classes_, classes)
