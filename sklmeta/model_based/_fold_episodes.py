"""Episodes of folds of tasks, described by what was learned from the other folds."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from sklmeta._compat import _safe_indexing
from sklmeta.data.codes import IntArray
from sklmeta.data.table import Table
from sklmeta.episodes.draw import PADDING
from sklmeta.episodes.sampler import EpisodeSampler, training_support
from sklmeta.model_based._episode_features import describe, fit_prior, remember, see
from sklmeta.model_based._support_statistics import Floats

SHARE_WITHOUT_SUPPORT = 0.1
"""Of the episodes: what to do where nothing is known must be learned, too."""


class Sizes(NamedTuple):
    """How many episodes of which size are drawn, and how."""

    n_shots: int | tuple[int, int]
    n_query: int
    n_rows: int  # query rows of all episodes
    support: str
    cv: int


class Drawn(NamedTuple):
    """Rows of episodes, and the number of each row's episode."""

    support: IntArray
    support_codes: IntArray
    query: IntArray
    query_codes: IntArray
    n_episodes: int


class Described(NamedTuple):
    """Query rows of episodes and what was known of them, without their own tasks."""

    rows: IntArray  # shape: (n_samples,); in the table
    fold: IntArray  # shape: (n_samples,)
    base: Floats  # shape: (n_samples,) or (n_samples, n_classes)
    statistics: Floats  # shape: (n_samples, n_statistics)


def described_episodes(
    estimator: Any, table: Table, sizes: Sizes, seed: int
) -> Described | None:
    """Draw episodes of every fold of tasks and describe their query rows.

    One table is cut into folds of its rows: those of a fold are described by the
    others. The answer is None where there is nothing to draw from.
    """
    rng = np.random.default_rng(seed)
    parts = [
        _described(estimator, table, outside, drawn, seed)
        for outside, drawn in _drawn_folds(table, sizes, rng)
    ]
    if not parts:
        return None
    fold = np.repeat(np.arange(len(parts)), [len(rows) for rows, _, _ in parts])
    rows, base, statistics = map(np.concatenate, zip(*parts, strict=True))
    return Described(rows, fold, base, statistics)


def _drawn_folds(
    table: Table, sizes: Sizes, rng: np.random.Generator
) -> Iterator[tuple[IntArray, Drawn]]:
    """Yield the rows outside each fold, and episodes of those inside."""
    units = np.arange(len(table.y)) if table.one_table else table.codes
    n_units = int(units.max()) + 1
    if n_units < 2:
        return
    n_folds = min(sizes.cv, n_units)
    fold_of = rng.permutation(np.arange(n_units) % n_folds)[units]
    for fold in range(n_folds):
        inside, outside = (
            np.flatnonzero(fold_of == fold),
            np.flatnonzero(fold_of != fold),
        )
        n_rows = -(-sizes.n_rows * len(inside) // len(units))
        if table.one_table:
            query = inside[:n_rows]
            yield outside, Drawn(outside, 0 * outside, query, 0 * query, 1)
        else:
            drawn = _draw(table, inside, sizes, n_rows, rng)
            if drawn is not None:
                yield outside, drawn


def _draw(
    table: Table,
    inside: IntArray,
    sizes: Sizes,
    n_rows: int,
    rng: np.random.Generator,
) -> Drawn | None:
    _, codes = np.unique(table.codes[inside], return_inverse=True)
    sampler = EpisodeSampler(
        codes,
        kind=table.kind,
        y=None if table.class_index is None else table.class_index[inside],
        n_shots=sizes.n_shots,
        n_query=sizes.n_query,
        support=training_support(sizes.support),
        rows=inside,
    )
    if not len(sampler.usable):
        return None
    rows_of_task = np.bincount(codes)[sampler.usable]
    of_episode = np.clip(rows_of_task // 2, 1, sizes.n_query).mean()
    episodes = sampler.sample(int(np.ceil(n_rows / of_episode)), rng)
    support, query = episodes.support, episodes.query
    support[: int(len(support) * SHARE_WITHOUT_SUPPORT)] = PADDING
    known, asked = np.nonzero(support != PADDING), np.nonzero(query != PADDING)
    return Drawn(support[known], known[0], query[asked], asked[0], len(query))


def _described(
    estimator: Any, table: Table, outside: IntArray, drawn: Drawn, seed: int
) -> tuple[IntArray, Floats, Floats]:
    prior = fit_prior(estimator, table.part(outside), table.n_shared_classes, seed)
    used, place = np.unique(np.r_[drawn.support, drawn.query], return_inverse=True)
    seen = see(prior, _safe_indexing(table.X, used))
    known, asked = (seen.part(p) for p in np.split(place, [len(drawn.support)]))
    y = table.targets[drawn.support]
    memory = remember(prior, known, y, drawn.support_codes, drawn.n_episodes)
    return (drawn.query, *describe(prior, memory, asked, drawn.query_codes))


def without_empty(statistics: Floats, fold: IntArray) -> Floats:
    """Fill columns that have no number in all folds but one: no tree could bin them."""
    parts = [statistics[fold == f] for f in np.unique(fold)]
    known = np.sum([np.isfinite(part).any(axis=0) for part in parts], axis=0)
    return np.where(known < min(2, len(parts)), 0.0, statistics)
