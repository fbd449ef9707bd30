"""Fitting and calibrating on the same tasks, by cross-validation over them."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import sklearn
from numpy.typing import ArrayLike, NDArray
from sklearn.base import clone, is_classifier
from sklearn.utils.parallel import Parallel, delayed

from sklmeta._compat import _safe_indexing
from sklmeta.data.kinds import TaskKind, kind_of
from sklmeta.data.validation import check_tasks
from sklmeta.estimator.base import AdaptableEstimator
from sklmeta.estimator.calibrating import Evidence, possible_shots
from sklmeta.evaluation.containers import inner_estimator, rebuilt
from sklmeta.evaluation.shots import SHOTS, check_count, check_support
from sklmeta.model_selection.validation import make_folds


def cross_calibrated(
    model: Any,
    X: Any,
    y: ArrayLike,
    task: ArrayLike,
    *,
    cv: Any = None,
    shots: int | Sequence[int] = SHOTS,
    n_draws: int = 5,
    support: Any = "random",
    n_jobs: int | None = None,
    random_state: Any = 0,
) -> Any:
    """Return a copy that is fitted to all tasks and calibrated on all of them.

    `calibrated` needs tasks that `fit` has not seen, and with forty tasks to hand there
    are none to spare. Here each task is judged by a copy that was fitted without it,
    in a cross-validation over tasks, and what all copies were found to be wrong by
    calibrates the model that is fitted to all tasks [1]_ [2]_. That is approximate
    where split-conformal calibration is not: the copies have seen fewer tasks than the
    model, so that intervals are a little too wide as a rule, and without the
    assumption that a few tasks more or less change the predictions of a model little,
    nothing is promised.

    Parameters
    ----------
    model : estimator
        What `sklmeta.adapted` takes; clones of it are fitted, with ``task`` given to
        whatever asks for it.

    X : {array-like, data frame} of shape (n_samples, n_features)
        Rows of all tasks.

    y : array-like of shape (n_samples,)
        Their targets.

    task : array-like of shape (n_samples,)
        Label of every row's task. An interval of coverage c needs c / (1 - c) tasks.

    cv : int, cross-validation splitter or None, default=None
        How tasks are held out: a number of folds, or a splitter that gets the tasks as
        groups. None means 5 folds. The model is fitted once more than there are folds.

    shots : int or sequence of int, default=(0, 1, 2, 5, 10, 20, 50)
        Numbers of support rows to calibrate for; those that no task can give are
        passed over. Per class when classes are a task's own, else in total.

    n_draws : int, default=5
        Supports drawn per task.

    support : "random", "stratified", "first" or splitter, default="random"
        How they are chosen, which has to be as in use. See `FewShotScorer`.

    n_jobs : int or None, default=None
        Folds fitted at the same time, by joblib.

    random_state : int, RandomState instance or None, default=0
        Seed of the draws; None means 0.

    Returns
    -------
    estimator
        The fitted and calibrated model; of a search, its calibrated
        ``best_estimator_``.

    Raises
    ------
    ValueError
        If `cv` puts a task on both sides, or if no task has rows to spare.

    See Also
    --------
    calibrated : Calibrates a fitted model on other tasks, which promises more.

    References
    ----------
    .. [1] V. Vovk, "Cross-conformal predictors", Annals of Mathematics and Artificial
       Intelligence, 2015.
    .. [2] R. F. Barber, E. J. Candès, A. Ramdas and R. J. Tibshirani, "Predictive
       inference with the jackknife+", Annals of Statistics, 2021. Their CV+ predicts
       with the models of all folds; here the model fitted to all tasks predicts.

    Examples
    --------
    >>> from sklmeta import BayesianLinearRegressor
    >>> from sklmeta.calibration import cross_calibrated
    >>> from sklmeta.datasets import make_linear_tasks
    >>> X, y, task = make_linear_tasks(20, n_rows=20, random_state=0)
    >>> model = BayesianLinearRegressor(
    ...     hidden_layer_sizes=(), max_iter=100, random_state=0
    ... )
    >>> model = cross_calibrated(model, X, y, task, shots=5)
    >>> X_new, y_new, _ = make_linear_tasks(1, n_rows=20, random_state=1)
    >>> model.adapt(X_new[:5], y_new[:5]).predict_interval(X_new[5:]).shape
    (15, 2)
    """
    # All that can be wrong is found before any training starts.
    inner = inner_estimator(model)
    if is_classifier(inner):
        _ = inner.predict_proba
    classes = is_classifier(inner)
    X, targets, codes, labels = check_tasks(X, y, task, classes=classes)
    table = (X, targets, labels[codes])
    options = {
        "shots": possible_shots(shots, codes, own=kind_of(inner) == TaskKind.OWN),
        "n_draws": n_draws,
        "support": support,
        "random_state": random_state,
        "tell": False,  # that is done for all folds at once
    }
    check_count("n_draws", n_draws, 1)
    check_support(support)
    folds = make_folds(model, cv, X, targets, codes, labels)
    with sklearn.config_context(enable_metadata_routing=True):
        found = Parallel(n_jobs=n_jobs)(
            delayed(_judge_fold)(clone(model), table, *fold, options) for fold in folds
        )
        evidence = _pool(found)
        fitted = clone(model).fit(X, targets, task=labels[codes])

    def calibrate(estimator: AdaptableEstimator, rows: Any) -> Any:
        estimator._calibrate_from(evidence)
        return estimator

    return rebuilt(fitted, calibrate, *table, "cross_calibrated()")


def _judge_fold(
    model: Any,
    table: tuple[Any, NDArray[Any], NDArray[Any]],
    train: NDArray[np.intp],
    held: NDArray[np.intp],
    options: dict[str, Any],
) -> Evidence:
    """Fit to some tasks and judge predictions of the others."""
    X, y, task = (_safe_indexing(array, train) for array in table)
    model.fit(X, y, task=task)
    found: Evidence = {}

    def judge(estimator: AdaptableEstimator, rows: Any) -> Any:
        found.update(estimator._gather_evidence(rows.X, rows.y, rows.task, **options))
        return estimator

    X, y, task = (_safe_indexing(array, held) for array in table)
    rebuilt(model, judge, X, y, task, "cross_calibrated()")
    return found


def _pool(found: list[Evidence]) -> Evidence:
    """Put the folds' evidence together, tasks numbered through."""
    pooled: Evidence = {}
    for k in sorted(set().union(*found)):
        parts, first = [], 0
        for *values, codes in (fold[k] for fold in found if k in fold):
            parts.append((*values, codes + first))
            first += int(codes.max(initial=-1)) + 1
        pooled[k] = tuple(_stack(column) for column in zip(*parts, strict=True))
    return pooled


def _stack(arrays: tuple[NDArray[Any], ...]) -> NDArray[Any]:
    """Concatenate; classes that the tasks of another fold have are impossible here."""
    if arrays[0].ndim == 1:
        return np.concatenate(arrays)
    width = max(array.shape[1] for array in arrays)
    return np.concatenate(
        [np.pad(array, ((0, 0), (0, width - array.shape[1]))) for array in arrays]
    )
