"""Splitters that keep tasks together."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from named_tasks import CODE, TASK, X, Y
from sklearn.base import clone
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV, KFold

from sklmeta.data.collection import TaskCollection
from sklmeta.model_selection import LeaveOneTaskOut, TaskKFold, TaskShuffleSplit


@pytest.mark.parametrize(
    "cv",
    [
        TaskKFold(3),
        TaskKFold(3, shuffle=True, random_state=0),
        TaskShuffleSplit(4, test_size=2, random_state=0),
        LeaveOneTaskOut(),
    ],
)
@pytest.mark.parametrize("kind", ["str", "int", "category", "list"])
def test_splitters_keep_tasks_together(cv, kind):
    task = {
        "str": TASK,
        "int": CODE,
        "category": pd.Series(TASK, dtype="category"),
        "list": TASK.tolist(),
    }[kind]
    folds = list(cv.split(X, Y, groups=task))
    assert len(folds) == cv.get_n_splits(X, Y, task)
    for train, test in folds:
        assert not set(TASK[train]) & set(TASK[test])
        assert len(train) + len(test) == len(TASK)
    if not isinstance(cv, TaskShuffleSplit):
        held_out = np.concatenate([test for _, test in folds])
        np.testing.assert_array_equal(np.sort(held_out), np.arange(len(TASK)))


def test_shuffling_follows_the_seed():
    def held_out(seed):
        cv = TaskKFold(3, shuffle=True, random_state=seed)
        return [set(TASK[test]) for _, test in cv.split(X, groups=TASK)]

    assert held_out(0) == held_out(0)
    assert any(held_out(0) != held_out(seed) for seed in range(1, 5))


def test_splitters_index_a_collection():
    tasks = TaskCollection(X, Y, TASK)
    for cv in (TaskKFold(3), KFold(3), LeaveOneTaskOut(), TaskShuffleSplit(2)):
        for train, test in cv.split(tasks):
            assert len(tasks[train]) + len(tasks[test]) == 6
            assert not set(tasks[train].labels) & set(tasks[test].labels)
    assert LeaveOneTaskOut().get_n_splits(tasks) == 6


@pytest.mark.parametrize("cv", [TaskKFold(), TaskShuffleSplit(), LeaveOneTaskOut()])
def test_splitters_want_valid_tasks(cv):
    with pytest.raises(ValueError, match=r"needs the task of every row.*params="):
        next(cv.split(X, Y))
    with_none = TASK.astype(object)
    with_none[3] = None
    with pytest.raises(ValueError, match="1 missing label"):
        next(cv.split(X, Y, groups=with_none))


def test_splitters_are_ordinary_ones():
    cv = clone(GridSearchCV(Ridge(), {}, cv=TaskKFold(4))).cv
    assert repr(cv) == "TaskKFold(n_splits=4, random_state=None, shuffle=False)"
    assert cv.get_n_splits() == 4
