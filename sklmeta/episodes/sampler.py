"""Drawing episodes: a support and a query set for each of many tasks at once.

Rows are drawn by index arithmetic over the whole meta-batch. Tasks of different sizes
are padded here, and nothing past this module knows of it except through a mask.
"""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_random_state

from sklmeta.data.codes import IntArray, group_rows
from sklmeta.data.kinds import TaskKind
from sklmeta.episodes.draw import (
    PADDING,
    compact,
    draw_distinct,
    first_distinct,
    padded_positions,
    shift_padded,
    take_padded,
)
from sklmeta.episodes.fixed_support import FixedSplits, fixed_splits


class EpisodeRows(NamedTuple):
    """The rows of one or more meta-batches, as positions in the table; -1 is padding.

    Padding stands at the end of each task's rows.
    """

    tasks: IntArray  # shape: (n_tasks,)
    support: IntArray  # shape: (n_tasks, n_support)
    query: IntArray  # shape: (n_tasks, n_query)
    support_labels: IntArray | None = None  # own classes: the class in this episode
    query_labels: IntArray | None = None
    ways: IntArray | None = None  # shape: (n_tasks,)


class EpisodeSampler:
    """Draw episodes from a table of tasks.

    Parameters
    ----------
    codes : ndarray of shape (n_samples,)
        Index of every row's task, as `sklmeta.data.codes.check_task` returns it.

    kind : TaskKind, default="regression"
        What the targets are: numbers, classes of which all tasks speak, or classes of
        each task's own.

    y : ndarray of int of shape (n_samples,), default=None
        Class index of every row; not needed for regression.

    n_shots : int or (int, int), default=5
        Support rows: per class when classes are a task's own, else in total. A range is
        inclusive and drawn from anew for every task; in total, it ends at half the
        task's rows.

    n_query : int, default=15
        Query rows, counted as `n_shots` is.

    n_way : int, default=None
        Classes of an episode when classes are a task's own; None takes all of them.

    support : "random", "stratified", "first" or splitter, default="random"
        How the support is chosen: at random; at random, but of shared classes a row of
        each that the task has comes first; first in row order; or by an object with a
        scikit-learn ``split(X, y)`` method, whose training rows it is.

    is_support : ndarray of bool of shape (n_samples,), default=None
        Each task's fixed support, which overrides `support` and `n_shots`.

    rows : ndarray of int of shape (n_samples,), default=None
        Position in the table of every row given; None means that it is its own. So
        episodes are drawn from a part of a table, of which no copy is made.

    Notes
    -----
    A task of n rows gives at most ``min(n_shots, n - 1)`` support rows, and of the rest
    at most `n_query` query rows; a class of one row goes to the support. No row is in
    both, and none is repeated.
    """

    def __init__(
        self,
        codes: IntArray,
        *,
        kind: TaskKind = TaskKind.REGRESSION,
        y: IntArray | None = None,
        n_shots: int | tuple[int, int] = 5,
        n_query: int = 15,
        n_way: int | None = None,
        support: Any = "random",
        is_support: NDArray[np.bool_] | None = None,
        rows: IntArray | None = None,
    ):
        self.kind = kind
        self.n_shots = n_shots
        self.n_query = n_query
        self.n_way = n_way
        self.support = support
        self.n_tasks = int(codes.max()) + 1 if len(codes) else 0
        self._order, self._offsets = group_rows(codes, self.n_tasks)
        self._sizes = np.diff(self._offsets)
        if kind != TaskKind.REGRESSION:
            self._index_classes(codes, np.asarray(y))
        self._fixed: FixedSplits | None = None
        if is_support is not None or not isinstance(support, str):
            self._fixed = fixed_splits(
                self._order, self._offsets, y, support, is_support, kind == TaskKind.OWN
            )
        self.usable = np.flatnonzero(self._usable())
        if rows is not None:
            self._rename(np.asarray(rows))

    def _index_classes(self, codes: IntArray, y: IntArray) -> None:
        """Sort the rows by (task, class): a cell is the rows of one class of a task."""
        n_classes = int(y.max()) + 1 if len(y) else 1
        key = codes * n_classes + y
        self._cell_order = np.argsort(key, kind="stable")
        ranked = key[self._cell_order]
        starts = np.flatnonzero(np.r_[True, ranked[1:] != ranked[:-1]])
        self._cell_starts = starts
        self._cell_sizes = np.diff(np.r_[starts, len(key)])
        cell_tasks = codes[self._cell_order[starts]]
        self._n_cells = np.bincount(cell_tasks, minlength=self.n_tasks)
        self._first_cells = np.cumsum(self._n_cells) - self._n_cells

    def _rename(self, rows: IntArray) -> None:
        """Speak of the rows by their positions in a larger table."""
        self._order = rows[self._order]
        if self.kind != TaskKind.REGRESSION:
            self._cell_order = rows[self._cell_order]
        if self._fixed is not None:
            self._fixed = self._fixed._replace(
                support=rows[self._fixed.support], query=rows[self._fixed.query]
            )

    def _usable(self) -> NDArray[np.bool_]:
        """Tasks that can give at least one support and one query row."""
        if self._fixed is not None:
            return self._fixed.n_splits > 0
        usable = self._sizes >= 2
        if self.kind == TaskKind.OWN:
            repeated = np.add.reduceat(self._cell_sizes >= 2, self._first_cells) > 0
            usable &= (self._n_cells >= 2) & repeated
        return usable

    @property
    def usable_rows(self) -> tuple[IntArray, IntArray]:
        """Rows of the usable tasks, and the task of each."""
        tasks = np.repeat(np.arange(self.n_tasks), self._sizes)
        usable = np.isin(tasks, self.usable)
        return self._order[usable], tasks[usable]

    def sample(
        self, n_tasks: int, rng: np.random.Generator, n_batches: int = 1
    ) -> EpisodeRows:
        """Draw `n_tasks` tasks, and a support and a query for each.

        Tasks are equally likely, whatever their size; none comes twice in a meta-batch
        unless it asks for more tasks than there are.

        Parameters
        ----------
        n_tasks : int
            Tasks of a meta-batch.

        rng : numpy Generator
        n_batches : int, default=1
            Meta-batches to draw at once; their tasks follow one another.

        Returns
        -------
        EpisodeRows
            Of ``n_batches * n_tasks`` tasks.
        """
        n_usable = len(self.usable)
        n_whole, rest = divmod(n_tasks, n_usable)
        whole = draw_distinct(np.full(n_batches * n_whole, n_usable), n_usable, rng)
        part = draw_distinct(np.full(n_batches, n_usable), rest, rng)
        chosen = np.hstack([whole.reshape(n_batches, -1), part])
        tasks = self.usable[chosen.ravel()]
        return self._draw(tasks, self._shots(tasks, rng), self.n_query, rng)

    def _shots(self, tasks: IntArray, rng: np.random.Generator) -> IntArray:
        if not isinstance(self.n_shots, tuple | list):
            return np.full(len(tasks), self.n_shots)
        low, high = self.n_shots
        if self.kind == TaskKind.OWN:
            return rng.integers(low, high + 1, len(tasks))
        # Else most episodes of a small task would have all its rows but one in the
        # support, and hardly a query to learn from.
        half = np.maximum(low, self._sizes[tasks] // 2)
        return rng.integers(low, np.minimum(high, half) + 1)

    def _draw(
        self,
        tasks: IntArray,
        shots: IntArray,
        n_query: int,
        rng: np.random.Generator,
    ) -> EpisodeRows:
        if self._fixed is not None:
            return EpisodeRows(tasks, *self._fixed.draw(tasks, n_query, rng))
        if self.kind == TaskKind.OWN:
            return self._draw_per_class(tasks, shots, n_query, rng)
        return self._draw_in_total(tasks, shots, n_query, rng)

    def _draw_in_total(
        self,
        tasks: IntArray,
        shots: IntArray,
        n_query: int,
        rng: np.random.Generator,
    ) -> EpisodeRows:
        starts, sizes = self._offsets[tasks], self._sizes[tasks]
        shots = np.minimum(shots, sizes - 1)
        width = int(shots.max(initial=0))
        if self.support == "first":
            support = padded_positions(starts, shots, width)
            query = draw_distinct(sizes - shots, n_query, rng)
            query = shift_padded(query, starts + shots)
            return EpisodeRows(
                tasks,
                take_padded(self._order, support),
                take_padded(self._order, query),
            )
        rows = draw_distinct(sizes, width + n_query, rng)
        rows = take_padded(self._order, shift_padded(rows, starts))
        if self.kind == TaskKind.SHARED and self.support == "stratified":
            firsts = self._one_of_each_class(tasks, shots, rng)
            # The rest of the sequence is exchangeable, so what remains of it after the
            # rows already taken is again a uniform draw.
            rows = first_distinct(np.hstack([firsts, rows]), rows.shape[1])
        return EpisodeRows(tasks, *_cut(rows, shots, n_query))

    def _one_of_each_class(
        self, tasks: IntArray, shots: IntArray, rng: np.random.Generator
    ) -> IntArray:
        """One random row of each class present, in random order; `shots` at most."""
        n_cells = self._n_cells[tasks]
        n_firsts = int(np.minimum(n_cells, shots).max(initial=0))
        chosen = draw_distinct(n_cells, n_firsts, rng)
        chosen[np.arange(n_firsts) >= shots[:, None]] = PADDING
        cells = chosen + self._first_cells[tasks][:, None]
        within = (rng.random(cells.shape) * self._cell_sizes[cells]).astype(np.intp)
        rows = self._cell_order[self._cell_starts[cells] + within]
        return np.where(chosen == PADDING, PADDING, rows)

    def _draw_per_class(
        self,
        tasks: IntArray,
        shots: IntArray,
        n_query: int,
        rng: np.random.Generator,
    ) -> EpisodeRows:
        n_cells = self._n_cells[tasks]
        ways = n_cells if self.n_way is None else np.minimum(n_cells, self.n_way)
        width = int(ways.max(initial=0))
        chosen = draw_distinct(n_cells, width, rng)  # classes in random order
        chosen[np.arange(width) >= ways[:, None]] = PADDING
        present = (chosen != PADDING).ravel()
        cells = (chosen + self._first_cells[tasks][:, None]).ravel()
        sizes = np.where(present, self._cell_sizes[cells], 0)
        starts = self._cell_starts[cells]
        cell_shots = np.minimum(np.repeat(shots, width), np.maximum(sizes - 1, 1))
        cell_shots = np.where(present, cell_shots, 0)
        n_support = int(cell_shots.max(initial=0))
        if self.support == "first":
            support = padded_positions(starts, cell_shots, n_support)
            query = draw_distinct(sizes - cell_shots, n_query, rng)
            query = shift_padded(query, starts + cell_shots)
        else:
            rows = draw_distinct(sizes, n_support + n_query, rng)
            rows = shift_padded(rows, starts)
            support, query = _cut(rows, cell_shots, n_query)
        support, support_labels = self._by_task(support, len(tasks))
        query, query_labels = self._by_task(query, len(tasks))
        return EpisodeRows(tasks, support, query, support_labels, query_labels, ways)

    def _by_task(self, rows: IntArray, n_tasks: int) -> tuple[IntArray, IntArray]:
        """Lay the rows of a task's classes side by side, with each row's class."""
        width = len(rows) // max(n_tasks, 1)
        labels = np.tile(np.repeat(np.arange(width), rows.shape[1]), (n_tasks, 1))
        rows = take_padded(self._cell_order, rows).reshape(n_tasks, -1)
        real = rows != PADDING
        if not real.all():
            longest = int(np.count_nonzero(real, axis=1).max(initial=0))
            rows, labels = (compact(values, real, longest) for values in (rows, labels))
            labels[labels == PADDING] = 0
        return rows, labels

    def split_all(self, shots: int, rng: np.random.Generator) -> EpisodeRows:
        """Draw one support for every usable task.

        The query is left empty, being the rest, unless a splitter says what it is.
        """
        n_query = int(self._sizes.max(initial=0)) if self._fixed is not None else 0
        return self._draw(self.usable, np.full(len(self.usable), shots), n_query, rng)


def _cut(rows: IntArray, shots: IntArray, n_query: int) -> tuple[IntArray, IntArray]:
    """Cut each sequence into its first `shots` rows and the `n_query` that follow."""
    width = int(shots.max(initial=0))
    if not len(shots) or int(shots.min()) == width:
        return rows[:, :width], rows[:, width : width + n_query]
    support = np.where(np.arange(width) < shots[:, None], rows[:, :width], PADDING)
    column = shots[:, None] + np.arange(n_query)
    return support, np.take_along_axis(rows, column, axis=1)


def training_support(support: Any) -> Any:
    """Return how episodes to learn from are drawn, of what an estimator is told.

    With a row of each class they teach more of rare ones. Scores must not know that
    much, and with other targets it is the same.
    """
    at_random = isinstance(support, str) and support == "random"
    return "stratified" if at_random else support


def split_support_query(
    y: ArrayLike,
    task_codes: IntArray,
    shots: int,
    *,
    support: Any = "random",
    kind: TaskKind = TaskKind.REGRESSION,
    is_support: NDArray[np.bool_] | None = None,
    random_state: Any = None,
) -> tuple[IntArray, IntArray]:
    """Split the rows of every task into a support and a query, all tasks at once.

    Parameters
    ----------
    y : array-like of shape (n_samples,)
        Targets.

    task_codes : ndarray of int of shape (n_samples,)
        Index of every row's task.

    shots : int
        Support rows: per class when classes are a task's own, else in total.

    support : "random", "stratified", "first" or splitter, default="random"
        How the support is chosen; see `EpisodeSampler`.

    kind : TaskKind, default="regression"
        What the targets are; see `EpisodeSampler`.

    is_support : ndarray of bool of shape (n_samples,), default=None
        Each task's fixed support, which overrides `support` and `shots`.

    random_state : int, RandomState instance or None, default=None
        Seed of the draw.

    Returns
    -------
    support_rows, query_rows : ndarray of int
        Positions of the rows, in row order. Tasks that cannot give both are left out;
        with ``shots=0`` every row is a query row.
    """
    task_codes = np.asarray(task_codes)
    if shots == 0 and is_support is None:
        return np.empty(0, dtype=np.intp), np.arange(len(task_codes))
    classes = None
    if kind != TaskKind.REGRESSION:
        classes = np.unique(np.asarray(y), return_inverse=True)[1]
    sampler = EpisodeSampler(
        task_codes, kind=kind, y=classes, support=support, is_support=is_support
    )
    seed = check_random_state(random_state).randint(2**31)
    drawn = sampler.split_all(shots, np.random.default_rng(seed))
    role = np.zeros(len(task_codes), dtype=np.int8)
    usable = np.zeros(sampler.n_tasks, dtype=bool)
    usable[sampler.usable] = True
    if isinstance(support, str) and is_support is None:
        role[usable[task_codes]] = 1
    role[drawn.query[drawn.query != PADDING]] = 1
    role[drawn.support[drawn.support != PADDING]] = 2
    return np.flatnonzero(role == 2), np.flatnonzero(role == 1)
