"""How far a prediction may go: the range of the targets, and a margin."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sklmeta.data.codes import group_rows
from sklmeta.data.table import Table

Floats = NDArray[np.float64]


class TargetRange(NamedTuple):
    """What training targets span, all together and within a typical task.

    A task's predictions stay within the range of the training targets and of its own
    support, widened on both sides by the range of its support or by that of a typical
    training task, whichever is larger. Members that extrapolate a task's line from two
    rows then spoil no blend, and a task may still go beyond all that were seen.
    """

    low: float
    high: float
    spread: float  # the median over tasks

    @classmethod
    def of(cls, table: Table) -> TargetRange:
        low, high = _ranges(table)
        return cls(float(low.min()), float(high.max()), float(np.median(high - low)))

    def of_tasks(self, table: Table) -> Floats:  # shape: (n_tasks, 2)
        """Lowest and highest prediction of every task, given its support."""
        low, high = _ranges(table)
        margin = np.maximum(high - low, self.spread)
        return np.stack(
            [np.minimum(low, self.low) - margin, np.maximum(high, self.high) + margin],
            axis=1,
        )

    def without_rows(self) -> Floats:  # shape: (1, 2)
        return np.array([[self.low - self.spread, self.high + self.spread]])


def _ranges(table: Table) -> tuple[Floats, Floats]:
    order, offsets = group_rows(table.codes, table.n_tasks)
    y = table.y[order].astype(np.float64)
    starts = offsets[:-1]
    return np.minimum.reduceat(y, starts), np.maximum.reduceat(y, starts)
