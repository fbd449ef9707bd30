"""What a support says about a query row, in numbers that trees can read."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sklmeta.data.codes import IntArray, group_rows

Floats = NDArray[np.float64]

BLOCK_PAIRS = 2**18
"""Pairs of a query and a support row to look at in one go; memory is bounded."""

BANDWIDTHS = (0.25, 1.0)
"""Of the kernels, where features have a standard deviation of 1."""

MOST_ROWS = 1000
"""Of a task, to look for neighbours in: a thousand show what ten thousand do."""


class Support(NamedTuple):
    """The labelled rows of many tasks, one task after the other."""

    X: Floats  # shape: (n_rows, n_columns); standardised
    values: Floats  # shape: (n_rows, n_values); what neighbours are asked for
    offsets: IntArray  # shape: (n_tasks + 1,); where each task's rows begin
    weight: Floats | None = None  # shape: (n_rows,); how often each counts

    @classmethod
    def of(
        cls,
        X: Floats,
        values: Floats,
        codes: IntArray,
        n_tasks: int,
        weight: Floats | None = None,
    ) -> Support:
        order, offsets = group_rows(codes, n_tasks)
        sizes = np.diff(offsets)
        if sizes.max(initial=0) > MOST_ROWS:
            within = np.arange(len(order)) - np.repeat(offsets[:-1], sizes)
            step = -(-sizes // MOST_ROWS)
            order = order[within % np.repeat(step, sizes) == 0]
            _, offsets = group_rows(codes[order], n_tasks)
        weight = None if weight is None else weight[order]
        return cls(X[order], values[order], offsets, weight)

    @property
    def sizes(self) -> IntArray:  # shape: (n_tasks,)
        return np.diff(self.offsets)


def task_means(
    values: Floats, codes: IntArray, n_tasks: int, weight: Floats | None = None
) -> tuple[Floats, Floats]:  # shapes: (n_tasks, n_values)
    """Mean and standard deviation of each task's values; NaN where rows are too few."""
    order, offsets = group_rows(codes, n_tasks)
    sizes = np.bincount(codes, weight, minlength=n_tasks)[:, None]
    counts = 1.0 if weight is None else weight[order, None]
    mean = np.full((n_tasks, values.shape[1]), np.nan)
    deviation = mean.copy()
    some = sizes[:, 0] > 0
    if some.any():
        starts, ranked = offsets[:-1][some], values[order]
        mean[some] = np.add.reduceat(counts * ranked, starts) / sizes[some]
        apart = ranked - mean[codes[order]]
        several = sizes[:, 0] > 1
        squares = np.add.reduceat(counts * apart**2, starts)[several[some]]
        deviation[several] = np.sqrt(squares / (sizes[several] - 1))
    return mean, deviation


class Neighbours(NamedTuple):
    """What the support rows around a query row say; NaN where there are none."""

    distance: Floats  # shape: (n_samples,); to the nearest
    nearest: Floats  # shape: (n_samples, n_values); of that one
    weighted: Floats  # shape: (n_samples, n_bandwidths, n_values); kernel-weighted
    distances: Floats  # shape: (n_samples, n_values); to the nearest of each class


def neighbours(
    X: Floats,
    codes: IntArray,
    support: Support,
    weights: Floats,
    *,
    of_classes: bool = False,
) -> Neighbours:
    """Look at the support rows of each row's task.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_columns)
        Standardised rows.

    codes : ndarray of shape (n_samples,)
        Each row's task.

    support : Support
    weights : ndarray of shape (n_columns,)
        Of the columns in the squared distance; they add up to one.

    of_classes : bool, default=False
        Whether the values are indicators of classes, whose nearest rows are wanted.
    """
    n, n_values = len(X), support.values.shape[1]
    found = Neighbours(
        np.full(n, np.nan),
        np.full((n, n_values), np.nan),
        np.full((n, len(BANDWIDTHS), n_values), np.nan),
        np.full((n, n_values if of_classes else 0), np.nan),
    )
    rows = np.flatnonzero(support.sizes[codes] > 0)
    for some in _blocks(rows, support.sizes[codes[rows]]):
        sizes = support.sizes[codes[some]]
        starts = np.cumsum(sizes) - sizes
        within = np.arange(sizes.sum()) - np.repeat(starts, sizes)
        pairs = np.repeat(support.offsets[codes[some]], sizes) + within
        apart = np.repeat(X[some], sizes, axis=0) - support.X[pairs]
        squares = (apart**2 * weights).sum(axis=1)
        least = np.minimum.reduceat(squares, starts)
        excess = squares - np.repeat(least, sizes)
        values, own = support.values[pairs], 1.0
        if support.weight is not None:
            own = support.weight[pairs][:, None]
        # Rows equally near are one: their order must not matter.
        is_nearest = own * (excess <= 1e-12)[:, None]
        counts = np.add.reduceat(is_nearest, starts, dtype=np.float64)
        found.distance[some] = np.sqrt(least)
        found.nearest[some] = np.add.reduceat(values * is_nearest, starts) / counts
        for i, bandwidth in enumerate(BANDWIDTHS):
            # Relative to the nearest, so that no row is too far from all of them.
            weight = own * np.exp(-excess / (2 * bandwidth**2))[:, None]
            total = np.add.reduceat(weight, starts)
            found.weighted[some, i] = np.add.reduceat(weight * values, starts) / total
        for c in range(found.distances.shape[1]):
            of_class = np.where(values[:, c] > 0, squares, np.inf)
            closest = np.sqrt(np.minimum.reduceat(of_class, starts))
            found.distances[some, c] = np.where(np.isinf(closest), np.nan, closest)
    return found


def _blocks(rows: IntArray, sizes: IntArray) -> Iterator[IntArray]:
    """Cut rows into blocks of about as many pairs."""
    if not len(rows):
        return
    block = (np.cumsum(sizes) - 1) // BLOCK_PAIRS
    yield from np.split(rows, np.flatnonzero(np.diff(block)) + 1)
