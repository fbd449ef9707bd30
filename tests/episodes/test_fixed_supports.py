"""Evaluation with the supports that the tasks of a collection bring."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklmeta import BayesianLinearRegressor, PerTask, TaskCollection
from sklmeta.model_selection import few_shot_cross_validate


def fixed_supports():
    """Lines of which a task's own support says the slope."""
    rng = np.random.default_rng(0)
    task = np.repeat(np.arange(12), 20)
    X = rng.normal(size=(len(task), 1))
    y = rng.normal(size=12)[task] * X[:, 0]
    is_support = np.arange(len(task)) % 20 < 6
    return X, y, task, is_support


def test_collection_with_supports_is_judged_with_these():
    X, y, task, is_support = fixed_supports()
    tasks = TaskCollection(X, y, task, is_support=is_support)
    model = PerTask(Ridge(alpha=1e-6))
    table = few_shot_cross_validate(model, tasks, shots=None, cv=3, n_draws=4)
    assert sorted(table.task) == list(range(12))  # nothing is random: one draw
    assert (table.n_support == 6).all() and (table.n_query == 14).all()
    assert set(table.shots) == {"fixed"}
    assert (table.sse / table.sst < 1e-3).all()
    # Random targets in the supports, and the models are as bad as these.
    spoiled = np.where(is_support, np.random.default_rng(1).normal(size=len(y)), y)
    tasks = TaskCollection(X, spoiled, task, is_support=is_support)
    table = few_shot_cross_validate(model, tasks, shots=None, cv=3)
    assert table.sse.sum() / table.sst.sum() > 0.5


def test_training_uses_the_supports_too():
    X, y, task, is_support = fixed_supports()
    seen = []

    class Watching(BayesianLinearRegressor):
        def fit(self, X, y=None, task=None):
            seen.append(X)
            return super().fit(X, y, task)

    tasks = TaskCollection(X, y, task, is_support=is_support)
    few_shot_cross_validate(Watching(max_iter=1), tasks, shots=None, cv=2)
    assert [each.is_support.sum() for each in seen] == [36, 36]


def test_own_supports_and_shots_exclude_each_other():
    X, y, task, is_support = fixed_supports()
    tasks = TaskCollection(X, y, task, is_support=is_support)
    with pytest.raises(ValueError, match=r"bring their own supports\. Pass shots=None"):
        few_shot_cross_validate(PerTask(Ridge()), tasks)
    with pytest.raises(ValueError, match="pass a TaskCollection with is_support"):
        few_shot_cross_validate(PerTask(Ridge()), X, y, task, shots=None)
    piped = make_pipeline(StandardScaler(), PerTask(Ridge()))
    with pytest.raises(ValueError, match="which a Pipeline does not take"):
        few_shot_cross_validate(piped, tasks, shots=None)
