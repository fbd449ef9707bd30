"""A scaling of rows that the classes of the training tasks taught."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sklmeta.data.codes import IntArray
from sklmeta.data.scaling import Scaling
from sklmeta.mixed_models.discriminants import MAX_FEATURES, Parts, find_space
from sklmeta.mixed_models.held_out_classes import choose, scaled_rows

MIN_CLASSES = 10
"""Fewer do not say how classes differ."""

MAX_ROWS = 100_000
"""Classes are drawn until they have so many rows: more teach no more."""


def class_scaling(
    X: NDArray,  # shape: (n_rows, n_features)
    y: IntArray,  # shape: (n_rows,); index of the class
    codes: IntArray,  # shape: (n_rows,); task
) -> Scaling:
    """Find the linear discriminants of classes of tasks' own, as `LDABaseline` does.

    Each counts by what it tells of the class. Whether features have a scale each or one
    in common, and whether rows are brought to equal length, is chosen by what tells
    held-out classes apart. With few classes, or many features, features are
    standardised one by one.
    """
    n_classes = int(y.max()) + 1
    labels, cell = np.unique(codes * n_classes + y, return_inverse=True)
    if len(labels) < MIN_CLASSES or X.shape[1] > MAX_FEATURES:
        return Scaling.of(X)
    if len(X) > MAX_ROWS:
        order = np.random.default_rng(0).permutation(len(labels))
        rank = np.empty_like(order)
        rank[order] = np.cumsum(np.bincount(cell)[order])
        rows = np.flatnonzero(rank[cell] <= MAX_ROWS)
        X, cell = X[rows], cell[rows]
        kept, cell = np.unique(cell, return_inverse=True)
        labels = labels[kept]
    parts = Parts(cell, labels // n_classes, np.zeros_like(labels))
    choice = choose(X, parts, np.zeros(1))
    scaling = Scaling.of(X, common=not choice.standardize)
    assert scaling.mean is not None
    space = find_space(scaled_rows(X, scaling), parts, standardize=choice.standardize)
    return Scaling(
        scaling.mean + space.center * scaling.unit,
        scaling.scale,
        space.directions * np.sqrt(space.between / (1 + space.between)),
        X.shape[1] ** 0.5 if choice.normalize else 0.0,
    )
