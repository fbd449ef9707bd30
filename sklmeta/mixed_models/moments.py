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

BLOCK_NUMBERS = 2**20
"""Numbers of a block of rows' products, so that memory does not grow with the rows."""


class Moments(NamedTuple):
    """Sums of products ``W.T @ W`` of each task's rows ``W = [X, 1, y]``."""

    products: Tensor  # shape: (n_tasks, n_features + 2, n_features + 2); float64

    @property
    def n_rows(self) -> Tensor:  # shape: (n_tasks,)
        return self.products[:, -2, -2]

    @property
    def n_columns(self) -> int:
        """Columns of the design: the features and the constant."""
        return self.products.shape[1] - 1


def moments_of(
    X: NDArray, y: NDArray, codes: IntArray, n_tasks: int, block: int = BLOCK_NUMBERS
) -> Moments:
    """Sum the products of every task's rows, without a loop over tasks.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features)
    y : ndarray of shape (n_samples,)
    codes : ndarray of shape (n_samples,)
    n_tasks : int
        Tasks without rows have sums of zero.

    block : int, default=2**20
        Numbers to hold at a time.

    Returns
    -------
    Moments
    """
    width = X.shape[1] + 2
    products = np.zeros((n_tasks, width, width))
    order, _ = group_rows(codes, n_tasks)
    step = max(1, block // width**2)
    for start in range(0, len(order), step):
        rows = order[start : start + step]
        W = np.empty((len(rows), width))
        W[:, :-2], W[:, -2], W[:, -1] = X[rows], 1.0, y[rows]
        which = codes[rows]
        first = np.flatnonzero(np.r_[True, which[1:] != which[:-1]])
        sums = np.add.reduceat(W[:, :, None] * W[:, None, :], first, axis=0)
        products[which[first]] += sums  # a task cut in two is added up
    return Moments(torch.from_numpy(products))


def blocks_of(n_tasks: int, numbers_per_task: int) -> Iterator[slice]:
    """Cut the tasks into blocks of bounded memory."""
    step = max(1, BLOCK_NUMBERS // max(1, numbers_per_task))
    for start in range(0, n_tasks, step):
        yield slice(start, start + step)
