"""Drawing rows without replacement, for many groups at once."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

IntArray = NDArray[np.intp]

PADDING = -1
"""Stands for "no row": as an index it reads the last row, which callers keep zero."""


def draw_distinct(sizes: IntArray, n_draws: int, rng: np.random.Generator) -> IntArray:
    """Draw from ``range(size)`` without replacement, for every size at once.

    Parameters
    ----------
    sizes : ndarray of shape (n_groups,)
    n_draws : int
    rng : numpy Generator

    Returns
    -------
    ndarray of shape (n_groups, n_draws)
        Every row is a uniformly random ordered sample; a group smaller than `n_draws`
        is exhausted and padded with -1.
    """
    draws = np.full((len(sizes), n_draws), PADDING, dtype=np.intp)
    if not draws.size:
        return draws
    # A permutation costs as much as the group is large. Where few rows of a large
    # group are wanted, independent draws without their repeats have the same law.
    large = sizes > 4 * n_draws + 16
    small = np.flatnonzero(~large)
    if len(small):
        width = max(int(sizes[small].max()), 1)
        keys = rng.random((len(small), width))
        keys[np.arange(width) >= sizes[small, None]] = 2.0
        order = np.argsort(keys, axis=1)[:, :n_draws]
        order[np.arange(order.shape[1]) >= sizes[small, None]] = PADDING
        draws[small, : order.shape[1]] = order
    pending = np.flatnonzero(large)
    n_tries = n_draws + n_draws // 2 + 16
    while len(pending):
        tries = (rng.random((len(pending), n_tries)) * sizes[pending, None]).astype(
            np.intp
        )
        found = first_distinct(tries, n_draws)
        draws[pending] = found
        # The law of the first distinct draws does not depend on whether there were
        # enough: drawing a longer sequence for the rest leaves it uniform by symmetry.
        pending = pending[found[:, -1] == PADDING]
        n_tries *= 2
    return draws


def first_distinct(values: IntArray, n_kept: int) -> IntArray:
    """Keep the first `n_kept` distinct entries of each row, in order.

    Entries of -1 are padding; rows with fewer distinct entries are padded with -1.
    """
    order = np.argsort(values, axis=1, kind="stable")
    ranked = np.take_along_axis(values, order, axis=1)
    fresh = np.ones(values.shape, dtype=bool)
    fresh[:, 1:] = ranked[:, 1:] != ranked[:, :-1]
    keep = np.empty_like(fresh)
    np.put_along_axis(keep, order, fresh, axis=1)
    keep &= values != PADDING
    kept = np.full((len(values), n_kept), PADDING, dtype=np.intp)
    rank = np.cumsum(keep, axis=1) - 1
    keep &= rank < n_kept
    row, column = np.nonzero(keep)
    kept[row, rank[row, column]] = values[row, column]
    return kept


def padded_positions(starts: IntArray, sizes: IntArray, width: int) -> IntArray:
    """Return ``start, start + 1, ...`` of each group, padded with -1 to `width`."""
    column = np.arange(width)
    return np.where(column < sizes[:, None], starts[:, None] + column, PADDING)


def take_padded(values: IntArray, index: IntArray) -> IntArray:
    """Index `values`, keeping padding as padding."""
    if not len(values):
        return np.full(index.shape, PADDING, dtype=np.intp)
    return np.where(index == PADDING, PADDING, values[index])
