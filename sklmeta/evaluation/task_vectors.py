"""Which tasks belong together, by what a model knows once it is adapted to each."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import sklearn
from numpy.typing import ArrayLike, NDArray
from scipy.spatial.distance import pdist, squareform
from sklearn.base import is_classifier
from sklearn.utils import check_consistent_length

from sklmeta._compat import _num_samples, _safe_indexing
from sklmeta.data.codes import check_task, group_rows
from sklmeta.episodes.draw import PADDING, draw_distinct
from sklmeta.evaluation.containers import adapted, inner_estimator

MAX_ROWS = 256
"""Rows at which the tasks' models are compared, unless they are given."""

PREDICTIONS_PER_CALL = 2**17


def task_embedding(
    model: Any,
    X: Any,
    y: ArrayLike | None,
    task: ArrayLike,
    *,
    rows: Any = None,
) -> pd.DataFrame:
    """Describe every task by a vector: what the model has become for it.

    With regression and shared classes the model is adapted to each task, and a task's
    vector is what its model predicts for the same rows. So tasks are alike whose rows
    would be predicted alike, whatever the learner keeps of a task: weights, prototypes
    or the rows themselves, none of which need be comparable from one coordinate, or one
    task, to the next.

    Classes of a task's own do not correspond between tasks, and neither do predictions.
    There a task's vector is the mean of its rows in the model's embedding, for models
    that have one (``transform``); it does not depend on `y`. The embedding of
    ``SiameseClassifier(pairs="task")`` is made to tell tasks apart.

    Parameters
    ----------
    model : estimator
        A fitted estimator that has ``adapt``, or a fitted container with one inside, as
        `adapted` takes it. It is left alone.

    X : {array-like, data frame} of shape (n_samples, n_features)
        Labelled rows of the tasks, seen by `fit` or not.

    y : array-like of shape (n_samples,) or None
        Their classes, or targets. None where it is not needed.

    task : array-like of shape (n_samples,)
        Label of every row's task.

    rows : {array-like, data frame} of shape (n_rows, n_features), default=None
        Rows for which predictions are compared. None takes up to 256 of `X`, spread
        evenly over the tasks and always the same. Vectors of two calls can be compared
        if `rows` was the same.

    Returns
    -------
    DataFrame of shape (n_tasks, n_dimensions)
        One row for each task, with the task's label as index, in sorted order.
        Euclidean distances between rows are those of `task_distance`.

    Raises
    ------
    ValueError
        If classes are a task's own and the model has no embedding.

    See Also
    --------
    task_distance : Distances between the tasks.

    Examples
    --------
    >>> from sklearn.decomposition import PCA
    >>> from sklmeta import BayesianLinearRegressor, task_embedding
    >>> from sklmeta.datasets import make_linear_tasks
    >>> X, y, task = make_linear_tasks(20, random_state=0)
    >>> est = BayesianLinearRegressor(max_iter=20, random_state=0)
    >>> embedding = task_embedding(est.fit(X, y, task=task), X, y, task)
    >>> PCA(2).fit_transform(embedding).shape
    (20, 2)
    """
    check_consistent_length(X, task)
    codes, labels = check_task(task, _num_samples(task))
    inner = inner_estimator(model)
    if is_classifier(inner) and not getattr(inner, "shared_classes_", True):
        vectors = _mean_embedding(model, inner, X, codes, len(labels))
    else:
        if rows is None:
            rows = _safe_indexing(X, _spread_rows(codes, len(labels)))
        vectors = _predictions(model, X, y, task, labels, rows)
    return pd.DataFrame(vectors, index=pd.Index(labels, name="task"))


