"""Pairs of rows that come from the same task or not, whatever the classes."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from typing import Any, cast

import numpy as np
from numpy.typing import ArrayLike

from sklmeta._compat import _num_samples
from sklmeta.data.codes import check_task
from sklmeta.data.validation import unpack_collection
from sklmeta.evaluation.containers import shallow_copy

TASKS_PER_EPISODE = 8
"""Tasks whose rows are paired in an episode, unless `n_way` says otherwise."""


class TaskPairsMixin:
    """`fit` and the few-shot score of an estimator with a parameter `pairs`."""

    pairs: str
    n_way: int | None
    shared_classes: bool | None

    def fit(
        self, X: Any, y: ArrayLike | None = None, task: ArrayLike | None = None
    ) -> Any:
        """Learn the distance over a collection of tasks, or from one table.

        Parameters
        ----------
        X : {array-like, data frame} of shape (n_samples, n_features) or collection
            Rows of all tasks; or a `TaskCollection`, or a sequence of ``(X, y)``, one
            per task, without `y` and `task`.

        y : array-like of shape (n_samples,), default=None
            Classes; ignored with ``pairs="task"``.

        task : array-like of shape (n_samples,), default=None
            Label of every row's task. None is one table, whose rows are paired with
            each other; ``pairs="task"`` needs it.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If the input is not usable; an earlier fit is kept.
        NonFiniteLossError
            If the loss stops being finite; the last good epoch's state is kept.
        """
        if self.pairs != "task":
            return cast(Any, super()).fit(X, y, task)
        X, y, task, _ = unpack_collection(X, y, task)
        if task is None or self.shared_classes:
            wrong = "task=None" if task is None else "shared_classes=True"
            raise ValueError(
                "pairs='task' learns whether two rows come from the same task, which "
                f"{wrong} excludes."
            )
        # The tasks are the classes of one table: what is asked is the same.
        table: Any = shallow_copy(self)
        n_way = TASKS_PER_EPISODE if self.n_way is None else self.n_way
        codes, labels = check_task(task, _num_samples(task))
        changed = {
            "pairs": "class",
            "n_way": min(n_way, len(labels)),
            "shared_classes": False,
        }
        table.set_params(**changed).fit(X, labels[codes])
        kept = {name: vars(self)[name] for name in changed}
        vars(self).update(vars(table) | kept | {"tasks_": labels})
        return self

    def _few_shot_score(self, X: Any, y: Any, task: Any, **how: Any) -> float:
        if self.pairs == "task":  # the tasks are the classes of one table
            y, task = task, np.zeros(_num_samples(task), dtype=np.intp)
        return cast(Any, super())._few_shot_score(X, y, task, **how)
