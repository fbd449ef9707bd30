"""Drawing rows without replacement, for many groups at once."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sklmeta.data.codes import IntArray

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
    if not len(sizes) or not n_draws:
        return np.full((len(sizes), n_draws), PADDING, dtype=np.intp)
    # A permutation costs as much as the group is large. Where few rows of a large
    # group are wanted, independent draws without their repeats have the same law.
    large = sizes > 4 * n_draws + 16
    if not large.any():
        return _permuted(sizes, n_draws, rng)
    draws = np.empty((len(sizes), n_draws), dtype=np.intp)
    small = np.flatnonzero(~large)
    if len(small):
        draws[small] = _permuted(sizes[small], n_draws, rng)
    pending = np.flatnonzero(large)
    n_tries = n_draws + n_draws // 4 + 4
    while len(pending):
        tries = rng.random((len(pending), n_tries))
        tries *= sizes[pending, None]
        found = first_distinct(tries.astype(np.intp), n_draws)
        draws[pending] = found
        # The law of the first distinct draws does not depend on whether there were
        # enough: drawing a longer sequence for the rest leaves it uniform by symmetry.
        pending = pending[found[:, -1] == PADDING]
        n_tries *= 2
    return draws


def _permuted(sizes: IntArray, n_draws: int, rng: np.random.Generator) -> IntArray:
    """Cut a random permutation of every group, padded with -1."""
    width = max(int(sizes.max()), 1)
    # A random number with the column in its lowest bits: sorting these is several
    # times faster than an argsort, and more than fifty random bits make no ties.
    low = np.uint64((1 << (width - 1).bit_length()) - 1)
    column = np.arange(width, dtype=np.uint32)
    keys = rng.integers(2**64, size=(len(sizes), width), dtype=np.uint64)
    keys &= ~low
    keys |= column
    if int(sizes.min()) < width:
        keys[column >= sizes[:, None].astype(np.uint32)] = np.iinfo(np.uint64).max
    keys.sort(axis=1)
    draws = (keys[:, :n_draws] & low).astype(np.intp)
    if int(sizes.min()) < draws.shape[1]:
        draws[np.arange(draws.shape[1]) >= sizes[:, None]] = PADDING
    if width < n_draws:
        rest = np.full((len(sizes), n_draws - width), PADDING, dtype=np.intp)
        draws = np.hstack([draws, rest])
    return draws


def first_distinct(values: IntArray, n_kept: int) -> IntArray:
    """Keep the first `n_kept` distinct entries of each row, in order.

    Entries of -1 are padding; rows with fewer distinct entries are padded with -1.
    """
    length = values.shape[1]
    bits = max(length - 1, 1).bit_length()
    ranked = (values << bits) | np.arange(length)
    ranked.sort(axis=1)
    group = ranked >> bits
    repeat = group[:, 1:] == group[:, :-1]
    row, place = np.nonzero(repeat)
    keep = values != PADDING
    keep[row, ranked[row, place + 1] & ((1 << bits) - 1)] = False
    return compact(values, keep, n_kept)


def compact(values: IntArray, keep: NDArray[np.bool_], width: int) -> IntArray:
    """Move each row's kept entries to the left, in order, and pad with -1."""
    counts = np.count_nonzero(keep, axis=1)
    starts = np.cumsum(counts) - counts
    positions = padded_positions(starts, np.minimum(counts, width), width)
    return take_padded(values[keep], positions)


def padded_positions(starts: IntArray, sizes: IntArray, width: int) -> IntArray:
    """Return ``start, start + 1, ...`` of each group, padded with -1 to `width`."""
    column = np.arange(width)
    positions = starts[:, None] + column
    if len(sizes) and int(sizes.min()) < width:
        positions[column >= sizes[:, None]] = PADDING
    return positions


def shift_padded(index: IntArray, starts: IntArray) -> IntArray:
    """Add each row's start, keeping padding as padding."""
    shifted = index + starts[:, None]
    padding = index == PADDING
    if padding.any():
        shifted[padding] = PADDING
    return shifted


def take_padded(values: IntArray, index: IntArray) -> IntArray:
    """Index `values`, keeping padding as padding."""
    if not len(values):
        return np.full(index.shape, PADDING, dtype=np.intp)
    taken = values[index]
    padding = index == PADDING
    if padding.any():
        taken[padding] = PADDING
    return taken
