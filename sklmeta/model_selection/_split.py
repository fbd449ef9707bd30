"""Splitters that keep the rows of a task together."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.model_selection import GroupKFold, GroupShuffleSplit, LeaveOneGroupOut

from sklmeta.data.codes import check_task
from sklmeta.data.collection import TaskCollection
from sklmeta.model_selection._routing import ENABLE_ROUTING, warn_of_splitter_alone

Fold = tuple[NDArray[np.intp], NDArray[np.intp]]


class _TaskSplitter:
    """Mixin: the groups of a scikit-learn splitter are the tasks."""

    # With routing enabled, the one array of `params={"task": t}` feeds both the
    # splitter and `fit`.
    __metadata_request__split = {"groups": "task"}

    def split(
        self, X: Any, y: ArrayLike | None = None, groups: ArrayLike | None = None
    ) -> Iterator[Fold]:
        """Generate the rows of the training and of the held-out tasks.

        Parameters
        ----------
        X : {array-like, data frame} of shape (n_samples, n_features) or TaskCollection
            Rows of all tasks. Of a collection, positions of tasks are generated
            instead of rows, with which the collection can be indexed.

        y : array-like of shape (n_samples,), default=None
            Ignored.

        groups : array-like of shape (n_samples,), default=None
            Task of every row; only a collection does without.

        Returns
        -------
        folds : iterator of (ndarray of int, ndarray of int)
            Training rows and held-out rows of each fold.
        """
        warn_of_splitter_alone(type(self).__name__, groups)
        return self._split(X, groups)

    def _split(self, X: Any, groups: ArrayLike | None) -> Iterator[Fold]:
        if isinstance(X, TaskCollection) and groups is None:
            codes = np.arange(len(X))
            X = codes
        else:
            codes = _task_codes(type(self).__name__, groups)
        yield from super().split(X, None, codes)  # type: ignore[misc]


class TaskKFold(_TaskSplitter, GroupKFold):
    """K-fold cross-validation over tasks: each task is held out exactly once.

    Without `shuffle` the folds are balanced in their number of rows; with it, in their
    number of tasks. With metadata routing enabled,
    ``cross_val_score(est, X, y, params={"task": t}, cv=TaskKFold(5))`` needs nothing
    else; with routing disabled ``groups=t`` would reach the splitter alone.

    Parameters
    ----------
    n_splits : int, default=5
        Number of folds; there must be at least as many tasks.

    shuffle : bool, default=False
        Whether to deal out the tasks at random.

    random_state : int, RandomState instance or None, default=None
        Seed of the shuffling; used only with `shuffle`.

    See Also
    --------
    TaskShuffleSplit : Random splits of the tasks.
    LeaveOneTaskOut : One task at a time.

    Examples
    --------
    >>> import numpy as np
    >>> from sklmeta.model_selection import TaskKFold
    >>> task = np.array(["a", "a", "b", "c", "c", "c"])
    >>> for train, test in TaskKFold(3).split(np.zeros((6, 1)), groups=task):
    ...     print(np.unique(task[test]))
    ['c']
    ['a']
    ['b']
    """


class TaskShuffleSplit(_TaskSplitter, GroupShuffleSplit):
    """Random splits of the tasks into training and held-out ones.

    Parameters
    ----------
    n_splits : int, default=5
        Number of splits.

    test_size : float or int, default=None
        Fraction or number of held-out tasks; None means 0.2, or what `train_size`
        leaves.

    train_size : float or int, default=None
        Fraction or number of training tasks; None means all the others.

    random_state : int, RandomState instance or None, default=None
        Seed of the splits.

    See Also
    --------
    TaskKFold : Each task is held out exactly once.

    Examples
    --------
    >>> import numpy as np
    >>> from sklmeta.model_selection import TaskShuffleSplit
    >>> task = np.array(["a", "a", "b", "c", "c", "c"])
    >>> cv = TaskShuffleSplit(1, test_size=1, random_state=0)
    >>> for train, test in cv.split(np.zeros((6, 1)), groups=task):
    ...     print(np.unique(task[train]), np.unique(task[test]))
    ['a' 'b'] ['c']
    """


class LeaveOneTaskOut(_TaskSplitter, LeaveOneGroupOut):
    """Cross-validation that holds out one task at a time.

    See Also
    --------
    TaskKFold : Fewer folds, of several tasks each.

    Examples
    --------
    >>> import numpy as np
    >>> from sklmeta.model_selection import LeaveOneTaskOut
    >>> task = np.array(["a", "a", "b", "c", "c", "c"])
    >>> LeaveOneTaskOut().get_n_splits(groups=task)
    3
    """

    def get_n_splits(
        self,
        X: Any = None,
        y: ArrayLike | None = None,
        groups: ArrayLike | None = None,
    ) -> int:
        """Return the number of tasks.

        Parameters
        ----------
        X : TaskCollection, default=None
            Used when `groups` is None.

        y : array-like of shape (n_samples,), default=None
            Ignored.

        groups : array-like of shape (n_samples,), default=None
            Task of every row.

        Returns
        -------
        int
        """
        if isinstance(X, TaskCollection) and groups is None:
            return len(X)
        return int(_task_codes(type(self).__name__, groups).max()) + 1


def _task_codes(splitter: str, task: ArrayLike | None) -> NDArray[np.intp]:
    if task is None:
        raise ValueError(
            f"{splitter} needs the task of every row: split(X, y, groups=task). In "
            f"cross_validate, a search and the like {ENABLE_ROUTING}."
        )
    return check_task(task)[0]
