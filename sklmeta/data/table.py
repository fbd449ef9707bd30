"""Validated rows of many tasks."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sklmeta._compat import _safe_indexing
from sklmeta.data.codes import IntArray
from sklmeta.data.kinds import TaskKind
from sklmeta.data.own_classes import SupportClasses, own_classes


class Table(NamedTuple):
    """Validated rows of many tasks: what `fit` learns from, or `adapt` adapts to."""

    X: Any  # shape: (n_samples, *input); numbers, unless the estimator prepares it
    # shape: (n_samples,); labels as the user gave them, or targets; (n_samples,
    # n_targets) where there are several
    y: NDArray
    codes: IntArray  # shape: (n_samples,)
    labels: NDArray  # shape: (n_tasks,)
    kind: TaskKind
    classes: NDArray | None = None  # all of them, sorted; None for regression
    class_index: IntArray | None = None  # in `classes`, or among those of its task
    own: SupportClasses | None = (
        None  # classes of each task, where `adapt` numbers them
    )
    is_support: NDArray[np.bool_] | None = None
    weight: NDArray[np.float64] | None = None  # how often a row counts; None: once
    target_shape: tuple[int, ...] = ()  # of a row's targets, as `fit` was given them

    @property
    def targets(self) -> NDArray:
        """Class indices, or numbers."""
        return self.y if self.class_index is None else self.class_index

    @property
    def n_tasks(self) -> int:
        return len(self.labels)

    @property
    def n_targets(self) -> int:
        return self.y.shape[1] if self.y.ndim == 2 else 1

    @property
    def one_table(self) -> bool:
        return self.n_tasks == 1

    @property
    def n_shared_classes(self) -> int:
        if self.classes is None or self.kind == TaskKind.OWN:
            return 0
        return len(self.classes)

    @property
    def sizes(self) -> IntArray:  # shape: (n_tasks,)
        return np.bincount(self.codes, minlength=self.n_tasks)

    @property
    def shots(self) -> IntArray:  # shape: (n_tasks,)
        """Rows of each task; per class where classes are its own."""
        sizes = self.sizes
        if self.weight is not None:
            counted = np.bincount(self.codes, self.weight, minlength=self.n_tasks)
            sizes = np.maximum(1, np.rint(counted)).astype(np.intp)
        if self.kind != TaskKind.OWN:
            return sizes
        own = self.own or own_classes(self.y, self.codes, self.n_tasks)[1]
        return sizes // own.ways

    def part(self, rows: IntArray) -> Table:
        """Return some of the rows."""
        return self._replace(
            X=_safe_indexing(self.X, rows),
            y=self.y[rows],
            codes=self.codes[rows],
            class_index=None if self.class_index is None else self.class_index[rows],
            is_support=None,
            weight=None if self.weight is None else self.weight[rows],
        )

    def of_tasks(self, rows: NDArray[np.bool_]) -> Table:
        """Return these rows, of whole tasks, as a table of no other task."""
        kept = np.flatnonzero(rows)
        part = self.part(kept)
        present = np.unique(part.codes)
        support = None if self.is_support is None else self.is_support[kept]
        return part._replace(
            codes=np.searchsorted(present, part.codes),
            labels=self.labels[present],
            is_support=support,
        )

    def as_one_task(self) -> Table:
        """Return the rows as one task's."""
        codes = np.zeros_like(self.codes)
        return self._replace(codes=codes, labels=np.zeros(1, dtype=np.intp))
