"""Supports that are not drawn: given with the collection, or by a splitter."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sklmeta.data.codes import IntArray
from sklmeta.episodes.draw import (
    PADDING,
    draw_distinct,
    padded_positions,
    shift_padded,
    take_padded,
)


class FixedSplits(NamedTuple):
    """All splits of all tasks, in compressed rows; a task may have several."""

    n_splits: IntArray  # shape: (n_tasks,)
    support: IntArray  # rows of all supports, one after the other
    support_offsets: IntArray  # shape: (n_splits in all + 1,)
    query: IntArray
    query_offsets: IntArray
    support_labels: IntArray | None  # own classes: class within the split
    query_labels: IntArray | None
    ways: IntArray | None  # shape: (n_splits in all,)

    def draw(self, tasks: IntArray, n_query: int, rng: np.random.Generator) -> Any:
        """Take one split of each task, with its whole support."""
        first = np.cumsum(self.n_splits) - self.n_splits
        pick = (rng.random(len(tasks)) * self.n_splits[tasks]).astype(np.intp)
        split = first[tasks] + pick
        start = self.support_offsets[split]
        size = self.support_offsets[split + 1] - start
        support = padded_positions(start, size, int(size.max(initial=0)))
        start = self.query_offsets[split]
        query = draw_distinct(self.query_offsets[split + 1] - start, n_query, rng)
        query = shift_padded(query, start)
        rows = take_padded(self.support, support), take_padded(self.query, query)
        if self.ways is None:
            return (*rows, None, None, None)
        labels = [
            np.where(index == PADDING, 0, np.asarray(values)[index])
            for values, index in (
                (self.support_labels, support),
                (self.query_labels, query),
            )
        ]
        return (*rows, *labels, self.ways[split])


def fixed_splits(
    order: IntArray,
    offsets: IntArray,
    y: IntArray | None,
    splitter: Any,
    is_support: NDArray[np.bool_] | None,
    own_classes: bool,
) -> FixedSplits:
    """Collect every split of every task; a query row's class is in its support."""
    if is_support is not None:
        return _given_splits(order, offsets, y if own_classes else None, is_support)
    n_splits = np.zeros(len(offsets) - 1, dtype=np.intp)
    supports: list[IntArray] = []
    queries: list[IntArray] = []
    labels: list[tuple[IntArray, IntArray, int]] = []
    for task in range(len(n_splits)):
        rows = order[offsets[task] : offsets[task + 1]]
        for support, query in _splits_of_task(rows, y, splitter):
            if own_classes and y is not None:
                classes, support_labels = np.unique(y[support], return_inverse=True)
                query = query[np.isin(y[query], classes)]
                query_labels = np.searchsorted(classes, y[query])
                if len(classes) < 2:
                    continue
                labels.append((support_labels, query_labels, len(classes)))
            if len(support) and len(query):
                supports.append(support)
                queries.append(query)
                n_splits[task] += 1
            elif own_classes:
                labels.pop()
    return FixedSplits(
        n_splits,
        _flat(supports),
        _starts(supports),
        _flat(queries),
        _starts(queries),
        _flat([label[0] for label in labels]) if own_classes else None,
        _flat([label[1] for label in labels]) if own_classes else None,
        np.array([label[2] for label in labels]) if own_classes else None,
    )


def _given_splits(
    order: IntArray,
    offsets: IntArray,
    y: IntArray | None,  # class indices where classes are a task's own
    is_support: NDArray[np.bool_],
) -> FixedSplits:
    """Take the one split that each task brings, for all tasks at once."""
    n_tasks = len(offsets) - 1
    codes = np.repeat(np.arange(n_tasks), np.diff(offsets))
    chosen = is_support[order]
    usable = np.ones(len(order), dtype=bool)
    local = ways = None
    if y is not None:
        cells = codes * (int(y.max(initial=0)) + 1) + y[order]
        known, where = np.unique(cells[chosen], return_index=True)
        ways = np.bincount(codes[chosen][where], minlength=n_tasks)
        first = np.cumsum(ways) - ways
        local = np.searchsorted(known, cells) - first[codes]
        usable = np.isin(cells, known) & (ways >= 2)[codes]
    n_support, n_query = (
        np.bincount(codes[usable & part], minlength=n_tasks)
        for part in (chosen, ~chosen)
    )
    split = (n_support > 0) & (n_query > 0)
    support, query = (usable & split[codes] & part for part in (chosen, ~chosen))
    return FixedSplits(
        split.astype(np.intp),
        order[support],
        np.r_[0, np.cumsum(n_support[split])],
        order[query],
        np.r_[0, np.cumsum(n_query[split])],
        None if local is None else local[support],
        None if local is None else local[query],
        None if ways is None else ways[split],
    )


def _splits_of_task(
    rows: IntArray,
    y: IntArray | None,
    splitter: Any,
) -> list[tuple[IntArray, IntArray]]:
    if len(rows) < 2:
        return []
    table = np.zeros((len(rows), 1))
    targets = None if y is None else y[rows]
    splits = []
    for support, query in splitter.split(table, targets):
        if np.intersect1d(support, query).size:
            raise ValueError(
                f"The support splitter {splitter} put a row in support and query alike."
            )
        splits.append((rows[support], rows[query]))
    return splits


def _flat(parts: list[IntArray]) -> IntArray:
    return np.concatenate(parts) if parts else np.empty(0, dtype=np.intp)


def _starts(parts: list[IntArray]) -> IntArray:
    return np.cumsum([0, *(len(part) for part in parts)])
