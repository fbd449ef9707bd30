"""Calibrating what is inside a pipeline, and judging intervals."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import sklearn
from numpy.typing import ArrayLike, NDArray
from sklearn.base import is_regressor
from sklearn.utils import column_or_1d

from sklmeta.estimator.base import AdaptableEstimator
from sklmeta.evaluation.conformal import winkler_score
from sklmeta.evaluation.containers import inner_estimator, inner_rows, rebuilt
from sklmeta.evaluation.few_shot import few_shot_predictions
from sklmeta.evaluation.shots import SHOTS, read_shots


def calibrated(
    model: Any,
    X: Any,
    y: ArrayLike,
    task: ArrayLike,
    *,
    shots: int | Sequence[int] = SHOTS,
    n_draws: int = 5,
    support: Any = "random",
    random_state: Any = 0,
) -> Any:
    """Return a copy of a fitted model that is calibrated; leave `model` alone.

    It is to ``calibrate`` what `sklmeta.adapted` is to ``adapt``, and sees through the
    same containers: the fitted steps of a pipeline transform the rows.

    Parameters
    ----------
    model : estimator
        A fitted model that `sklmeta.adapted` takes.

    X : {array-like, data frame} of shape (n_samples, n_features)
        Rows of the calibration tasks, which `fit` must not have seen.

    y : array-like of shape (n_samples,)
        Their targets.

    task : array-like of shape (n_samples,)
        Label of every row's task.

    shots : int or sequence of int, default=(0, 1, 2, 5, 10, 20, 50)
        Numbers of support rows to calibrate for.

    n_draws : int, default=5
        Supports drawn per task.

    support : "random", "stratified", "first" or splitter, default="random"
        How they are chosen, which has to be as in use. See `FewShotScorer`.

    random_state : int, RandomState instance or None, default=0
        Seed of the draws; None means 0.

    Returns
    -------
    estimator
        The calibrated copy; of a search, the calibrated ``best_estimator_``.

    Examples
    --------
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from sklmeta import BayesianLinearRegressor, adapted
    >>> from sklmeta.calibration import calibrated, predict_interval
    >>> from sklmeta.datasets import make_linear_tasks
    >>> X, y, task = make_linear_tasks(40, n_rows=20, random_state=0)
    >>> model = BayesianLinearRegressor(
    ...     hidden_layer_sizes=(), max_iter=100, random_state=0
    ... )
    >>> pipe = make_pipeline(StandardScaler(), model)
    >>> old, held, new = task < 25, (task >= 25) & (task < 39), task == 39
    >>> pipe = pipe.fit(X[old], y[old], bayesianlinearregressor__task=task[old])
    >>> pipe = calibrated(pipe, X[held], y[held], task[held])
    >>> pipe = adapted(pipe, X[new][:5], y[new][:5])
    >>> predict_interval(pipe, X[new][5:], coverage=0.8).shape
    (15, 2)
    """

    def change(estimator: AdaptableEstimator, rows: Any) -> Any:
        return estimator.calibrate(
            rows.X,
            rows.y,
            rows.task,
            shots=shots,
            n_draws=n_draws,
            support=support,
            random_state=random_state,
        )

    return rebuilt(model, change, X, y, task, "calibrated()")


def predict_interval(
    model: Any, X: Any, coverage: float = 0.9, task: ArrayLike | None = None
) -> NDArray[Any]:
    """Predict intervals by a calibrated model, also through scikit-learn's containers.

    Parameters
    ----------
    model : estimator
        A calibrated regressor, alone or in a container that `calibrated` takes.

    X : {array-like, data frame} of shape (n_samples, n_features)
        Rows to predict.

    coverage : float, default=0.9
        Probability that a target lies in its interval.

    task : array-like of shape (n_samples,), default=None
        Label of every row's task, after adapting to many tasks.

    Returns
    -------
    ndarray of shape (n_samples, 2)
        Lower and upper ends, in the units of y. A target that was transformed is
        transformed back, which has to be monotone.

    Raises
    ------
    TypeError
        If `model` is no regressor that can be calibrated.

    Examples
    --------
    >>> from sklmeta import MixedModelRegressor
    >>> from sklmeta.calibration import calibrated, predict_interval
    >>> from sklmeta.datasets import make_linear_tasks
    >>> X, y, task = make_linear_tasks(n_tasks=60, n_rows=15, random_state=0)
    >>> model = MixedModelRegressor().fit(X[:450], y[:450], task=task[:450])
    >>> model = calibrated(model, X[450:], y[450:], task[450:], shots=5)
    >>> predict_interval(model.adapt(X[:5], y[:5]), X[5:15]).shape
    (10, 2)
    """
    inner, rows, undo = inner_rows(model, X, task)
    if not hasattr(inner, "predict_interval"):
        raise TypeError(
            f"{type(inner).__name__} is a classifier, and only regressors predict "
            "intervals."
        )
    ends = inner.predict_interval(rows, coverage=coverage, task=task)
    return np.sort(np.column_stack([undo(end) for end in ends.T]), axis=1)


def predict_quantiles(
    model: Any, X: Any, q: ArrayLike, task: ArrayLike | None = None
) -> NDArray[Any]:
    """Predict quantiles, also through scikit-learn's containers.

    They are those of the model's own predictive distribution, calibrated or not.

    Parameters
    ----------
    model : estimator
        A regressor with a predictive distribution, alone or in a container that
        `calibrated` takes.

    X : {array-like, data frame} of shape (n_samples, n_features)
        Rows to predict.

    q : float or array-like of shape (n_q,)
        Probabilities between 0 and 1.

    task : array-like of shape (n_samples,), default=None
        Label of every row's task, after adapting to many tasks.

    Returns
    -------
    ndarray of shape (n_samples,) or (n_samples, n_q)
        In the units of y. A target that was transformed is transformed back, which has
        to be by an increasing function.

    Raises
    ------
    TypeError
        If `model` has no predictive distribution.

    Examples
    --------
    >>> from sklmeta import MixedModelRegressor
    >>> from sklmeta.calibration import predict_quantiles
    >>> from sklmeta.datasets import make_linear_tasks
    >>> X, y, task = make_linear_tasks(n_tasks=30, n_rows=15, random_state=0)
    >>> model = MixedModelRegressor().fit(X, y, task=task).adapt(X[:5], y[:5])
    >>> predict_quantiles(model, X[5:15], [0.1, 0.5, 0.9]).shape
    (10, 3)
    """
    inner = inner_estimator(model)
    if not hasattr(inner, "predict_quantiles"):
        raise TypeError(
            f"{type(inner).__name__} has no predictive distribution to take quantiles "
            "of. calibrate it and ask predict_interval, or take a model with "
            "return_std, such as MixedModelRegressor or BayesianLinearRegressor."
        )
    inner, rows, undo = inner_rows(model, X, task)
    values = inner.predict_quantiles(rows, q, task=task)
    if values.ndim == 1:
        return undo(values)
    return np.column_stack([undo(column) for column in values.T])


def few_shot_intervals(
    model: Any,
    X: Any,
    y: ArrayLike,
    task: ArrayLike,
    *,
    shots: int | Sequence[int],
    coverage: float = 0.9,
    n_draws: int = 1,
    support: Any = "random",
    random_state: Any = 0,
) -> pd.DataFrame:
    """Judge a calibrated model's intervals on new tasks: coverage, width and score.

    Parameters
    ----------
    model : estimator
        A calibrated regressor, alone or in a container that `calibrated` takes.

    X : {array-like, data frame} of shape (n_samples, n_features)
        Rows of tasks that neither fitting nor calibration saw.

    y : array-like of shape (n_samples,)
        Their targets.

    task : array-like of shape (n_samples,)
        Label of every row's task.

    shots : int or sequence of int
        Numbers of support rows.

    coverage : float, default=0.9
        Coverage to ask for.

    n_draws : int, default=1
        Supports drawn per task.

    support : "random", "stratified", "first" or splitter, default="random"
        How the support is chosen.

    random_state : int, RandomState instance or None, default=0
        Seed of the draws; None means 0.

    Returns
    -------
    DataFrame
        A row per task, draw and number of shots, with columns ``task``, ``shots``,
        ``draw``, ``n_query``, and the means over the task's query rows of ``covered``,
        ``width`` and ``winkler``: Winkler's score, the width plus
        ``2 / (1 - coverage)`` times the distance of a target outside.

    Raises
    ------
    TypeError
        If `model` is no regressor.

    Examples
    --------
    >>> from sklmeta import MixedModelRegressor
    >>> from sklmeta.calibration import calibrated, few_shot_intervals
    >>> from sklmeta.datasets import make_linear_tasks
    >>> X, y, task = make_linear_tasks(n_tasks=60, n_rows=15, random_state=0)
    >>> model = MixedModelRegressor().fit(X[:300], y[:300], task=task[:300])
    >>> model = calibrated(model, X[300:600], y[300:600], task[300:600], shots=5)
    >>> table = few_shot_intervals(model, X[600:], y[600:], task[600:], shots=5)
    >>> bool(table["covered"].mean() > 0.8)
    True
    """
    if not is_regressor(model):
        raise TypeError("Only regressors predict intervals.")
    targets = column_or_1d(y)
    parts = []
    for k in read_shots(shots):
        draws = few_shot_predictions(
            model,
            X,
            targets,
            task,
            shots=k,
            n_draws=n_draws,
            support=support,
            random_state=random_state,
        )
        for draw in draws:
            with sklearn.config_context(enable_metadata_routing=True):
                ends = predict_interval(
                    draw.model, draw.X_query, coverage, **draw.metadata
                )
            truth = np.asarray(draw.y_true, dtype=np.float64)
            inside = (ends[:, 0] <= truth) & (truth <= ends[:, 1])
            rows = pd.DataFrame(
                {
                    "task": draw.labels[draw.codes],
                    "shots": k,
                    "draw": draw.draw,
                    "covered": inside.astype(float),
                    "width": ends[:, 1] - ends[:, 0],
                    "winkler": winkler_score(truth, ends, coverage),
                }
            )
            keys = ["task", "shots", "draw"]
            means = rows.groupby(keys, sort=False).mean()
            means.insert(0, "n_query", rows.groupby(keys, sort=False).size())
            parts.append(means.reset_index())
    return pd.concat(parts, ignore_index=True)
