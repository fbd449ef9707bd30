"""Gradient boosting over episodes: trees that read what a support says of a row."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import ClassifierMixin, RegressorMixin
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
)

from sklmeta._compat import _safe_indexing
from sklmeta.data.codes import IntArray
from sklmeta.data.scaling import Scaling, check_precision
from sklmeta.estimator.base import AdaptableEstimator
from sklmeta.evaluation.probabilities import spread
from sklmeta.model_based._episode_features import Memory
from sklmeta.model_based._episodic_base import EpisodicBoosting
from sklmeta.model_based._support_statistics import Floats


class EpisodicBoostingRegressor(RegressorMixin, EpisodicBoosting):
    """Gradient boosting over episodes: trees correct the mixed model, row by row.

    Trees are the method of choice for tables, and do not know what to do with five
    labelled rows of a new task. Here they learn it: from many episodes, each a task
    with a few of its rows as support. A query row is described by itself, as it was
    given, and by what the support says of it: the posterior mean and deviation of a
    `MixedModelRegressor`; the target of the nearest support row, its distance, and
    kernel-weighted means of targets and of residuals; the prediction of a pooled model
    and its mean residual on the support; mean, deviation and number of the targets.
    The trees learn how far the posterior mean is off. One model serves all numbers of
    support rows, none included. Missing values and categories reach the trees as they
    are.

    Parameters
    ----------
    See `EpisodicBoosting` for `estimator`, ``n_shots=(1, 20)``, ``n_query=10``,
    ``n_rows=20000``, `support`, ``cv=5`` and `random_state`.

    Attributes
    ----------
    trust_ : float
        What the trees' correction is multiplied with, in [0, 1]: what would have been
        best on training tasks that they had not seen. With 0 it is the mixed model.

    tasks_ : ndarray of shape (n_tasks,)
        Labels of the tasks that `fit` saw.

    n_features_in_ : int
        Number of features seen during `fit`.

    See Also
    --------
    MixedModelRegressor : What the trees start from.
    Pooled : Boosting without episodes.

    Notes
    -----
    Mixed model and pooled model are fitted out of fold, by task: nothing of a task
    reaches the description of its own rows, or the trees would learn to trust what will
    not be there for a new one. For a new task they are those of all training tasks.

    In a distance between rows a column counts as much as randomised trees use it to
    predict deviations from a task's mean.

    One table is learned with folds of its rows in place of tasks.

    References
    ----------
    .. [1] D. H. Wolpert, "Stacked Generalization", Neural Networks, 1992.

    Examples
    --------
    >>> from sklmeta import EpisodicBoostingRegressor
    >>> from sklmeta.datasets import make_sinusoids
    >>> X, y, task = make_sinusoids(60, random_state=0)
    >>> old = task < 59
    >>> est = EpisodicBoostingRegressor(n_rows=2000, random_state=0)
    >>> est = est.fit(X[old], y[old], task=task[old])
    >>> est.adapt(X[~old][:10], y[~old][:10]).predict(X[~old][10:]).shape
    (10,)
    """

    score = AdaptableEstimator.score
    _histogram_boosting = HistGradientBoostingRegressor

    def _measure(self, y: NDArray[Any]) -> NDArray[np.float64]:
        y = y.astype(np.float64, copy=False)
        check_precision(y, self._dtype)
        self._y_scaling = Scaling.of(y)
        return self._scaled(y)

    def _scaled(self, y: NDArray[Any]) -> NDArray[np.float64]:
        scaled = np.empty(len(y))
        self._y_scaling.apply(y, out=scaled)
        return scaled

    def _fit_trees(
        self, X: Any, y: NDArray[Any], base: Floats, rows: IntArray, seed: int
    ) -> Any:
        return self._boosting(len(rows), 1, seed).fit(
            _safe_indexing(X, rows), (y - base)[rows]
        )

    def _ask(self, trees: Any, X: Any, base: Floats) -> Floats:
        return base + trees.predict(X)

    def _trust_in(self, guess: Floats, base: Floats, y: NDArray[Any]) -> float:
        step = guess - base
        square = float(step @ step)
        return float(np.clip(step @ (y - base) / square, 0, 1)) if square else 0.0

    def _predict(self, X: Any, codes: IntArray, model: Memory) -> NDArray[Any]:
        return self._y_scaling.undo(self._blend(X, codes, model)).astype(self._dtype)


class EpisodicBoostingClassifier(ClassifierMixin, EpisodicBoosting):
    """Gradient boosting over episodes: trees read what a support says of each class.

    As `EpisodicBoostingRegressor`, for classes of which all tasks speak. A query row is
    described by itself and, for every class, by its share of the support, the distance
    to its nearest support row and to their mean, kernel-weighted votes, and the
    probability that a pooled model gives it, as it is and shifted to the support's
    shares. One model serves all numbers of support rows, none included. Missing values
    and categories reach the trees as they are.

    Parameters
    ----------
    See `EpisodicBoosting` for `estimator`, ``n_shots=(1, 20)``, ``n_query=10``,
    ``n_rows=10000``, `support`, ``cv=5`` and `random_state`.

    Attributes
    ----------
    trust_ : float
        Weight of the trees in [0, 1]: what would have been best on training tasks that
        they had not seen. The rest is the pooled model's, shifted as by ``Pooled(...,
        support="offset")``.

    classes_ : ndarray of shape (n_classes,)
        Classes that `fit` saw.

    shared_classes_ : bool
        True.

    tasks_ : ndarray of shape (n_tasks,)
        Labels of the tasks that `fit` saw.

    n_features_in_ : int

    See Also
    --------
    ProtoNetClassifier : Also for classes of a task's own.
    Pooled : Boosting without episodes.

    Notes
    -----
    The pooled model is fitted out of fold [1]_, by task, as in the regressor.

    References
    ----------
    .. [1] D. H. Wolpert, "Stacked Generalization", Neural Networks, 1992.

    Examples
    --------
    >>> from sklmeta import EpisodicBoostingClassifier
    >>> from sklmeta.datasets import make_classification_tasks
    >>> X, y, task = make_classification_tasks(
    ...     20, n_way=2, shared_labels=True, random_state=0
    ... )
    >>> old = task < 19
    >>> est = EpisodicBoostingClassifier(n_rows=2000, random_state=0)
    >>> est = est.fit(X[old], y[old], task=task[old])
    >>> est.adapt(X[~old][:10], y[~old][:10]).predict_proba(X[~old][10:]).shape[1]
    2
    """

    n_rows: int = 10_000

    score = AdaptableEstimator.score
    _histogram_boosting = HistGradientBoostingClassifier
    _own_classes_remedy = (
        "use ProtoNetClassifier, RidgeHeadClassifier or another meta-learner with "
        "shared_classes=False."
    )

    def _fit_trees(
        self, X: Any, y: NDArray[Any], base: Floats, rows: IntArray, seed: int
    ) -> Any:
        if len(np.unique(y[rows])) < 2:
            return None
        trees = self._boosting(len(rows), base.shape[1], seed)
        return trees.fit(_safe_indexing(X, rows), y[rows])

    def _ask(self, trees: Any, X: Any, base: Floats) -> Floats:
        if trees is None:
            return base
        classes = np.arange(base.shape[1])
        return spread(trees.predict_proba(X), trees.classes_, classes)

    def _trust_in(self, guess: Floats, base: Floats, y: NDArray[Any]) -> float:
        rows, least = np.arange(len(y)), np.finfo(np.float32).eps
        ours, theirs = guess[rows, y], base[rows, y]
        shares = np.linspace(0, 1, 21)[:, None]
        gain = np.log(np.maximum(shares * ours + (1 - shares) * theirs, least))
        return float(shares[gain.mean(axis=1).argmax(), 0])

    def _probabilities(self, X: Any, codes: IntArray, model: Memory) -> NDArray[Any]:
        return self._blend(X, codes, model).astype(self._dtype)

    def _predict(self, X: Any, codes: IntArray, model: Memory) -> NDArray[Any]:
        return self.classes_[self._probabilities(X, codes, model).argmax(axis=1)]
