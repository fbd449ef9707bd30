"""The nearest class mean in the features as they are."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax
from sklearn.utils import ClassifierTags

from sklmeta.baselines._base import BaselineEstimator
from sklmeta.data.codes import IntArray, group_means
from sklmeta.data.kinds import TaskKind
from sklmeta.data.scaling import Scaling
from sklmeta.data.table import Table

MAX_ABS = 1e150
"""Rows are cut here, so that squared distances stay finite."""

BLOCK_NUMBERS = 2**20
"""Differences held at once, at most, unless one row has more."""


class Cells(NamedTuple):
    """The centroids of all tasks, task by task."""

    centroids: NDArray[np.float64]  # shape: (n_cells, n_features)
    classes: IntArray  # shape: (n_cells,); index into `classes_`, rising within a task
    first: IntArray  # shape: (n_tasks,); where a task's cells begin
    ways: IntArray  # shape: (n_tasks,); how many it has


class NearestCentroidBaseline(BaselineEstimator):
    """Nearest class mean on raw features: a prototypical network without the network.

    `adapt` computes the mean of each class's support rows, and `predict` gives a row
    the class of the nearest. All tasks go at once, without fitting a model to each.

    Parameters
    ----------
    standardize : bool, default=True
        Whether to standardise X by the training rows, as the meta-learners do.

    shared_classes : bool, default=True
        Whether all tasks speak of the same classes. Then a class that a support lacks
        keeps the mean of its training rows, and so do all classes of a task of which
        nothing is known. Else a task has the classes of its support alone, and
        `predict` needs `adapt` first.

    Attributes
    ----------
    tasks_ : ndarray of shape (n_tasks,)
        Labels of the tasks that `fit` saw.

    classes_ : ndarray of shape (n_classes,)
        Classes that `fit` saw; with classes of a task's own, those of the tasks adapted
        to.

    shared_classes_ : bool
        What was used.

    variance_ : float
        Variance of a feature within a class of a task, averaged over the features:
        the scale of the probabilities.

    n_features_in_ : int

    See Also
    --------
    ProtoNetClassifier : The nearest class mean in a learned embedding.
    PerTask : Any scikit-learn classifier, fitted to each task.

    Notes
    -----
    The probability of class c is proportional to ``exp(-d_c / (2 v))`` with d_c the
    squared distance to its mean, divided by the number of features, and v the
    `variance_`. Were the features independent, the distance would not be divided; as
    they seldom are, the probabilities would be far too sure of themselves.

    Features count alike, whether they tell classes apart or not: with many that do
    not, an embedding is worth learning.

    References
    ----------
    Wang, Chao, Weinberger and van der Maaten, "SimpleShot: Revisiting Nearest-Neighbor
    Classification for Few-Shot Learning", 2019.

    Examples
    --------
    >>> from sklmeta import NearestCentroidBaseline
    >>> from sklmeta.datasets import make_classification_tasks
    >>> X, y, task = make_classification_tasks(40, random_state=0)
    >>> old = task < 39
    >>> model = NearestCentroidBaseline(shared_classes=False)
    >>> model = model.fit(X[old], y[old], task=task[old])
    >>> model = model.adapt(X[~old][:25], y[~old][:25])
    >>> model.predict(X[~old][25:]).shape
    (25,)
    """

    _parameter_constraints = {
        "standardize": ["boolean"],
        "shared_classes": ["boolean"],
    }

    def __init__(self, *, standardize: bool = True, shared_classes: bool = True):
        self.standardize = standardize
        self.shared_classes = shared_classes

    def _learn(self, table: Table) -> Cells | None:
        scales = self.standardize and table.X.ndim == 2
        scaling = Scaling.of(table.X) if scales else Scaling.identity()
        self._scaling = scaling.mean, scaling.scale
        Z = self._scaled(table.X)
        own, cell = _cells(Z, table.y, table.codes, table.n_tasks, self.classes_)
        self.variance_ = _variance(Z - own.centroids[cell], len(own.centroids))
        self._pooled: NDArray[np.float64] | None = None
        if table.kind == TaskKind.SHARED:
            one = np.zeros_like(table.codes)
            pooled, _ = _cells(Z, table.y, one, 1, self.classes_)
            self._pooled = pooled.centroids
            return pooled
        return own if table.one_table else None

    def _specialise(self, table: Table) -> Cells:
        assert table.classes is not None
        n_tasks, n_classes = table.n_tasks, len(table.classes)
        Z = self._scaled(table.X)
        rows = Z, table.y, table.codes, n_tasks, table.classes
        seen, _ = _cells(*rows, table.weight)
        if self._pooled is None:
            return seen
        centroids = np.tile(self._pooled, (n_tasks, 1))
        task = np.repeat(np.arange(n_tasks), seen.ways)
        centroids[task * n_classes + seen.classes] = seen.centroids
        every = np.arange(n_tasks)
        return Cells(
            centroids,
            np.tile(np.arange(n_classes), n_tasks),
            every * n_classes,
            np.full_like(every, n_classes),
        )

    def _why_no_weights(self, weight: NDArray[np.float64]) -> str:
        return ""

    def _predict(self, X: NDArray, codes: IntArray, model: Cells) -> NDArray[Any]:
        nearest = self._distances(X, codes, model).argmin(axis=1)
        return self.classes_[model.classes[model.first[codes] + nearest]]

    def _probabilities(
        self, X: NDArray, codes: IntArray, model: Cells
    ) -> NDArray[np.float64]:
        distances = self._distances(X, codes, model)
        values = softmax(-distances / (2 * self.variance_ * X[:1].size), axis=1)
        row, local = np.nonzero(distances < np.inf)
        spread = np.zeros((len(X), len(self.classes_)))
        spread[row, model.classes[model.first[codes[row]] + local]] = values[row, local]
        return spread

    @classmethod
    def _restore(cls, model: Any) -> Cells:
        return Cells(**model)

    def _distances(
        self, X: NDArray, codes: IntArray, cells: Cells
    ) -> NDArray[np.float64]:  # shape: (n_rows, most ways); infinite past a task's ways
        Z = self._scaled(X)
        local = np.arange(cells.ways.max())
        ways = cells.ways[codes][:, None]
        index = cells.first[codes][:, None] + np.minimum(local, ways - 1)
        distances = np.empty(index.shape)
        step = max(1, BLOCK_NUMBERS // (len(local) * Z.shape[1]))
        for start in range(0, len(Z), step):
            block = slice(start, start + step)
            difference = Z[block, None] - cells.centroids[index[block]]
            distances[block] = np.square(difference).sum(axis=2)
        return np.where(local < ways, distances, np.inf)

    def _scaled(self, X: NDArray) -> NDArray[np.float64]:  # shape: (n_rows, n_features)
        Z = np.empty(X.shape)
        Scaling(*self._scaling).apply(X, out=Z)
        return np.clip(Z, -MAX_ABS, MAX_ABS, out=Z).reshape(len(X), -1)

    def _options(self, X: Any) -> dict[str, Any]:
        return {**super()._options(X), "allow_nd": True}

    def __sklearn_tags__(self) -> Any:
        # Not from ClassifierMixin, whose score knows of no task.
        tags = super().__sklearn_tags__()
        tags.estimator_type = "classifier"
        tags.classifier_tags = ClassifierTags()
        return tags


def _cells(
    Z: NDArray,
    y: NDArray[Any],
    codes: IntArray,
    n_tasks: int,
    classes: NDArray[Any],
    weight: NDArray[np.float64] | None = None,
) -> tuple[Cells, IntArray]:
    """Average the rows of each class of each task; return each row's cell as well."""
    key = codes * len(classes) + np.searchsorted(classes, y)
    distinct, cell = np.unique(key, return_inverse=True)
    ways = np.bincount(distinct // len(classes), minlength=n_tasks)
    centroids = group_means(Z, cell, len(distinct), weight)
    first = np.cumsum(ways) - ways
    return Cells(centroids, distinct % len(classes), first, ways), cell


def _variance(difference: NDArray[np.float64], n_cells: int) -> float:
    """Estimate the variance about the centroids; 1 where all rows lie on theirs."""
    n_free = max(len(difference) - n_cells, 1)
    variance = float(np.square(difference).mean()) * len(difference) / n_free
    return variance if 0 < variance < np.inf else 1.0
