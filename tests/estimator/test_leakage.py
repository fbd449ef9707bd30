"""Nothing of a held-out task reaches meta-training, nor a query its own prediction.

Each test plants a leak that would be seen.
"""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

import numpy as np
from sklearn import config_context
from sklearn.linear_model import Ridge
from sklearn.model_selection import KFold, cross_validate
from sklearn.neighbors import KNeighborsRegressor

from sklmeta import BayesianLinearRegressor, PerTask, Pooled
from sklmeta.model_selection import FewShotScorer, TaskKFold, few_shot_cross_validate


def estimator():
    return BayesianLinearRegressor(
        hidden_layer_sizes=(8,), max_iter=30, n_query=8, random_state=0
    )


def folds(X, y, task):
    with config_context(enable_metadata_routing=True):
        return cross_validate(
            estimator(),
            X,
            y,
            params={"task": task},
            cv=TaskKFold(3),
            scoring=FewShotScorer(shots=3),
            return_estimator=True,
            return_indices=True,
            error_score="raise",
        )


def test_held_out_rows_do_not_move_the_learned_weights(regression_tasks):
    X, y, task = regression_tasks
    honest = folds(X, y, task)
    for fold, test in enumerate(honest["indices"]["test"]):
        assert not set(task[test]) & set(task[honest["indices"]["train"][fold]])
        spoiled_X, spoiled_y = X.copy(), y.copy()
        spoiled_X[test] += 1e3
        spoiled_y[test] *= -50
        spoiled = folds(spoiled_X, spoiled_y, task)
        for name, value in honest["estimator"][fold]._fitted.weights.items():
            np.testing.assert_array_equal(
                value, spoiled["estimator"][fold]._fitted.weights[name]
            )


def tasks_that_only_memory_solves():
    """The target is the task's secret number; a feature names the task."""
    rng = np.random.default_rng(0)
    task = np.repeat(np.arange(24), 12)
    X = np.eye(24)[task] + 0.01 * rng.normal(size=(len(task), 24))
    return X, rng.normal(size=24)[task], task


def test_a_leak_across_tasks_would_be_seen():
    X, y, task = tasks_that_only_memory_solves()
    est = Pooled(Ridge(1e-3))
    with config_context(enable_metadata_routing=True):
        leaky = cross_validate(
            est,
            X,
            y,
            params={"task": task},
            cv=KFold(3, shuffle=True, random_state=0),
            scoring="r2",
            error_score="raise",
        )["test_score"]
        honest = cross_validate(
            est,
            X,
            y,
            params={"task": task},
            cv=TaskKFold(3),
            scoring="r2",
            error_score="raise",
        )["test_score"]
    assert leaky.mean() > 0.9
    assert honest.mean() < 0.3


def test_a_support_row_in_the_query_would_be_seen():
    """A nearest neighbour of pure noise is right only about rows it remembers."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(400, 3))
    y = rng.normal(size=400)
    task = np.repeat(np.arange(20), 20)
    memory = PerTask(KNeighborsRegressor(n_neighbors=1)).fit(X, y, task=task)
    scores = few_shot_cross_validate(memory, X, y, task, shots=[5, 19], cv=4)
    error = scores["sse"].sum() / scores["sst"].sum()
    assert error > 1.5
    memory.adapt(X, y, task=task)
    np.testing.assert_allclose(memory.predict(X, task=task), y)


def test_tasks_that_early_stopping_holds_out_do_not_move_the_scale(regression_tasks):
    X, y, task = regression_tasks
    fitted = [
        fit_beside_a_giant(X, y, task, name, giant)
        for name in np.unique(task)
        for giant in (1.0, 1e6)
    ]
    held_out = 0
    for plain, beside in zip(fitted[::2], fitted[1::2], strict=True):
        # A task to learn from moves the scale: the leak would be seen.
        held_out += plain.x_scaling.scale.max() == beside.x_scaling.scale.max()
        if plain.x_scaling.scale.max() == beside.x_scaling.scale.max():
            np.testing.assert_array_equal(plain.y_scaling.scale, beside.y_scaling.scale)
    assert 2 <= held_out < len(fitted) // 4


def fit_beside_a_giant(X, y, task, name, giant):
    factor = np.where(task == name, giant, 1.0)
    est = estimator().set_params(early_stopping=True, max_iter=1)
    return est.fit(X * factor[:, None], y * factor, task=task)._fitted
