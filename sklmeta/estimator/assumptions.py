"""What an estimator assumed, said once, where it may not be what was meant."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sklmeta.data.codes import check_task
from sklmeta.data.kinds import TaskKind
from sklmeta.data.labels import as_labels, positions
from sklmeta.data.table import Table
from sklmeta.exceptions import warn

FEW_TASKS = 3
"""Two differ in one way: how tasks differ needs more."""

_INSIDE: ContextVar[bool] = ContextVar("inside an estimator", default=False)


@contextmanager
def asked_by_user() -> Iterator[bool]:
    """Whether this is not the work of another estimator, which speaks for its own."""
    outermost = not _INSIDE.get()
    token = _INSIDE.set(True)
    try:
        yield outermost
    finally:
        _INSIDE.reset(token)


def digest_of(targets: NDArray[Any]) -> str:
    """Return what tells these rows from others: their targets, in this order."""
    values = np.ascontiguousarray(targets, dtype=np.float64)
    return hashlib.sha256(values.tobytes()).hexdigest()[:16]


def warn_of_few_tasks(estimator: Any) -> None:
    """Say what `fit` made of one task or two, when it was given tasks."""
    n_tasks = len(estimator.tasks_)
    if n_tasks >= FEW_TASKS or _learns_no_tasks(estimator):
        return
    name = type(estimator).__name__
    if n_tasks == 1:
        warn(
            f"task has a single label, so {name} took all rows for one table: how "
            "tasks differ it cannot know. Give fit the rows of several tasks."
        )
    else:
        warn(
            f"{name} was fitted to {n_tasks} tasks, which say next to nothing of how "
            "tasks differ. Give it more, or see with sklmeta.comparing.compare whether "
            "PerTask does as well."
        )


def warn_of_one_table(estimator: Any, table: Table) -> None:
    """Say, at the first other rows, that `fit` was given no tasks."""
    known = getattr(estimator, "_digest_of_fit", None)  # early versions have none
    if known is None or len(estimator.tasks_) > 1 or _learns_no_tasks(estimator):
        return
    if known != digest_of(table.targets):
        warn(
            f"This {type(estimator).__name__} was fitted to one table, as fit was "
            "given no task (or a single one): it has learned from that table alone, "
            "and nothing of how tasks differ. Call fit(X, y, task=task) with the task "
            "of every row."
        )


def warn_of_known_tasks(estimator: Any, y: Any, task: Any) -> None:
    """Say that a few-shot score is of tasks that `fit` knows by other rows.

    A score on the very rows of `fit` is meant to be in sample.
    """
    known = getattr(estimator, "_digest_of_fit", None)
    if known is None or len(estimator.tasks_) < 2 or not estimator._learns_from_tasks:
        return
    _, asked = check_task(task)
    both = asked[pd.Index(estimator.tasks_).get_indexer(pd.Index(asked)) >= 0]
    if not len(both):
        return
    classes = estimator._initial_adaptation.classes
    targets = y if classes is None else positions(as_labels(y, "y"), classes)
    if known != digest_of(targets):
        warn(
            f"{type(estimator).__name__} was scored on other rows of tasks that fit "
            f"has seen, such as {both.tolist()[0]!r}: on new tasks it may do worse. "
            "Split by task, with cv=TaskKFold(5) of sklmeta.model_selection, or use "
            "few_shot_cross_validate; if these are other tasks, give them labels of "
            "their own."
        )


def _learns_no_tasks(estimator: Any) -> bool:
    """Whether tasks are nothing to it, or a table of many classes as good as tasks."""
    return estimator._is_baseline or estimator._task_kind == TaskKind.OWN
