"""Rows of many tasks of unequal sizes, in a few padded arrays."""

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

BLOCK_NUMBERS = 2**22
"""Numbers of a block's largest array, so that memory does not grow with the tasks."""

LARGEST_RATIO = 1.5
"""Of the sizes of two tasks in a block, so that little of it is padding."""


class Block(NamedTuple):
    """Tasks of similar sizes: where their rows are."""

    tasks: Tensor  # shape: (n_tasks,)
    rows: Tensor  # shape: (n_tasks, n_rows); 0 where there is none
    present: Tensor  # shape: (n_tasks, n_rows); 1.0, or 0.0 where there is no row

    def gather(self, values: Tensor) -> Tensor:  # shape: (n_tasks, n_rows, ...)
        """Arrange values by task; padding has those of row 0."""
        return values[self.rows]


def row_blocks_of(
    codes: IntArray, n_tasks: int, numbers_per_row: int, numbers_per_task: int = 0
) -> Iterator[Block]:
    """Arrange the rows of similar tasks in padded arrays; tasks without rows are left.

    Parameters
    ----------
    codes : ndarray of shape (n_samples,)
        Task of every row.

    n_tasks : int
    numbers_per_row, numbers_per_task : int
        What will be computed of each, at most, to bound the memory of a block.
    """
    order, offsets = group_rows(codes, n_tasks)
    sizes = np.diff(offsets)
    by_size = np.argsort(sizes, kind="stable")
    by_size = by_size[np.searchsorted(sizes[by_size], 1) :]
    start = 0
    while start < len(by_size):
        stop = _end_of_block(sizes[by_size], start, numbers_per_row, numbers_per_task)
        tasks = by_size[start:stop]
        local = np.arange(sizes[tasks].max())
        present = local < sizes[tasks][:, None]
        rows = order[np.where(present, offsets[tasks][:, None] + local, 0)]
        yield Block(
            torch.from_numpy(tasks),
            torch.from_numpy(np.where(present, rows, 0)),
            torch.from_numpy(present.astype(np.float64)),
        )
        start = stop


def _end_of_block(
    sizes: NDArray[np.intp], start: int, per_row: int, per_task: int
) -> int:
    largest = np.searchsorted(sizes, LARGEST_RATIO * sizes[start] + 2, side="right")
    numbers = np.arange(1, largest - start + 1) * (
        sizes[start:largest] * max(1, per_row) + per_task
    )
    return start + max(1, int(np.searchsorted(numbers, BLOCK_NUMBERS, side="right")))
