"""Gradient boosting over episodes: trees that read what a support says of a row."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import numbers
from dataclasses import field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin, clone
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
)
from sklearn.utils import check_random_state, get_tags

from sklmeta._compat import HasMethods, Interval, StrOptions, _safe_indexing
from sklmeta.data.codes import IntArray
from sklmeta.data.scaling import Scaling, check_precision
from sklmeta.data.validation import Table, as_given
from sklmeta.estimator.base import AdaptableEstimator
from sklmeta.estimator.declared import DeclaredParameters
from sklmeta.evaluation.probabilities import spread
from sklmeta.model_based._episode_features import (
    Memory,
    Prior,
    beside,
    describe,
    fit_prior,
    remember,
    see,
)
from sklmeta.model_based._fold_episodes import (
    Described,
    Sizes,
    described_episodes,
    without_empty,
)
from sklmeta.model_based._support_statistics import Floats

TRUST_FOLDS = 3
"""What the trees are worth is judged on thirds of the tasks."""


class EpisodicBoosting(DeclaredParameters, AdaptableEstimator):
    """What the regressor and the classifier share.

    Parameters
    ----------
    estimator : estimator, default=None
        What learns from the rows of episodes, and from the rows of all tasks pooled.
        It must use all columns that it is given. None is scikit-learn's histogram
        gradient boosting, on episodes with large leaves: half a percent of the rows.

    n_shots : int or (int, int), default=(1, 20)
        Support rows of a training episode. A range is inclusive, and ends at half a
        task's rows. One episode in ten has no support in any case.

    n_query : int, default=10
        Query rows of a training episode, at most.

    n_rows : int, default=20000
        Query rows of all training episodes together, about.

    support : {"random", "first"}, default="random"
        How the support of a training episode is chosen: at random, or first in row
        order.

    cv : int, default=5
        Folds of tasks. Rows of a fold are described by what the others taught.

    random_state : int, RandomState instance or None, default=None
        Seed of episodes, folds and trees.
    """

    estimator: BaseEstimator | None = None
    n_shots: int | tuple[int, int] = (1, 20)
    n_query: int = 10
    n_rows: int = 20_000
    support: str = "random"
    cv: int = 5
    random_state: Any = None

    _parameter_constraints = {
        "estimator": [HasMethods(["fit", "predict"]), None],
        "n_shots": [Interval(numbers.Integral, 1, None, closed="left"), tuple, list],
        "n_query": [Interval(numbers.Integral, 1, None, closed="left")],
        "n_rows": [Interval(numbers.Integral, 1, None, closed="left")],
        "support": [StrOptions({"random", "first"})],
        "cv": [Interval(numbers.Integral, 2, None, closed="left")],
        "random_state": ["random_state"],
    }

    _prior: Prior = field(init=False)
    _trees: Any = field(init=False)
    _y_scaling: Scaling = field(init=False)
    _dtype: str = field(init=False)
    trust_: float = field(init=False)

    # Fitting ------------------------------------------------------------------

    def _learn(self, table: Table) -> Memory:
        low, high = np.broadcast_to(np.asarray(self.n_shots), 2).tolist()
        if not 1 <= low <= high:
            raise ValueError(f"n_shots={self.n_shots} must be (low, high), low >= 1.")
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        is_single = getattr(table.X, "dtype", None) == np.float32
        self._dtype = "float32" if is_single else "float64"
        table = table._replace(y=self._measure(table.y))
        pooled = self._pooled(seed)
        sizes = Sizes((low, high), self.n_query, self.n_rows, self.support, self.cv)
        found = described_episodes(pooled, table, sizes, seed)
        self._prior = fit_prior(pooled, table, table.n_shared_classes, seed)
        self._trees, self.trust_ = None, 0.0
        if found is not None:
            self._boost(table, found, seed)
        known = np.arange(len(table.y) if table.one_table else 0)
        return self._specialise_to(table.part(known)._replace(labels=table.labels[:1]))

    def _boost(self, table: Table, found: Described, seed: int) -> None:
        """Fit the trees, and learn from folds of tasks how far they are right."""
        y = table.targets[found.rows]
        fold, guess = found.fold % TRUST_FOLDS, found.base.copy()
        statistics = without_empty(found.statistics, fold)
        X = self._beside(_safe_indexing(table.X, found.rows), statistics)
        for left in range(int(fold.max()) + 1 if fold.any() else 0):
            rest, out = np.flatnonzero(fold != left), np.flatnonzero(fold == left)
            trees = self._fit_trees(X, y, found.base, rest, seed)
            guess[out] = self._ask(trees, _safe_indexing(X, out), found.base[out])
        self.trust_ = self._trust_in(guess, found.base, y)
        self._trees = self._fit_trees(X, y, found.base, np.arange(len(y)), seed)

    def _pooled(self, seed: int) -> Any:
        if self.estimator is not None:
            return clone(self.estimator)
        return self._histogram_boosting(random_state=seed)

    def _boosting(self, n_rows: int, n_classes: int, seed: int) -> Any:
        if self.estimator is not None:
            return clone(self.estimator)
        several = n_classes > 2  # a tree each
        return self._pooled(seed).set_params(
            learning_rate=0.1 if several else 0.07,
            max_iter=60 if several else 150,
            max_leaf_nodes=15 if several else 31,
            max_features=0.5,
            min_samples_leaf=int(np.clip(n_rows // 200, 5, 100)),
            early_stopping=False,
        )

    # Adapting and predicting --------------------------------------------------

    def _specialise(self, table: Table) -> Memory:
        return self._specialise_to(table._replace(y=self._scaled(table.y)))

    def _specialise_to(self, table: Table) -> Memory:
        seen = see(self._prior, table.X)
        return remember(self._prior, seen, table.targets, table.codes, table.n_tasks)

    def _blend(self, X: Any, codes: IntArray, memory: Memory) -> Floats:
        seen = see(self._prior, X)
        base, statistics = describe(self._prior, memory, seen, codes)
        if self._trees is None or not self.trust_:
            return base
        guess = self._ask(self._trees, self._beside(X, statistics), base)
        return base + self.trust_ * (guess - base)

    def _beside(self, X: Any, statistics: Floats) -> Any:
        if not self._takes_gaps:
            statistics = np.nan_to_num(statistics, nan=0.0)
        return beside(X, statistics)

    @property
    def _takes_gaps(self) -> bool:
        return self.estimator is None or get_tags(self.estimator).input_tags.allow_nan

    def _options(self, X: Any) -> dict[str, Any]:
        if hasattr(X, "columns"):
            return as_given(X)
        finite = "allow-nan" if self._takes_gaps else True
        return {**super()._options(X), "ensure_all_finite": finite}

    @classmethod
    def _restore(cls, model: Any) -> Memory:
        return Memory.restore(model)

    def __setstate__(self, state: dict[str, Any]) -> None:
        state = dict(state)
        if isinstance(state.get("_prior"), dict):
            state["_prior"] = Prior.restore(state["_prior"])
        if isinstance(state.get("_y_scaling"), dict):
            state["_y_scaling"] = Scaling(**state["_y_scaling"])
        super().__setstate__(state)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = self._takes_gaps
        return tags

    # What numbers and classes do in their own ways ----------------------------

    _histogram_boosting: ClassVar[Any]

    def _fit_trees(
        self, X: Any, y: NDArray[Any], base: Floats, rows: IntArray, seed: int
    ) -> Any:
        raise NotImplementedError(f"{type(self).__name__} lacks _fit_trees.")

    def _ask(self, trees: Any, X: Any, base: Floats) -> Floats:
        raise NotImplementedError(f"{type(self).__name__} lacks _ask.")

    def _trust_in(self, guess: Floats, base: Floats, y: NDArray[Any]) -> float:
        raise NotImplementedError(f"{type(self).__name__} lacks _trust_in.")

    def _measure(self, y: NDArray[Any]) -> NDArray[Any]:
        return y

    def _scaled(self, y: NDArray[Any]) -> NDArray[Any]:
        return y


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
    The pooled model is fitted out of fold, by task, as in the regressor.

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
