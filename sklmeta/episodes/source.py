"""Where meta-training's episodes come from, and those held out to stop it early."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from sklmeta.data.codes import IntArray
from sklmeta.data.kinds import TaskKind
from sklmeta.data.rows import RowTable, row_table, with_zero_row
from sklmeta.data.scaling import Scaling
from sklmeta.data.table import Table
from sklmeta.episodes.gather import gather_episodes, stream_episodes
from sklmeta.episodes.rows import Episodes
from sklmeta.episodes.sampler import EpisodeSampler, split_support_query
from sklmeta.exceptions import warn

MAX_ONE_TABLE_SUPPORT = 1000
MAX_ONE_TABLE_ROWS = 2**10
MIN_VALIDATION_TASKS = 10
N_VALIDATION_BATCHES = 4


class EpisodeOptions(NamedTuple):
    """The estimator's parameters that say what an episode is."""

    n_shots: int | tuple[int, int]
    n_query: int
    n_way: int | None
    support: Any
    meta_batch_size: int
    validation_fraction: float | None  # None: no early stopping


@dataclass
class EpisodeSource:
    """Training episodes, and the fixed ones of the validation."""

    sampler: EpisodeSampler
    X: RowTable
    y: Tensor
    n_classes: int
    meta_batch_size: int
    rng: np.random.Generator
    valid: list[Episodes] | None = None
    rows: IntArray | None = None  # of the table, to learn from; None: all of them
    _stream: Iterator[Episodes] | None = None
    _n_skipped: int = 0

    def skip(self, n_batches: int) -> None:
        """Go on, before anything is drawn, where so many meta-batches were."""
        self._n_skipped = n_batches

    def draw(self) -> Episodes:
        """Return a fresh meta-batch, out of a block of them that was drawn at once."""
        if self._stream is None:
            self._stream = stream_episodes(
                self.sampler,
                self.meta_batch_size,
                self.X,
                self.y,
                self.n_classes,
                self.rng,
                self._n_skipped,
            )
        return next(self._stream)


def make_source(
    data: Table,
    options: EpisodeOptions,
    scalings: tuple[Scaling, Scaling],
    device: str,
    rng: np.random.Generator,
) -> EpisodeSource:
    """Prepare the episodes of one `fit`.

    Raises
    ------
    ValueError
        If fewer than two tasks can give an episode.
    """
    if data.one_table:
        options = _one_table_options(data, options)
    sampler = _sampler(data, options)
    _check_usable(data, sampler, options.support)
    x_scaling, y_scaling = scalings
    X = row_table(data.X, device, torch.float32, x_scaling)
    if data.class_index is None:
        y = with_zero_row(data.y, device, torch.float32, y_scaling)
    else:
        y = with_zero_row(data.class_index, device)
    n_classes = data.n_shared_classes
    source = EpisodeSource(sampler, X, y, n_classes, options.meta_batch_size, rng)
    if options.validation_fraction is not None:
        _hold_out(source, data, options)
    return source


def rows_to_learn_from(
    data: Table, options: EpisodeOptions, rng: np.random.Generator
) -> IntArray | slice:
    """Return the rows that `make_source`, with these numbers, does not hold out."""
    fraction = options.validation_fraction
    if fraction is None:
        return slice(None)
    usable = _sampler(data, options).usable
    held_out = _held_out_tasks(usable, fraction, rng)
    if held_out is not None:
        return np.flatnonzero(~np.isin(data.codes, held_out))
    held_rows = _held_out_rows(rng, data, options, fraction)
    return np.setdiff1d(np.arange(len(data.codes)), held_rows)


def _sampler(
    data: Table, options: EpisodeOptions, rows: IntArray | slice = slice(None)
) -> EpisodeSampler:
    """Make the sampler of all rows, or of some."""
    return EpisodeSampler(
        data.codes[rows],
        kind=data.kind,
        y=None if data.class_index is None else data.class_index[rows],
        n_shots=options.n_shots,
        n_query=options.n_query,
        n_way=options.n_way,
        support=options.support,
        is_support=None if data.is_support is None else data.is_support[rows],
        rows=None if isinstance(rows, slice) else rows,
    )


