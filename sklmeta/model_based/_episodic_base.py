"""What trees over episodes share, whether they predict numbers or classes."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import numbers
from dataclasses import field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, clone
from sklearn.utils import check_random_state, get_tags

from sklmeta._compat import HasMethods, Interval, StrOptions, _safe_indexing
from sklmeta.data.codes import IntArray
from sklmeta.data.hints import hints_on_columns
from sklmeta.data.scaling import Scaling
from sklmeta.data.table import Table
from sklmeta.data.validation import as_given
from sklmeta.estimator.base import AdaptableEstimator
from sklmeta.estimator.declared import DeclaredParameters
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

    support : {"random", "stratified", "first"}, default="random"
        How the support of a training episode is chosen: at random, of shared classes
        a row of each that the task has first ("stratified" is the same here), or
        first in row order.

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
        "support": [StrOptions({"random", "stratified", "first"})],
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
        pooled = self._pooled(table.n_shared_classes, seed)
        sizes = Sizes((low, high), self.n_query, self.n_rows, self.support, self.cv)
        with hints_on_columns(self):
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

    def _pooled(self, n_classes: int, seed: int) -> Any:
        if self.estimator is not None:
            return clone(self.estimator)
        # A tree for each of several classes: fewer steps cost as much, and are enough.
        steps = {"max_iter": 50} if n_classes > 2 else {}
        return self._histogram_boosting(random_state=seed, **steps)

    def _boosting(self, n_rows: int, n_classes: int, seed: int) -> Any:
        if self.estimator is not None:
            return clone(self.estimator)
        several = n_classes > 2
        return self._histogram_boosting(
            learning_rate=0.1 if several else 0.07,
            max_iter=50 if several else 150,
            max_leaf_nodes=15 if several else 31,
            max_features=0.3 if several else 0.5,
            min_samples_leaf=int(np.clip(n_rows // 200, 5, 100)),
            early_stopping=False,
            random_state=seed,
        )

    # Adapting and predicting --------------------------------------------------

    def _specialise(self, table: Table) -> Memory:
        return self._specialise_to(table._replace(y=self._scaled(table.y)))

    def _specialise_to(self, table: Table) -> Memory:
        seen = see(self._prior, table.X)
        tasks = table.codes, table.n_tasks, table.weight
        return remember(self._prior, seen, table.targets, *tasks)

    def _why_no_weights(self, weight: NDArray[np.float64]) -> str:
        return ""

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