def task_distance(
    model: Any,
    X: Any,
    y: ArrayLike | None,
    task: ArrayLike,
    *,
    rows: Any = None,
) -> pd.DataFrame:
    """Tell how far every two tasks are from each other.

    For regression the distance is the root mean square of the difference between the
    two tasks' models, in the units of y; for shared classes that of the Hellinger
    distance between their probabilities, which is between 0 and 1; for classes of a
    task's own the Euclidean distance between the tasks' means in the model's embedding.

    Parameters
    ----------
    model : estimator
        As in `task_embedding`.

    X : {array-like, data frame} of shape (n_samples, n_features)
        Labelled rows of the tasks.

    y : array-like of shape (n_samples,) or None
        Their classes, or targets.

    task : array-like of shape (n_samples,)
        Label of every row's task.

    rows : {array-like, data frame} of shape (n_rows, n_features), default=None
        Rows for which predictions are compared, as in `task_embedding`.

    Returns
    -------
    DataFrame of shape (n_tasks, n_tasks)
        Symmetric, with the tasks' labels as index and columns; what scikit-learn's
        clusterers take with ``metric="precomputed"``.

    Raises
    ------
    ValueError
        If classes are a task's own and the model has no embedding.

    See Also
    --------
    task_embedding : The vectors between which these are the distances.

    Examples
    --------
    Which table is unlike all others?

    >>> from sklmeta import BayesianLinearRegressor, task_distance
    >>> from sklmeta.datasets import make_linear_tasks
    >>> X, y, task = make_linear_tasks(20, random_state=0)
    >>> y[task == 13] *= -10
    >>> est = BayesianLinearRegressor(max_iter=20, random_state=0)
    >>> distance = task_distance(est.fit(X, y, task=task), X, y, task)
    >>> int(distance.median().idxmax())
    13
    """
    vectors = task_embedding(model, X, y, task, rows=rows)
    distance = squareform(pdist(vectors.to_numpy()))
    return pd.DataFrame(distance, index=vectors.index, columns=vectors.index)


def _spread_rows(codes: NDArray, n_tasks: int) -> NDArray:
    """At most `MAX_ROWS` rows, drawn evenly over the tasks."""
    rng = np.random.default_rng(0)
    order, offsets = group_rows(codes, n_tasks)
    tasks = rng.permutation(n_tasks)[:MAX_ROWS]
    drawn = draw_distinct(np.diff(offsets)[tasks], MAX_ROWS // len(tasks), rng)
    positions = (drawn + offsets[tasks][:, None])[drawn != PADDING]
    return np.sort(order[positions])


def _predictions(
    model: Any, X: Any, y: Any, task: Any, labels: NDArray, rows: Any
) -> NDArray:  # shape: (n_tasks, n_rows * n_outputs)
    """What each task's model predicts, scaled so that Euclidean distances are means."""
    n_rows = _num_samples(rows)
    per_call = max(1, PREDICTIONS_PER_CALL // n_rows)
    parts = []
    with sklearn.config_context(enable_metadata_routing=True):
        model = adapted(model, X, y, task=task)
        for start in range(0, len(labels), per_call):
            some = labels[start : start + per_call]
            repeated = _safe_indexing(rows, np.tile(np.arange(n_rows), len(some)))
            whose = np.repeat(some, n_rows)
            if is_classifier(model):
                # Euclidean between roots is Hellinger's distance, but for the factor.
                outputs = np.sqrt(model.predict_proba(repeated, task=whose) / 2)
            else:
                outputs = model.predict(repeated, task=whose)
            parts.append(np.reshape(outputs, (len(some), -1)))
    return np.concatenate(parts) / np.sqrt(n_rows)


def _mean_embedding(
    model: Any, inner: Any, X: Any, codes: NDArray, n_tasks: int
) -> NDArray:  # shape: (n_tasks, n_embedding)
    if not hasattr(inner, "transform"):
        raise ValueError(
            f"The classes of this {type(inner).__name__} are a task's own, so what "
            "it predicts for one task says nothing about another, and it has no "
            "embedding (transform) in which the tasks' rows could be compared. Use a "
            "metric-based learner, or SiameseClassifier(pairs='task')."
        )
    embedded = np.asarray(model.transform(X))
    sums = np.zeros((n_tasks, embedded.shape[1]), embedded.dtype)
    np.add.at(sums, codes, embedded)
    return sums / np.bincount(codes, minlength=n_tasks)[:, None]
