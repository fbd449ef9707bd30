"""What a linear model of a task needs to know of its rows: sums of products."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sklmeta.data.codes import IntArray, group_rows
from sklmeta.mixed_models.units import Units

BLOCK_NUMBERS = 2**20
"""Numbers of a block of rows' products, so that memory does not grow with the rows."""


class Moments(NamedTuple):
    """Sums of products ``W.T @ W`` of each task's rows ``W = [X, 1, y]``."""

    products: Tensor  # shape: (n_tasks, n_columns + 1, n_columns + 1); float64

    @property
    def n_rows(self) -> Tensor:  # shape: (n_tasks,)
        return self.products[:, -2, -2]


def moments_of(
    units: Units,
    X: NDArray,
    y: NDArray | None,
    codes: IntArray,
    n_tasks: int,
    weights: NDArray | None = None,
) -> Moments:
    """Sum the products of every task's rows, without a loop over tasks.

    Parameters
    ----------
    units : Units
        In which rows and targets are taken.

    X : ndarray of shape (n_samples, n_features)
    y : ndarray of shape (n_samples,) or None
        None stands for zeros.

    codes : ndarray of shape (n_samples,)
    n_tasks : int
        Tasks without rows have sums of zero.

    weights : ndarray of shape (n_samples,), default=None
        How often each row counts.

    Returns
    -------
    Moments
    """
    width = units.n_columns + 1
    products = np.zeros((n_tasks, width, width))
    order, _ = group_rows(codes, n_tasks)
    step = max(1, BLOCK_NUMBERS // width**2)
    for start in range(0, len(order), step):
        rows = order[start : start + step]
        W = np.ones((len(rows), width))
        W[:, :-2] = units.rows(X[rows])
        W[:, -1] = 0.0 if y is None else units.targets(y[rows])
        which = codes[rows]
        first = np.flatnonzero(np.r_[True, which[1:] != which[:-1]])
        left = W if weights is None else W * weights[rows, None]
        sums = np.add.reduceat(left[:, :, None] * W[:, None, :], first, axis=0)
        products[which[first]] += sums  # a task cut in two is added up
    return Moments(torch.from_numpy(products))


def blocks_of(n_tasks: int, numbers_per_task: int) -> Iterator[slice]:
    """Cut the tasks into blocks of bounded memory."""
    step = max(1, BLOCK_NUMBERS // max(1, numbers_per_task))
    for start in range(0, n_tasks, step):
        yield slice(start, start + step)
