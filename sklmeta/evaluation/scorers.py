"""What a scorer of scikit-learn is shown of a task: an estimator that has answered."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, is_classifier
from sklearn.metrics import get_scorer, log_loss, make_scorer
from sklearn.utils import get_tags

from sklmeta._compat import _safe_indexing
from sklmeta.evaluation.containers import inner_estimator

Scoring = str | Callable[..., float] | None


def as_scorer(metric: Scoring, model: Any) -> Callable[..., float]:
    """Turn a scorer's name, a scorer or a metric into ``f(estimator, X, y)``."""
    if metric == "neg_log_loss":
        # A query often lacks a class, which log_loss must then be told.
        def neg_log_loss(
            estimator: BaseEstimator, X: Any, y: Any, **weights: Any
        ) -> float:
            probabilities = estimator.predict_proba(X)
            return -log_loss(y, probabilities, labels=estimator.classes_, **weights)

        return neg_log_loss
    if isinstance(metric, str):
        return get_scorer(metric)
    if not callable(metric):
        raise TypeError(
            "scoring must be None, the name of a scikit-learn scorer or a callable; "
            f"got {metric!r}."
        )
    try:
        parameters = inspect.signature(metric).parameters.values()
    except ValueError:  # some compiled callables have no signature
        parameters = ()  # type: ignore[assignment]
    positional = (
        inspect.Parameter.POSITIONAL_ONLY,
        inspect.Parameter.POSITIONAL_OR_KEYWORD,
    )
    required = [p for p in parameters if p.default is p.empty and p.kind in positional]
    return metric if len(required) == 3 else make_scorer(metric)


class TaskView:
    """One task's query as an estimator whose predictions have been made already."""

    _METHODS = ("predict", "predict_proba", "predict_log_proba", "decision_function")

    def __init__(self, draw: Any, index: int, rows: NDArray[np.intp]):
        self._draw = draw
        self._index = index
        self._rows = rows
        self.X = _safe_indexing(draw.X_query, rows)

    def __getattr__(self, name: str) -> Any:
        if name not in self._METHODS or not hasattr(self._draw.model, name):
            raise AttributeError(f"A task's model has no attribute {name!r}.")

        def respond(X: Any) -> NDArray[Any]:
            if X is not self.X:
                raise ValueError("A scorer may ask only for the query it was given.")
            return self._columns(name, self._draw.response(name)[self._rows])

        respond.__name__ = name
        return respond

    def __sklearn_tags__(self) -> Any:
        return get_tags(self._draw.model)

    def __sklearn_is_fitted__(self) -> bool:
        return True

    @property
    def _own_columns(self) -> Any:
        model = self._draw.model
        if getattr(inner_estimator(model), "shared_classes_", True):
            return slice(None)
        own = self._draw.support_y[self._draw.support_codes == self._index]
        return np.searchsorted(model.classes_, np.unique(own))

    @property
    def _known(self) -> NDArray[Any]:
        known: NDArray[Any] = self._draw.model.classes_[self._own_columns]
        return known

    def _columns(self, name: str, values: NDArray[Any]) -> NDArray[Any]:
        if values.ndim == 1 or not is_classifier(self):
            return values
        classes, unknown = self.classes_, 0 if name == "predict_proba" else -np.inf
        columns = np.full((len(values), len(classes)), unknown, values.dtype)
        known = np.searchsorted(classes, self._known)
        columns[:, known] = values[:, self._own_columns]
        return columns

    @property
    def classes_(self) -> NDArray[Any]:
        """Those the model knows and, without a probability, others of the query."""
        return np.union1d(self._known, self._draw.y_true[self._rows])

    @property
    def knows_all(self) -> bool:
        """Whether the model knows all classes of the query."""
        return not is_classifier(self) or len(self.classes_) == len(self._known)
