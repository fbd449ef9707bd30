"""Plain minibatches of rows, for learners that train on all tasks as one."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import Tensor

from sklmeta.data.codes import IntArray
from sklmeta.data.kinds import TaskKind
from sklmeta.data.rows import RowTable, fetch_rows, to_device
from sklmeta.episodes.rows import Episodes, Rows

if TYPE_CHECKING:
    from sklmeta.episodes.source import EpisodeSource


class PooledRows(NamedTuple):
    """The rows of all training tasks."""

    X: RowTable  # shape: (n_samples + 1, *input)
    positions: IntArray  # shape: (n_rows,); in X
    y: Tensor  # shape: (n_rows,); class index, or target
    n_classes: int  # 0 for regression


def pool_rows(source: EpisodeSource) -> PooledRows:
    """Put the training tasks together.

    A class of a task's own is a class apart, also where another task has one of the
    same name: the classes are the pairs of task and class.
    """
    positions, tasks = source.sampler.usable_rows
    y = source.y[torch.from_numpy(positions).to(source.y.device)]
    n_classes = source.n_classes
    if source.sampler.kind == TaskKind.OWN:
        labels = y.cpu().numpy()
        pairs = tasks * (int(labels.max()) + 1) + labels
        distinct, numbered = np.unique(pairs, return_inverse=True)
        y = torch.from_numpy(numbered).to(y.device)
        n_classes = len(distinct)
    return PooledRows(source.X, positions, y, n_classes)


def stream_rows(
    pooled: PooledRows, batch_size: int, rng: np.random.Generator
) -> Iterator[Episodes]:
    """Yield minibatches without end: one task whose query they are, without support.

    All rows are shuffled, used, and shuffled again; what is left of a shuffle after
    whole minibatches is not used, so that all are equally large.
    """
    X, positions, y, n_classes = pooled
    n_rows = len(positions)
    size = min(batch_size, n_rows)
    nothing = X[:0][None]
    no_mask = y.new_zeros(1, 0, dtype=nothing.dtype)
    ones = y.new_ones(1, size, dtype=nothing.dtype)
    support = Rows(nothing, y[None, :0], no_mask, n_classes)
    rows = torch.from_numpy(positions)
    rows = to_device(rows, y.device) if isinstance(X, Tensor) else rows
    while True:
        order = torch.from_numpy(rng.permutation(n_rows)[: n_rows - n_rows % size])
        for batch in order.split(size):
            of_y = to_device(batch, y.device)
            of_X = rows[of_y if isinstance(X, Tensor) else batch]
            query = Rows(fetch_rows(X, of_X)[None], y[of_y][None], ones, n_classes)
            yield Episodes(support, query)
