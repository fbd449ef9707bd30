"""Held-out folds say how many meta-updates pay."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import numpy as np
import pytest

from sklmeta import BayesianLinearRegressor, MAMLClassifier
from sklmeta.datasets import make_linear_tasks, make_sinusoids
from sklmeta.estimator.stopping import N_DRAWS, _least_that_is_as_good


def regressor(**params):
    params = {"early_stopping": "folds", "max_iter": 100, **params}
    return BayesianLinearRegressor(hidden_layer_sizes=(32,), random_state=0, **params)


def curves(*means, spread=1.0, n_tasks=20):
    """Losses of each epoch, whose differences scatter over the tasks."""
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(len(means), n_tasks * N_DRAWS))
    noise -= noise.mean(axis=1, keepdims=True)
    return np.array(means)[:, None] + spread * noise


@pytest.mark.parametrize(
    ("means", "spread", "expected"),
    [
        ([1.0, 0.5, 0.2], 0.01, (2, True)),  # all of them, beyond doubt
        ([1.0, 0.2, 0.5], 0.01, (1, True)),
        ([1.0, 0.501, 0.5], 0.01, (2, True)),  # then it is the best
        ([0.2, 0.5, 1.0], 0.01, (0, False)),
        ([1.0, 0.9, 0.8], 10.0, (0, False)),  # not better by a standard error
        ([0.52, 0.5005, 0.5], 0.05, (1, False)),
    ],
)
def test_fewer_updates_are_preferred_where_they_are_as_good(means, spread, expected):
    assert _least_that_is_as_good(curves(*means, spread=spread)) == expected


@pytest.mark.filterwarnings("ignore:max_iter=0 asks for no meta-update")
def test_none_pay_where_the_mixed_model_is_the_truth():
    X, y, task = make_linear_tasks(
        25, n_rows=10, n_features=2, noise=0.5, random_state=0
    )
    est = regressor().fit(X, y, task=task)
    assert est.n_iter_ == 0
    assert est.history_ == []
    none = regressor(max_iter=0).fit(X, y, task=task)
    np.testing.assert_array_equal(est.predict(X), none.predict(X))


def test_all_pay_where_tasks_are_curves():
    X, y, task = make_sinusoids(40, random_state=0)
    est = regressor().fit(X, y, task=task)
    assert est.n_iter_ == 100
    assert [epoch["n_iter"] for epoch in est.history_] == [100]
    # The training that counts is on all tasks, as without folds.
    plain = regressor(early_stopping=False).fit(X, y, task=task)
    np.testing.assert_array_equal(est.predict(X), plain.predict(X))


def test_one_table_and_few_tasks_have_no_folds():
    X, y, task = make_sinusoids(3, random_state=0)
    assert regressor(max_iter=5).fit(X, y).n_iter_ == 5
    assert regressor(max_iter=5).fit(X, y, task=task).n_iter_ == 5


def test_classes_have_folds_too(shared_tasks):
    X, y, task = shared_tasks
    est = MAMLClassifier(early_stopping="folds", max_iter=5, lr=1e-9, random_state=0)
    assert est.fit(X, y, task=task).n_iter_ == 0  # which cannot have paid


def test_a_warm_start_makes_the_updates_that_it_is_asked_for():
    X, y, task = make_sinusoids(12, random_state=0)
    est = regressor(max_iter=20, warm_start=True).fit(X, y, task=task)
    n_before = est.n_iter_
    assert est.fit(X, y, task=task).n_iter_ == n_before + 20
