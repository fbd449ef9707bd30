"""Cross-validation over tasks, for several numbers of shots at once."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import time
import warnings
from collections.abc import Mapping, Sequence
from numbers import Integral
from typing import Any

import numpy as np
import pandas as pd
import sklearn
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, clone, is_regressor
from sklearn.model_selection import check_cv
from sklearn.pipeline import Pipeline
from sklearn.utils.parallel import Parallel, delayed

from sklmeta._compat import _safe_indexing
from sklmeta.data.collection import TaskCollection
from sklmeta.data.kinds import TaskKind, kind_of
from sklmeta.data.validation import check_tasks, unpack_collection
from sklmeta.evaluation.containers import inner_estimator
from sklmeta.evaluation.few_shot import (
    few_shot_predictions,
    sums_of_squares,
    task_scores,
    warn_of_unknown_classes,
)
from sklmeta.evaluation.scorers import Scoring
from sklmeta.evaluation.shots import (
    check_count,
    check_support,
    named_support,
    read_shots,
)
from sklmeta.model_selection._split import Fold, TaskKFold

Metrics = dict[str, Scoring]


def few_shot_cross_validate(
    estimator: BaseEstimator,
    X: Any,
    y: ArrayLike | None = None,
    task: ArrayLike | None = None,
    *,
    shots: int | Sequence[int] | None = (0, 1, 5, 10),
    cv: Any = None,
    n_draws: int = 1,
    scoring: Scoring | Sequence[str] | Mapping[str, Scoring] = None,
    support: Any = "random",
    random_state: Any = 0,
    n_jobs: int | None = None,
    verbose: int = 0,
) -> pd.DataFrame:
    """Fit on some tasks, adapt to the others with a few rows, score their other rows.

    Each fold meta-trains a clone on its training tasks. For each held-out task, number
    of shots and draw, a copy is adapted to a support and predicts all of the task's
    other rows; those of a class that no training task has count as missed, with a
    warning. Metadata routing is enabled inside, so pipelines and searches work as they
    are.

    Parameters
    ----------
    estimator : estimator
        What `sklmeta.adapted` takes; it is cloned, never fitted.

    X : {array-like, data frame} of shape (n_samples, n_features) or TaskCollection
        Rows of all tasks, or a collection in place of `X`, `y` and `task`.

    y : array-like of shape (n_samples,), default=None
        Targets.

    task : array-like of shape (n_samples,), default=None
        Task of every row.

    shots : int, sequence of int or None, default=(0, 1, 5, 10)
        Support rows: per class when classes are a task's own, else in total. 0 judges
        the model as ``fit`` left it; it is passed over where classes are a task's own,
        as nothing can be predicted there. None is for a collection whose tasks bring
        their own supports (``is_support``): models are trained and judged with these.

    cv : int, splitter, iterable of (train, test) or None, default=None
        How the tasks are split; it receives the tasks as groups. None is
        ``TaskKFold(5)`` and an int ``TaskKFold(cv)``.

    n_draws : int, default=1
        Supports drawn per task. Where nothing is random (zero shots, or
        ``support="first"``) there is one draw.

    scoring : str, callable, sequence of str, dict or None, default=None
        None means accuracy for a classifier and R^2 for a regressor. Otherwise the
        name of a scikit-learn scorer, a scorer ``f(estimator, X, y)`` or a metric
        ``f(y_true, y_pred)``; or several of them.

    support : "random", "stratified", "first" or splitter, default="random"
        How the support is chosen: at random; "stratified", the same but of shared
        classes a row of each that the task has first, for which its labels must be
        known; first in row order; or the training rows of a scikit-learn splitter.

    random_state : int, RandomState instance or None, default=0
        Seed of the draws; None means 0. Models compared under one seed and one
        splitter are judged on the same supports.

    n_jobs : int, default=None
        Folds run at a time, as in scikit-learn.

    verbose : int, default=0
        Verbosity of joblib.

    Returns
    -------
    pandas.DataFrame
        One row per fold, task, draw and number of shots, with columns ``fold``,
        ``task``, ``draw``, ``shots`` ("fixed" where `shots` is None), ``n_support``,
        ``n_query``, the score (``score``, or one column per name in `scoring`),
        ``fit_time`` in seconds and ``adapt_time``, the seconds per task of adapting to
        the fold's tasks together and of predicting their queries. A score is NaN where
        the metric is undefined. For a regressor and ``scoring=None``, ``sse`` and
        ``sst`` hold the sums of squares, so that ``1 - df.sse.sum() / df.sst.sum()``
        over the rows of interest is the few-shot score of `FewShotScorer`. Of several
        targets they are ``sse0``, ``sst0``, ``sse1`` and so on. ``df.attrs["support"]``
        says how the supports were chosen.

    Raises
    ------
    TypeError
        If there is no estimator with ``adapt`` inside.
    ValueError
        If a fold has rows of one task on both sides, or if `shots` is None and there
        are no supports, or the other way about.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import Ridge
    >>> from sklmeta import PerTask
    >>> from sklmeta.model_selection import few_shot_cross_validate
    >>> rng = np.random.default_rng(0)
    >>> task = np.repeat(np.arange(10), 20)
    >>> X = rng.normal(size=(200, 1))
    >>> y = rng.normal(size=10)[task] * X[:, 0]
    >>> table = few_shot_cross_validate(
    ...     PerTask(Ridge(alpha=0.01)), X, y, task, shots=[1, 5]
    ... )
    >>> table.groupby("shots").size().tolist()
    [10, 10]
    >>> sums = table.groupby("shots")[["sse", "sst"]].sum()
    >>> (1 - sums.sse / sums.sst > 0.99).tolist()
    [False, True]
    """
    X, y, task, is_support = unpack_collection(X, y, task)
    if y is None or task is None:
        raise ValueError("few_shot_cross_validate needs y and the task of every row.")
    all_shots = _all_shots(shots, estimator, is_support)
    check_count("n_draws", n_draws, 1)
    check_support(support)
    X, targets, codes, labels = check_tasks(
        X, y, task, classes=not is_regressor(estimator), several=True
    )
    folds = make_folds(estimator, cv, X, targets, codes, labels)
    protocol = {
        "n_draws": n_draws,
        "support": support,
        "random_state": random_state,
        "tell": False,  # that is done for all folds at once
    }
    with sklearn.config_context(enable_metadata_routing=True):
        tables = Parallel(n_jobs=n_jobs, verbose=verbose)(
            delayed(evaluate_fold)(
                clone(estimator),
                (X, targets, labels[codes], is_support),
                fold,
                all_shots,
                _metrics(scoring),
                protocol,
            )
            for fold in folds
        )
    for i, table in enumerate(tables):
        table.insert(0, "fold", i)
    scores = pd.concat(tables, ignore_index=True)
    scores.attrs["support"] = "fixed" if shots is None else named_support(support)
    return scores


def _all_shots(
    shots: Any, estimator: BaseEstimator, is_support: NDArray[np.bool_] | None
) -> Sequence[int | None]:
    """Check `shots`, and that there are supports where there must be."""
    inner = inner_estimator(estimator)  # raises before any training starts
    if shots is None:
        if is_support is None:
            raise ValueError(
                "shots=None judges each task with the support it brings, and there are "
                "none: pass a TaskCollection with is_support, or a number of shots."
            )
        if inner is not estimator:
            raise ValueError(
                f"shots=None fits a collection, which a {type(estimator).__name__} "
                "does not take: pass the estimator without its container."
            )
        return [None]
    if is_support is not None:
        raise ValueError(
            "The tasks of this collection bring their own supports. Pass shots=None to "
            "judge with these, or *tasks.to_arrays() to draw supports anew."
        )
    return read_shots(shots)


def make_folds(
    estimator: BaseEstimator,
    cv: Any,
    X: Any,
    y: NDArray[Any],
    codes: NDArray[np.intp],
    labels: NDArray[Any],
) -> list[Fold]:
    if cv is None or isinstance(cv, Integral):
        cv = TaskKFold(5 if cv is None else cv)
    with warnings.catch_warnings():  # whether tasks are cut is looked at below
        warnings.filterwarnings("ignore", "The groups parameter is ignored")
        folds = list(check_cv(cv).split(X, y, codes))
    for i, (train, test) in enumerate(folds):
        shared = np.intersect1d(codes[train], codes[test])
        if len(shared):
            names = ", ".join(repr(name) for name in labels[shared[:5]].tolist())
            raise ValueError(
                f"cv puts rows of task(s) {names} both in the training and in the "
                f"held-out part of fold {i}. Split by task: cv=TaskKFold(5)."
            )
    known = np.ones(len(y), dtype=bool)
    if kind_of(inner_estimator(estimator)) == TaskKind.SHARED:
        for train, test in folds:
            known[test] &= np.isin(y[test], y[train])
    warn_of_unknown_classes(y, labels[codes], known)
    return folds


def _metrics(scoring: Any) -> Metrics:
    if scoring is None or isinstance(scoring, str) or callable(scoring):
        return {"score": scoring}
    if isinstance(scoring, Mapping):
        return dict(scoring)
    return {name: name for name in scoring}


def evaluate_fold(
    estimator: BaseEstimator,
    table: tuple[Any, NDArray[Any], NDArray[Any], NDArray[np.bool_] | None],
    fold: Fold,
    all_shots: Sequence[int | None],
    metrics: Metrics,
    protocol: dict[str, Any],
) -> pd.DataFrame:
    train, test = fold
    X, y, task, fixed = (_part(array, train) for array in table)
    start = time.perf_counter()
    if fixed is None:
        estimator.fit(X, y, task=task)
    else:
        estimator.fit(TaskCollection(X, y, task, is_support=fixed))
    fit_time = time.perf_counter() - start
    X, y, task, fixed = (_part(array, test) for array in table)
    if fixed is None:
        estimator, X = _prepared(estimator, X, metrics)
    if any(all_shots) and not getattr(
        inner_estimator(estimator), "shared_classes_", True
    ):
        all_shots = [shots for shots in all_shots if shots]
    parts = [
        _score_draw(draw, metrics)
        for shots in all_shots
        for draw in few_shot_predictions(
            estimator, X, y, task, shots=shots, is_support=fixed, **protocol
        )
    ]
    return pd.concat(parts, ignore_index=True).assign(fit_time=fit_time)


def _prepared(estimator: Any, X: Any, metrics: Metrics) -> tuple[Any, Any]:
    """Take the steps of a pipeline once, in place of once for every support.

    Scorers that are functions may look at X, and see it as it was given.
    """
    if isinstance(estimator, Pipeline) and not any(map(callable, metrics.values())):
        return estimator[-1], estimator[:-1].transform(X)
    return estimator, X


def _part(array: Any, rows: NDArray[np.intp]) -> Any:
    return None if array is None else _safe_indexing(array, rows)


def _score_draw(draw: Any, metrics: Metrics) -> pd.DataFrame:
    columns: dict[str, Any] = {
        "task": draw.labels,
        "draw": draw.draw,
        "shots": "fixed" if draw.shots is None else draw.shots,
        "n_support": draw.n_support,
        "n_query": draw.n_query,
    }
    for name, metric in metrics.items():
        columns[name] = task_scores(draw, metric)
    if list(metrics.values()) == [None] and is_regressor(draw.model):
        for name, sums in zip(("sse", "sst"), sums_of_squares(draw), strict=True):
            each = {f"{name}{k}": column for k, column in enumerate(sums.T)}
            columns |= {name: sums} if sums.ndim == 1 else each
    columns["adapt_time"] = draw.seconds / np.sum(draw.n_query > 0)
    return pd.DataFrame(columns)[draw.n_query > 0]