def _one_table_options(data: Table, options: EpisodeOptions) -> EpisodeOptions:
    """Train for supports as large as the table that `fit` ends by adapting to."""
    if data.kind == TaskKind.OWN:
        return options
    n_shots = options.n_shots
    low = n_shots if isinstance(n_shots, int | np.integer) else n_shots[0]
    high = max(1, min(len(data.codes) // 2, MAX_ONE_TABLE_SUPPORT))
    batch = max(1, min(options.meta_batch_size, MAX_ONE_TABLE_ROWS // high))
    return options._replace(n_shots=(min(low, high), high), meta_batch_size=batch)


def _check_usable(data: Table, sampler: EpisodeSampler, support: Any) -> None:
    n_tasks, n_usable = len(data.labels), len(sampler.usable)
    reason = "one row" if data.kind != TaskKind.OWN else "one row, or no class with two"
    if data.is_support is not None:
        reason += ", or none in the support or in the query"
    elif not isinstance(support, str):
        reason += f", or no split by {support}"
    if n_usable < min(n_tasks, 2):
        raise ValueError(
            f"Only {n_usable} of {n_tasks} tasks can be learned from, and at least two "
            f"are needed: the others have {reason}. Give more rows per task, or drop "
            "task to treat the rows as one table."
        )
    if n_usable < n_tasks:
        warn(
            f"{n_tasks - n_usable} of {n_tasks} tasks have {reason} and are left out "
            "of meta-training."
        )


def _hold_out(source: EpisodeSource, data: Table, options: EpisodeOptions) -> None:
    """Take validation tasks, or rows, or classes, out of the training episodes."""
    fraction = options.validation_fraction
    assert fraction is not None
    usable = source.sampler.usable
    held_out = _held_out_tasks(usable, fraction, source.rng)
    if held_out is not None:
        valid = _sampler(data, options)
        valid.usable = held_out
        source.sampler.usable = np.setdiff1d(usable, held_out)
        source.rows = np.flatnonzero(~np.isin(data.codes, held_out))
        source.valid = _draw_valid(
            source, valid, max(len(held_out), options.meta_batch_size)
        )
        return
    if not data.one_table:
        warn(
            f"With {len(usable)} tasks, early stopping is judged on held-out rows of "
            f"the training tasks; from {MIN_VALIDATION_TASKS} tasks on it is judged "
            "on held-out tasks."
        )
    held_rows = _held_out_rows(source.rng, data, options, fraction)
    train_rows = np.setdiff1d(np.arange(len(data.codes)), held_rows)
    if data.one_table and data.kind == TaskKind.OWN:
        valid = _sampler(data, options, held_rows)
        source.valid = _draw_valid(source, valid, options.meta_batch_size)
    else:
        source.valid = [
            _draw_held_rows(source, data, options, train_rows, held_rows)
            for _ in range(N_VALIDATION_BATCHES)
        ]
    source.sampler = _sampler(data, options, train_rows)
    source.rows = train_rows


def _held_out_tasks(
    usable: IntArray, fraction: float, rng: np.random.Generator
) -> IntArray | None:
    """Tasks kept from training; None where there are too few."""
    if len(usable) < MIN_VALIDATION_TASKS:
        return None
    return rng.permutation(usable)[: max(2, round(fraction * len(usable)))]


def _held_out_rows(
    rng: np.random.Generator, data: Table, options: EpisodeOptions, fraction: float
) -> IntArray:
    """Rows kept from training: of whole classes in a table of classes of its own."""
    if data.one_table and data.kind == TaskKind.OWN:
        classes = rng.permutation(np.unique(data.targets))
        n_held = max(options.n_way or 2, round(fraction * len(classes)))
        if len(classes) - n_held < max(options.n_way or 2, 2):
            raise ValueError(
                f"early_stopping needs {n_held} held-out classes, and {len(classes)} "
                "classes leave too few to train on. Set early_stopping=False."
            )
        return np.flatnonzero(np.isin(data.targets, classes[:n_held]))
    keys = rng.random(len(data.codes))
    order = np.lexsort((keys, data.codes))
    sizes = np.bincount(data.codes)
    rank = np.arange(len(order)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    # at least one row of every task with three, so that two are left to train on
    quota = np.where(sizes >= 3, np.maximum(1, np.round(fraction * sizes)), 0)
    return np.sort(order[rank < np.repeat(quota, sizes)])


def _draw_valid(
    source: EpisodeSource, sampler: EpisodeSampler, n_tasks: int
) -> list[Episodes]:
    return [
        gather_episodes(
            sampler.sample(n_tasks, source.rng), source.X, source.y, source.n_classes
        )
        for _ in range(N_VALIDATION_BATCHES)
    ]


def _draw_held_rows(
    source: EpisodeSource,
    data: Table,
    options: EpisodeOptions,
    train_rows: IntArray,
    held_rows: IntArray,
) -> Episodes:
    """Support from the training rows, query from the held-out ones of the same task."""
    n_shots = options.n_shots
    if not isinstance(n_shots, int | np.integer):
        n_shots = int(source.rng.integers(n_shots[0], n_shots[1] + 1))
    support, _ = split_support_query(
        data.targets[train_rows],
        data.codes[train_rows],
        int(n_shots),
        support=options.support,
        kind=data.kind,
        random_state=int(source.rng.integers(2**31)),
    )
    rows = np.concatenate([train_rows[support], held_rows])
    is_support = np.arange(len(rows)) < len(support)
    sampler = EpisodeSampler(
        data.codes[rows],
        kind=data.kind,
        y=None if data.class_index is None else data.class_index[rows],
        n_query=options.n_query,
        is_support=is_support,
        rows=rows,
    )
    drawn = sampler.sample(len(sampler.usable), source.rng)
    return gather_episodes(drawn, source.X, source.y, source.n_classes)
