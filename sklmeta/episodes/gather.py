"""Handing out episodes that were drawn for many meta-updates at once."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

import numpy as np
import torch
from torch import Tensor

from sklmeta.data.codes import IntArray
from sklmeta.data.rows import RowTable, fetch_rows, to_device
from sklmeta.episodes.draw import PADDING
from sklmeta.episodes.rows import Episodes, Rows
from sklmeta.episodes.sampler import EpisodeRows, EpisodeSampler

MAX_UPDATES = 128
"""Meta-updates drawn at once, at most."""

MAX_ENTRIES = 2**17
"""Rows drawn at once, at most, unless one meta-update has more: about a megabyte, as
larger temporaries leave the processor's cache and cost more than calls saved."""


def stream_episodes(
    sampler: EpisodeSampler,
    n_tasks: int,
    X: RowTable,  # shape: (n_samples + 1, *input); the last row is zero
    y: Tensor,  # shape: (n_samples + 1[, n_targets]); the last entry is zero
    n_classes: int,
    rng: np.random.Generator,
    n_skipped: int = 0,
) -> Iterator[Episodes]:
    """Yield meta-batches of `n_tasks` tasks without end, after the first so many.

    They are drawn in blocks of 1, 2, 4, ... so that the first comes at once and a short
    training draws little in vain. The sizes do not depend on how many are wanted: a
    longer training begins with the same episodes.
    """
    n_batches = 1
    while True:
        drawn = sampler.sample(n_tasks, rng, n_batches)
        if n_skipped < n_batches:
            block = gather_block(drawn, n_batches, X, y, n_classes)
            yield from islice(block, n_skipped, None)
        n_skipped = max(0, n_skipped - n_batches)
        entries = (drawn.support.size + drawn.query.size) // n_batches
        most = min(MAX_UPDATES, max(1, MAX_ENTRIES // max(entries, 1)))
        n_batches = min(2 * n_batches, most)


def gather_block(
    drawn: EpisodeRows, n_batches: int, X: RowTable, y: Tensor, n_classes: int
) -> Iterator[Episodes]:
    """Fetch the rows of one meta-batch after the other.

    Targets and masks are made for the whole block, whose indices go to the device in
    one piece: what a meta-batch costs is the gather of its rows of X.
    """
    n_tasks = len(drawn.tasks) // n_batches
    classes = [n_classes] * n_batches
    ways: list[Tensor | None] = [None] * n_batches
    if drawn.ways is not None:
        classes = drawn.ways.reshape(n_batches, n_tasks).max(axis=1).tolist()
        ways = list(to_device(torch.from_numpy(drawn.ways), y.device).split(n_tasks))
    support = _Part(drawn.support, drawn.support_labels, n_batches, X, y)
    query = _Part(drawn.query, drawn.query_labels, n_batches, X, y)
    for i in range(n_batches):
        yield Episodes(
            support.rows(i, classes[i], ways[i]), query.rows(i, classes[i], ways[i])
        )


def gather_episodes(
    drawn: EpisodeRows, X: RowTable, y: Tensor, n_classes: int = 0
) -> Episodes:
    """Fetch the rows of one meta-batch; see `gather_block`."""
    return next(gather_block(drawn, 1, X, y, n_classes))


def gather(
    rows: IntArray,
    X: RowTable,  # shape: (n_samples + 1, *input); the last row is zero
    y: Tensor,  # shape: (n_samples + 1[, n_targets]); the last entry is zero
    *,
    n_classes: int = 0,
    labels: IntArray | None = None,
    ways: IntArray | None = None,
) -> Rows:
    """Fetch padded rows; padding, being -1, reads the zero row at the end."""
    index = torch.from_numpy(rows).to(X.device)
    values = y[index] if labels is None else torch.from_numpy(labels).to(X.device)
    mask = (index >= 0).to(X.dtype)
    task_ways = None if ways is None else torch.from_numpy(ways).to(X.device)
    return Rows(X[index], values, mask, n_classes, task_ways)


class _Part:
    """The supports, or the queries, of a block, each padded to its own longest task."""

    def __init__(
        self,
        rows: IntArray,  # shape: (n_batches * n_tasks, n_rows)
        labels: IntArray | None,
        n_batches: int,
        X: RowTable,
        y: Tensor,
    ):
        self.X = X
        self.index: list[Tensor] = [y] * n_batches
        self.y: list[Tensor] = [y] * n_batches
        self.mask: list[Tensor] = [y] * n_batches
        rows = rows.reshape(n_batches, -1, rows.shape[1])
        widths = np.full(n_batches, rows.shape[2])
        if rows.size and rows.min() == PADDING:  # which stands at each row's end
            widths = (rows != PADDING).any(axis=1).sum(axis=1)
        for width in np.unique(widths):
            where = np.flatnonzero(widths == width)
            own = None if labels is None else labels.reshape(rows.shape)
            self._fill(rows, own, where, int(width), y)

    def _fill(
        self,
        rows: IntArray,
        labels: IntArray | None,
        where: IntArray,
        width: int,
        y: Tensor,
    ) -> None:
        """Make the tensors of those meta-batches that have this width."""
        n_samples = len(y) - 1
        positions = _cut(rows, where, width)
        padding = positions == PADDING
        if padding.any():
            positions = np.where(padding, n_samples, positions)
        index = on_host = torch.from_numpy(positions)
        index = to_device(index, y.device)
        mask = (index != n_samples).to(self.X.dtype)
        if labels is None:
            values = y.index_select(0, index.view(-1)).view(*index.shape, *y.shape[1:])
        else:
            values = to_device(torch.from_numpy(_cut(labels, where, width)), y.device)
        in_memory = isinstance(self.X, Tensor)
        made = (index if in_memory else on_host, values, mask)
        for each, tensor in zip((self.index, self.y, self.mask), made, strict=True):
            for i, part in zip(where.tolist(), tensor.unbind(), strict=True):
                each[i] = part

    def rows(self, i: int, n_classes: int, ways: Tensor | None) -> Rows:
        X = fetch_rows(self.X, self.index[i])
        return Rows(X, self.y[i], self.mask[i], n_classes, ways)


def _cut(values: IntArray, where: IntArray, width: int) -> IntArray:
    if (len(where), width) == (len(values), values.shape[2]):
        return np.ascontiguousarray(values)
    return np.ascontiguousarray(values[where, :, :width])
