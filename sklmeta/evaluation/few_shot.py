"""Few-shot evaluation: adapt a copy to each task's support, predict its query."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import copy
import time
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import sklearn
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, is_regressor
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.utils import check_random_state

from sklmeta._compat import _check_sample_weight, _safe_indexing
from sklmeta.data.codes import group_rows
from sklmeta.data.kinds import TaskKind, fitted_kind
from sklmeta.data.labels import positions
from sklmeta.data.validation import check_tasks
from sklmeta.episodes.sampler import split_support_query
from sklmeta.evaluation.containers import adapted, inner_estimator, zero_shot
from sklmeta.evaluation.scorers import Scoring, TaskView, as_scorer
from sklmeta.evaluation.shots import check_count, check_support
from sklmeta.exceptions import warn

FEW_ROWS_PER_CLASS = "The number of unique classes is greater than 50%"
"""Begins a warning of scikit-learn about what few-shot learning always has."""


class FewShotDraw:
    """One draw of support and query for all tasks, and the predictions of the query.

    Attributes
    ----------
    model : estimator
        The adapted copy; where no task has a support, the model as ``fit`` left it.

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
        self._adapts = len(self.support) > 0
        self._prior = zero_shot(model)
        labels = self.labels[self.support_codes]
        X_support = _safe_indexing(X, self.support)
        start = time.perf_counter()
        if self._adapts:
            self.model = adapted(model, X_support, self.support_y, task=labels)
        else:
            self.model = self._prior
        self.seconds = time.perf_counter() - start
        self._responses: dict[str, NDArray[Any]] = {}

    def response(self, method: str) -> NDArray[Any]:
        """Call a method of the adapted model on all query rows, once."""
        if method not in self._responses:
            start = time.perf_counter()
            with sklearn.config_context(enable_metadata_routing=True):
                self._responses[method] = self._respond(method)
            self.seconds += time.perf_counter() - start
            if method == "predict" and self.y_true.ndim == 1:  # it may be a column
                self._responses[method] = self._responses[method].reshape(-1)
        return self._responses[method]

    def _respond(self, method: str) -> NDArray[Any]:
        adapts = (self.n_support > 0)[self.codes]
        if adapts.all() or not self._adapts:
            return np.asarray(
                getattr(self.model, method)(self.X_query, **self.metadata)
            )
        parts = []
        for model, rows in [(self.model, adapts), (self._prior, ~adapts)]:
            metadata = {"task": self.labels[self.codes[rows]]} if rows is adapts else {}
            X = _safe_indexing(self.X_query, np.flatnonzero(rows))
            parts.append(np.asarray(getattr(model, method)(X, **metadata)))
        order = np.argsort(~adapts, kind="stable")
        return np.concatenate(parts)[np.argsort(order)]

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
    tell: bool = True,
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

    support : "random", "stratified", "first" or splitter, default="random"
        How the support is chosen: see `FewShotScorer`.

    is_support : ndarray of bool of shape (n_samples,), default=None
        Rows of their task's own support, for ``shots=None``.

    random_state : int, RandomState instance or None, default=0
        Seed of the draws, which are the same at every call; None means 0.

    tell : bool, default=True
        Whether to warn of rows whose class `fit` has not seen. They cannot be predicted
        and are left out of the supports, which may leave a task zero shots.

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
    check_support(support)
    X, targets, codes, labels = check_tasks(
        X, y, task, classes=not is_regressor(estimator), several=True
    )
    inner = inner_estimator(estimator)
    kind = fitted_kind(inner)
    known = np.ones(len(targets), dtype=bool)
    if kind == TaskKind.SHARED:
        known = positions(targets, inner.classes_) >= 0
        if not known.any() and _is_text(targets) != _is_text(inner.classes_):
            raise ValueError(
                f"y has none of the classes that fit has seen: {targets[:1].tolist()} "
                f"is not among {inner.classes_[:3].tolist()}. Are they of the same "
                "type?"
            )
        if tell:
            warn_of_unknown_classes(targets, labels[codes], known)
    # A RandomState is copied: the draws must not depend on earlier calls.
    rng = check_random_state(0 if random_state is None else copy.deepcopy(random_state))
    is_sure = not shots or (isinstance(support, str) and support == "first")
    seeds = rng.randint(2**31 - 1, size=1 if is_sure else n_draws)
    for draw, seed in enumerate(seeds):
        support_rows, query = split_support_query(
            targets,
            codes,
            shots or 0,
            support=support,
            kind=kind,
            is_support=is_support,
            random_state=int(seed),
        )
        if not len(query):
            raise ValueError(
                f"No task has a row left to predict: with shots={shots} each of the "
                f"{len(labels)} task(s) would need a support row and another one. "
                "Give tasks of more rows."
            )
        rows = support_rows[known[support_rows]], query
        yield FewShotDraw(estimator, (X, targets, codes, labels), rows, draw, shots)


def _is_text(labels: NDArray[Any]) -> bool:
    return any(isinstance(label, str) for label in labels[:1].tolist())


