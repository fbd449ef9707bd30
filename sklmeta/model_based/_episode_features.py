"""Query rows of episodes as trees see them: with what the support says about them."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import warnings
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import ExtraTreesClassifier, ExtraTreesRegressor
from sklearn.exceptions import ConvergenceWarning

from sklmeta._compat import _num_samples
from sklmeta.closed_form import MixedModelRegressor
from sklmeta.data.codes import IntArray
from sklmeta.data.scaling import Scaling
from sklmeta.data.table import Table
from sklmeta.evaluation.containers import adapted
from sklmeta.evaluation.probabilities import spread
from sklmeta.model_based._numeric_columns import NumericColumns
from sklmeta.model_based._support_statistics import (
    Floats,
    Support,
    neighbours,
    task_means,
)

MOST_ROWS_OF_A_METRIC = 2000
PRECISION = 6
"""Decimals of what is computed about a row: rounding must not choose a branch."""


class Prior(NamedTuple):
    """What was learned from some tasks, to look at the rows of others with."""

    columns: NumericColumns
    weights: Floats  # shape: (n_columns,); of each in a distance
    pooled: Any  # of all rows
    mixed: Any  # of numbers: the mixed model
    n_classes: int  # 0 for numbers

    @classmethod
    def restore(cls, plain: dict[str, Any]) -> Prior:
        columns = plain["columns"]
        scaling = Scaling(**columns["scaling"])
        columns = NumericColumns(**{**columns, "scaling": scaling})
        return cls(**{**plain, "columns": columns})


class Seen(NamedTuple):
    """Rows, as a prior sees them."""

    numeric: Floats  # shape: (n_samples, n_columns)
    pooled: Floats  # shape: (n_samples,) or (n_samples, n_classes)

    def part(self, rows: IntArray) -> Seen:
        return Seen(self.numeric[rows], self.pooled[rows])


class Memory(NamedTuple):
    """What is kept of the supports of some tasks."""

    sizes: NDArray[Any]  # shape: (n_tasks,); rows, or what they weigh together
    support: Support
    mean: Floats  # shape: (n_tasks, n_values)
    deviation: Floats  # shape: (n_tasks, n_values)
    mixed: Any = None  # adapted to the tasks that have rows
    odds: Floats | None = None  # shape: (n_tasks, n_classes)
    centres: Floats | None = None  # shape: (n_tasks, n_classes, n_columns)

    @classmethod
    def restore(cls, plain: dict[str, Any]) -> Memory:
        return cls(**{**plain, "support": Support(**plain["support"])})


def fit_prior(estimator: Any, table: Table, n_classes: int, seed: int) -> Prior:
    """Learn from the rows of a table, whose targets are standardised or of classes."""
    y = table.targets
    constant = n_classes and len(np.unique(y)) == 1
    model = DummyClassifier() if constant else clone(estimator)
    pooled = model.fit(np.zeros((len(y), 1)) if constant else table.X, y)
    columns = NumericColumns.of(table.X)
    X = columns.transform(table.X)
    weights = _weights(X, y, table.codes, n_classes, seed)
    mixed = None
    if not n_classes:
        with warnings.catch_warnings():
            # Nobody asked for it, and its place is among other statistics.
            warnings.simplefilter("ignore", ConvergenceWarning)
            mixed = MixedModelRegressor(tol=1e-8).fit(X, y, task=table.codes)
    return Prior(columns, weights, pooled, mixed, n_classes)


def _weights(
    X: Floats, y: NDArray[Any], codes: IntArray, n_classes: int, seed: int
) -> Floats:
    """Weigh columns by how much trees use them to tell rows of a task apart."""
    n, n_columns = X.shape
    rows = np.arange(0, n, -(-n // MOST_ROWS_OF_A_METRIC))
    kinds = ExtraTreesClassifier if n_classes else ExtraTreesRegressor
    trees = kinds(30, min_samples_leaf=5, random_state=seed)
    if not n_classes:
        trees.set_params(max_features=1.0)
        _, codes = np.unique(codes, return_inverse=True)
        y = y - (np.bincount(codes, y) / np.bincount(codes))[codes]
    found = trees.fit(X[rows], y[rows]).feature_importances_
    total = found.sum()
    return found / total if total > 0 else np.full(n_columns, 1 / n_columns)


def see(prior: Prior, X: Any) -> Seen:
    """Read rows with a prior."""
    pooled, n_classes = prior.pooled, prior.n_classes
    if not _num_samples(X):
        no_values = np.empty((0, n_classes) if n_classes else 0)
        return Seen(np.empty((0, len(prior.weights))), no_values)
    if not n_classes:
        return Seen(prior.columns.transform(X), pooled.predict(X).astype(np.float64))
    probabilities = pooled.predict_proba(X)
    classes = np.arange(n_classes)
    probabilities = spread(probabilities, pooled.classes_, classes)
    return Seen(prior.columns.transform(X), probabilities.astype(np.float64))


def remember(
    prior: Prior,
    seen: Seen,
    y: NDArray[Any],
    codes: IntArray,
    n_tasks: int,
    weight: Floats | None = None,
) -> Memory:
    """Keep what describes the query rows of tasks with these supports."""
    sizes = np.bincount(codes, weight, minlength=n_tasks)
    if prior.n_classes:
        return _remember_classes(prior, seen, y, codes, sizes, weight)
    mixed, residuals = None, y
    if len(y):
        mixed = adapted(prior.mixed, seen.numeric, y, codes, weight)
        residuals = y - mixed.predict(seen.numeric, task=codes)
    values = np.column_stack([y, residuals, y - seen.pooled])
    mean, deviation = task_means(values, codes, n_tasks, weight)
    support = Support.of(seen.numeric, values, codes, n_tasks, weight)
    return Memory(sizes, support, mean, deviation, mixed)


def _remember_classes(
    prior: Prior,
    seen: Seen,
    y: IntArray,
    codes: IntArray,
    sizes: NDArray[Any],
    weight: Floats | None,
) -> Memory:
    n_tasks, n_classes = len(sizes), prior.n_classes
    values = (y[:, None] == np.arange(n_classes)).astype(np.float64)
    support = Support.of(seen.numeric, values, codes, n_tasks, weight)
    mean, deviation = task_means(values, codes, n_tasks, weight)
    expected, _ = task_means(seen.pooled, codes, n_tasks, weight)
    k, least = sizes[:, None], np.finfo(np.float64).eps
    odds = np.where(k, (k * mean / np.maximum(expected, least) + 1) / (k + 1), 1.0)
    cells = codes * n_classes + y, n_tasks * n_classes
    centres, _ = task_means(seen.numeric, *cells, weight)
    centres = centres.reshape(n_tasks, n_classes, -1)
    return Memory(sizes, support, mean, deviation, None, odds, centres)


def describe(
    prior: Prior, memory: Memory, seen: Seen, codes: IntArray
) -> tuple[Floats, Floats]:
    """Describe query rows.

    Returns
    -------
    base : ndarray of shape (n_samples,) or (n_samples, n_classes)
        What is predicted without the trees: the mixed model's posterior mean, or the
        pooled model's probabilities, shifted to the support's frequencies.

    statistics : ndarray of shape (n_samples, n_statistics)
        NaN where the support has no rows.
    """
    if prior.n_classes:
        base, statistics = _describe_classes(prior, memory, seen, codes)
    else:
        base, statistics = _describe_numbers(prior, memory, seen, codes)
    return base, np.column_stack(statistics).round(PRECISION)


def _describe_numbers(
    prior: Prior, memory: Memory, seen: Seen, codes: IntArray
) -> tuple[Floats, list[Any]]:
    k = memory.sizes[codes]
    base, deviation = np.empty(len(k)), np.empty(len(k))
    for some, model, task in (
        (k == 0, prior.mixed, None),
        (k > 0, memory.mixed, codes[k > 0]),
    ):
        if some.any():
            X = seen.numeric[some]
            base[some], deviation[some] = model.predict(X, task=task, return_std=True)
    around = neighbours(seen.numeric, codes, memory.support, prior.weights)
    offset = np.where(k > 0, memory.mean[codes, 2], 0.0)
    return base, [
        *(k, base, deviation, seen.pooled, seen.pooled + offset),
        *(memory.mean[codes][:, [0, 2]], memory.deviation[codes]),
        *(around.distance, around.nearest, around.weighted.reshape(len(k), -1)),
    ]


def _describe_classes(
    prior: Prior, memory: Memory, seen: Seen, codes: IntArray
) -> tuple[Floats, list[Any]]:
    assert memory.odds is not None and memory.centres is not None
    k = memory.sizes[codes]
    base = seen.pooled * memory.odds[codes]
    base /= base.sum(axis=1, keepdims=True)
    around = neighbours(
        seen.numeric, codes, memory.support, prior.weights, of_classes=True
    )
    to_centres = [
        np.sqrt(((seen.numeric - memory.centres[codes, c]) ** 2) @ prior.weights)
        for c in range(prior.n_classes)
    ]
    return base, [
        *(k, seen.pooled, base, memory.mean[codes], around.distance, *to_centres),
        *(around.nearest, around.weighted.reshape(len(k), -1), around.distances),
    ]


def beside(X: Any, statistics: Floats) -> Any:
    """Put statistics beside the rows, which stay as they were given."""
    if not hasattr(X, "columns"):
        return np.hstack([X, statistics])
    name = "support"
    while any(str(column).startswith(name) for column in X.columns):
        name += "_"
    new = {f"{name}{i}": column for i, column in enumerate(statistics.T)}
    if hasattr(X, "with_columns"):
        return X.with_columns(**new)
    if not all(isinstance(column, str) for column in X.columns):
        X = X.set_axis([str(column) for column in X.columns], axis=1)
    return pd.concat([X, pd.DataFrame(new, index=X.index)], axis=1)
