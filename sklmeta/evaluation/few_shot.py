"""Few-shot evaluation: adapt a copy to each task's support, predict its query."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import copy
import inspect
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import sklearn
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, is_regressor
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.metrics import get_scorer, log_loss, make_scorer
from sklearn.utils import (
    check_consistent_length,
    check_random_state,
    column_or_1d,
    get_tags,
)

from sklmeta._compat import _safe_indexing
from sklmeta.data.codes import check_task, group_rows
from sklmeta.data.kinds import fitted_kind
from sklmeta.episodes.sampler import split_support_query
from sklmeta.evaluation.containers import adapted, inner_estimator, zero_shot
from sklmeta.evaluation.shots import check_count
from sklmeta.exceptions import warn

FEW_ROWS_PER_CLASS = "The number of unique classes is greater than 50%"
"""Begins a warning of scikit-learn about what few-shot learning always has."""

Scoring = str | Callable[..., float] | None


class FewShotDraw:
    """One draw of support and query for all tasks, and the predictions of the query.

    Attributes
    ----------
    model : estimator
        The adapted copy; for zero shots, the model as ``fit`` left it.

    draw : int

    shots : int, or None for each task's own support

    labels : ndarray of shape (n_tasks,)
        Label of each task, also of those that could give no query row.

    codes : ndarray of int of shape (n_query,)
        Index into `labels` of every query row's task.

    support, query : ndarray of int
        Positions of the rows in the table.

    y_true : ndarray of shape (n_query,)

    seconds : float
        What adapting and all predictions so far took together, for all tasks.
    """

    def __init__(
        self,
        model: Any,
        table: tuple[Any, NDArray[Any], NDArray[np.intp], NDArray[Any]],
        rows: tuple[NDArray[np.intp], NDArray[np.intp]],
        draw: int,
        shots: int | None,
    ):
        X, y, codes, self.labels = table
        self.support, self.query = rows
        self.draw = draw
        self.shots = shots
        self.support_codes = codes[self.support]
        self.support_y = y[self.support]
        self.codes = codes[self.query]
        self.X_query = _safe_indexing(X, self.query)
        self.y_true = y[self.query]
        self._adapts = shots != 0
        labels = self.labels[self.support_codes]
        X_support = _safe_indexing(X, self.support)
        start = time.perf_counter()
        if self._adapts:
            self.model = adapted(model, X_support, self.support_y, task=labels)
        else:
            self.model = zero_shot(model)
        self.seconds = time.perf_counter() - start
        self._responses: dict[str, NDArray[Any]] = {}

    def response(self, method: str) -> NDArray[Any]:
        """Call a method of the adapted model on all query rows, once."""
        if method not in self._responses:
            start = time.perf_counter()
            with sklearn.config_context(enable_metadata_routing=True):
                values = getattr(self.model, method)(self.X_query, **self.metadata)
            self.seconds += time.perf_counter() - start
            self._responses[method] = np.asarray(values)
        return self._responses[method]

    @property
    def metadata(self) -> dict[str, NDArray[Any]]:
        """What the adapted model must be told besides the query rows."""
        return {"task": self.labels[self.codes]} if self._adapts else {}

    @property
    def y_pred(self) -> NDArray[Any]:
        return self.response("predict")

    @property
    def n_query(self) -> NDArray[np.intp]:  # shape: (n_tasks,)
        return np.bincount(self.codes, minlength=len(self.labels))

    @property
    def n_support(self) -> NDArray[np.intp]:  # shape: (n_tasks,)
        return np.bincount(self.support_codes, minlength=len(self.labels))


def few_shot_predictions(
    estimator: BaseEstimator,
    X: Any,
    y: ArrayLike,
    task: ArrayLike,
    *,
    shots: int | None,
    n_draws: int = 1,
    support: Any = "random",
    is_support: NDArray[np.bool_] | None = None,
    random_state: Any = 0,
) -> Iterator[FewShotDraw]:
    """Adapt copies of a fitted model to every task's support and predict its query.

    Parameters
    ----------
    estimator : estimator
        A fitted model that `sklmeta.adapted` takes. It is left alone, and whatever it
        is adapted to does not matter.

    X : {array-like, data frame} of shape (n_samples, n_features)
    y : array-like of shape (n_samples,)
    task : array-like of shape (n_samples,)
        Task of every row.

    shots : int or None
        Support rows: per class when classes are a task's own, else in total. 0
        evaluates the model as ``fit`` left it, on all rows, and in one draw only. None
        takes each task's own support, which `is_support` gives.

    n_draws : int, default=1
        Supports drawn per task.

    support : "random", "first" or splitter, default="random"
        How the support is chosen.

    is_support : ndarray of bool of shape (n_samples,), default=None
        Rows of their task's own support, for ``shots=None``.

    random_state : int, RandomState instance or None, default=0
        Seed of the draws, which are the same at every call; None means 0.

    Yields
    ------
    FewShotDraw

    Raises
    ------
    ValueError
        If no task can give a support row and a query row.
    """
    if shots is not None:
        check_count("shots", shots, 0)
        is_support = None
    check_count("n_draws", n_draws, 1)
    check_consistent_length(X, y)
    targets = column_or_1d(y)
    codes, labels = check_task(task, len(targets))
    kind = fitted_kind(inner_estimator(estimator))
    # A RandomState is copied: the draws must not depend on earlier calls.
    rng = check_random_state(0 if random_state is None else copy.deepcopy(random_state))
    first = isinstance(support, str) and support == "first"
    draws_one = not shots or first  # nothing is random
    seeds = rng.randint(2**31 - 1, size=1 if draws_one else n_draws)
    for draw, seed in enumerate(seeds):
        rows = split_support_query(
            targets,
            codes,
            shots or 0,
            support=support,
            kind=kind,
            is_support=is_support,
            random_state=int(seed),
        )
        if not len(rows[1]):
            raise ValueError(
                f"No task has a row left to predict: with shots={shots} each of the "
                f"{len(labels)} task(s) would need a support row and another one. "
                "Give tasks of more rows."
            )
        yield FewShotDraw(estimator, (X, targets, codes, labels), rows, draw, shots)


def few_shot_score(
    estimator: BaseEstimator,
    X: Any,
    y: ArrayLike,
    task: ArrayLike,
    *,
    shots: int,
    n_draws: int = 1,
    support: Any = "random",
    metric: Scoring = None,
    random_state: Any = 0,
) -> float:
    """Few-shot score of a fitted model, averaged over tasks and draws.

    Parameters
    ----------
    estimator, X, y, task, shots, n_draws, support, random_state
        As in `few_shot_predictions`.

    metric : str, callable or None, default=None
        None means accuracy, averaged over tasks, for a classifier; for a regressor
        1 - (sum of squared errors) / (sum of squares about each task's query mean),
        both summed over tasks and draws. Otherwise the name of a scikit-learn scorer,
        a scorer ``f(estimator, X, y)`` or a metric ``f(y_true, y_pred)``: computed for
        each task, then averaged over the tasks for which it is defined.

    Returns
    -------
    float
    """
    draws = few_shot_predictions(
        estimator,
        X,
        y,
        task,
        shots=shots,
        n_draws=n_draws,
        support=support,
        random_state=random_state,
    )
    if metric is None and is_regressor(estimator):
        sums = np.sum([np.sum(sums_of_squares(draw), axis=1) for draw in draws], axis=0)
        if not sums[1]:
            warn(
                "The few-shot score is undefined: no task's query targets vary.",
                UndefinedMetricWarning,
            )
        return float(_r2(*sums))
    return float(np.mean([_mean_over_tasks(draw, metric) for draw in draws]))


def _mean_over_tasks(draw: FewShotDraw, metric: Scoring) -> float:
    scores = task_scores(draw, metric)[draw.n_query > 0]
    defined = ~np.isnan(scores)
    if not defined.all():
        warn(
            f"The metric is undefined for {np.sum(~defined)} of {len(scores)} tasks, "
            "which are left out of the average.",
            UndefinedMetricWarning,
        )
    return float(scores[defined].mean()) if defined.any() else np.nan


def task_scores(
    draw: FewShotDraw, metric: Scoring
) -> NDArray[np.float64]:  # shape: (n_tasks,); NaN where there is no query
    """Score of each task; of a regressor with ``metric=None``, each task's own R^2."""
    if metric is None and is_regressor(draw.model):
        return _r2(*sums_of_squares(draw))
    if metric is None:
        correct = (draw.y_pred == draw.y_true).astype(float)
        hits = np.bincount(draw.codes, correct, minlength=len(draw.labels))
        with np.errstate(invalid="ignore"):
            return hits / draw.n_query
    scorer = _as_scorer(metric, draw.model)
    scores = np.full(len(draw.labels), np.nan)
    order, offsets = group_rows(draw.codes, len(draw.labels))
    with warnings.catch_warnings():
        # NaN tells as much, and callers count the tasks concerned.
        warnings.simplefilter("ignore", UndefinedMetricWarning)
        warnings.filterwarnings("ignore", FEW_ROWS_PER_CLASS, UserWarning)
        for i in np.flatnonzero(draw.n_query):
            rows = order[offsets[i] : offsets[i + 1]]
            view = _TaskView(draw, int(i), rows)
            scores[i] = scorer(view, view.X, draw.y_true[rows])
    return scores


def sums_of_squares(
    draw: FewShotDraw,
) -> tuple[NDArray[Any], NDArray[Any]]:  # each of shape (n_tasks,)
    """Squared errors, and squares about the query mean, summed within each task."""
    n_tasks = len(draw.labels)
    y = np.asarray(draw.y_true, dtype=np.float64)
    totals = np.bincount(draw.codes, y, minlength=n_tasks)
    means = totals / np.maximum(draw.n_query, 1)
    error = np.bincount(draw.codes, (y - draw.y_pred) ** 2, minlength=n_tasks)
    spread = np.bincount(draw.codes, (y - means[draw.codes]) ** 2, minlength=n_tasks)
    return error, spread


def _r2(error: Any, spread: Any) -> Any:
    """1 - error / spread, NaN where the spread is zero."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(np.asarray(spread) > 0, 1 - np.divide(error, spread), np.nan)


def _as_scorer(metric: Scoring, model: Any) -> Callable[..., float]:
    """Turn a scorer's name, a scorer or a metric into ``f(estimator, X, y)``."""
    if metric == "neg_log_loss":
        # A query often lacks a class, which log_loss must then be told.
        def neg_log_loss(estimator: BaseEstimator, X: Any, y: Any) -> float:
            probabilities = estimator.predict_proba(X)
            return -log_loss(y, probabilities, labels=estimator.classes_)

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


class _TaskView:
    """One task's query as an estimator whose predictions have been made already."""

    _METHODS = ("predict", "predict_proba", "predict_log_proba", "decision_function")

    def __init__(self, draw: FewShotDraw, index: int, rows: NDArray[np.intp]):
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
            return self._columns(self._draw.response(name)[self._rows])

        respond.__name__ = name
        return respond

    def __sklearn_tags__(self) -> Any:
        return get_tags(self._draw.model)

    def __sklearn_is_fitted__(self) -> bool:
        return True

    @property
    def _own_columns(self) -> NDArray[np.intp] | None:
        model = self._draw.model
        if getattr(inner_estimator(model), "shared_classes_", True):
            return None
        own = self._draw.support_y[self._draw.support_codes == self._index]
        return np.searchsorted(model.classes_, np.unique(own))

    def _columns(self, values: NDArray[Any]) -> NDArray[Any]:
        columns = self._own_columns
        return values if values.ndim == 1 or columns is None else values[:, columns]

    @property
    def classes_(self) -> NDArray[Any]:
        columns = self._own_columns
        classes = self._draw.model.classes_
        return classes if columns is None else classes[columns]