def warn_of_unknown_classes(
    y: NDArray[Any], task: NDArray[Any], known: NDArray[np.bool_]
) -> None:
    """Name the classes of the rows that are not `known`, and their tasks."""
    pairs = dict.fromkeys(zip(y[~known].tolist(), task[~known].tolist(), strict=True))
    if pairs:
        names = ", ".join(f"{label!r} of task {name!r}" for label, name in [*pairs][:5])
        warn(
            f"{np.sum(~known)} row(s) have a class that no task of fit has: {names}. "
            "They count as missed, and no support has them. A class can be predicted "
            "if the tasks of fit have it too."
        )


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
    sample_weight: ArrayLike | None = None,
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

    sample_weight : array-like of shape (n_samples,), default=None
        Weights of the query rows within their task, for the score alone. A task whose
        query rows weigh nothing is left out.

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
    weights = _check_sample_weight(
        sample_weight, X, dtype=np.float64, ensure_non_negative=True
    )

    def weighted(draw: FewShotDraw) -> tuple[FewShotDraw, NDArray[Any] | None]:
        if not weights[draw.query].any():
            raise ValueError(
                "sample_weight is zero in all rows that are to be predicted. Give more "
                "rows a weight, or ask for fewer shots."
            )
        return draw, None if sample_weight is None else weights[draw.query]

    if metric is None and is_regressor(estimator):
        parts = [sums_of_squares(*weighted(draw)) for draw in draws]
        sums = np.sum(np.sum(parts, axis=2), axis=0)
        if not np.any(sums[1]):
            warn(
                "The few-shot score is undefined: no task's query targets vary.",
                UndefinedMetricWarning,
            )
        return float(np.mean(_r2(*sums)))
    means = [_mean_over_tasks(*weighted(draw), metric) for draw in draws]
    return float(np.mean(means))


def _mean_over_tasks(
    draw: FewShotDraw, weight: NDArray[Any] | None, metric: Scoring
) -> float:
    scores = task_scores(draw, metric, weight)[_weight_of_tasks(draw, weight) > 0]
    defined = ~np.isnan(scores)
    if not defined.all():
        warn(
            f"The metric is undefined for {np.sum(~defined)} of {len(scores)} tasks, "
            "which are left out of the average.",
            UndefinedMetricWarning,
        )
    return float(scores[defined].mean()) if defined.any() else np.nan


def _weight_of_tasks(draw: FewShotDraw, weight: NDArray[Any] | None) -> NDArray[Any]:
    return np.bincount(draw.codes, weight, minlength=len(draw.labels))


def task_scores(
    draw: FewShotDraw, metric: Scoring, weight: NDArray[Any] | None = None
) -> NDArray[np.float64]:  # shape: (n_tasks,); NaN where there is no query
    """Score of each task; of a regressor with ``metric=None``, each task's own R^2."""
    if metric is None and is_regressor(draw.model):
        scores = _r2(*sums_of_squares(draw, weight))
        return scores.reshape(len(scores), -1).mean(axis=1)
    of_tasks = _weight_of_tasks(draw, weight)
    if metric is None:
        correct = (draw.y_pred == draw.y_true) * (1.0 if weight is None else weight)
        with np.errstate(invalid="ignore"):
            return _weight_of_tasks(draw, correct) / of_tasks
    scorer = as_scorer(metric, draw.model)
    scores = np.full(len(draw.labels), np.nan)
    order, offsets = group_rows(draw.codes, len(draw.labels))
    with warnings.catch_warnings():
        # NaN tells as much, and callers count the tasks concerned.
        warnings.simplefilter("ignore", UndefinedMetricWarning)
        warnings.filterwarnings("ignore", FEW_ROWS_PER_CLASS, UserWarning)
        for i in np.flatnonzero(of_tasks):
            rows = order[offsets[i] : offsets[i + 1]]
            view = TaskView(draw, int(i), rows)
            weights = {} if weight is None else {"sample_weight": weight[rows]}
            try:
                scores[i] = scorer(view, view.X, draw.y_true[rows], **weights)
            except ValueError:
                # Not every metric is defined with a class that has no probability.
                if view.knows_all:
                    raise
    return scores


def sums_of_squares(
    draw: FewShotDraw, weight: NDArray[Any] | None = None
) -> tuple[NDArray[Any], NDArray[Any]]:  # each of shape (n_tasks[, n_targets])
    """Squared errors, and squares about the query mean, summed within each task."""
    y, predicted = np.asarray(draw.y_true, dtype=np.float64), draw.y_pred
    if y.ndim == 1:
        return _sums(draw, y, predicted, weight)
    columns = zip(y.T, predicted.T, strict=True)
    both = np.stack([_sums(draw, *column, weight) for column in columns], axis=-1)
    return both[0], both[1]


def _sums(
    draw: FewShotDraw, y: NDArray[Any], predicted: NDArray[Any], weight: Any
) -> tuple[NDArray[Any], NDArray[Any]]:  # each of shape (n_tasks,)
    def total(values: NDArray[Any]) -> NDArray[Any]:
        return _weight_of_tasks(draw, values if weight is None else values * weight)

    of_tasks = _weight_of_tasks(draw, weight)
    means = total(y) / np.where(of_tasks > 0, of_tasks, 1)
    return total((y - predicted) ** 2), total((y - means[draw.codes]) ** 2)


def _r2(error: Any, spread: Any) -> Any:
    """1 - error / spread, NaN where the spread is zero."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(np.asarray(spread) > 0, 1 - np.divide(error, spread), np.nan)
