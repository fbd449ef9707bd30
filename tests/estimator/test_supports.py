"""Supports of every shape, in one call: each gives what it would give alone."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

import numpy as np
import pytest
from fits import fitted
from instances import ALL, CLASSIFIERS
from sklearn.base import is_classifier

SIZES = [1, 1, 2, 3, 40, 300]
TASK = np.repeat([f"task {i}" for i in range(len(SIZES))], SIZES)


def rows_like(X, seed=0):
    """Rows of new tasks, of the sizes above, and a few to predict for each."""
    rng = np.random.default_rng(seed)
    support = X.mean(0) + X.std(0) * rng.normal(size=(sum(SIZES), X.shape[1]))
    query = X.mean(0) + X.std(0) * rng.normal(size=(4 * len(SIZES), X.shape[1]))
    return support, query, np.repeat(np.unique(TASK), 4)


def check_each_alone(estimator, X, y, X_query, query_task):
    """Adapt to all tasks at once, then one by one; return the outputs."""
    output = "predict_proba" if is_classifier(estimator) else "predict"
    estimator.adapt(X, y, task=TASK)
    together = getattr(estimator, output)(X_query, task=query_task)
    assert np.isfinite(together).all()
    columns = getattr(estimator, "classes_", None)
    for name in np.unique(TASK):
        mine, asked = TASK == name, query_task == name
        estimator.adapt(X[mine], y[mine])
        alone = getattr(estimator, output)(X_query[asked])
        expected = together[asked]
        if columns is not None:
            has = np.isin(columns, estimator.classes_)
            assert (expected[:, ~has] == 0).all()
            expected = expected[:, has]
        np.testing.assert_allclose(alone, expected, rtol=1e-6, atol=1e-7)
    return together


@pytest.mark.parametrize("name", [name for name in ALL if name not in CLASSIFIERS])
def test_regression(name, regression_tasks):
    X, y, task = regression_tasks
    estimator = fitted(ALL[name], (X, y, task))
    support, query, query_task = rows_like(X)
    targets = support @ [1.0, -2.0, 0.5]
    check_each_alone(estimator, support, targets, query, query_task)


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_shared_classes_present_and_absent(name, shared_tasks):
    X, y, task = shared_tasks
    estimator = fitted(ALL[name], (X, y, task))
    support, query, query_task = rows_like(X)
    labels = np.array(["ill", "unsure", "well"])[np.arange(len(support)) % 3]
    labels[TASK == "task 3"] = "well"  # a task that shows one class
    labels[(TASK == "task 4") & (labels == "unsure")] = "ill"  # and one, two of three
    proba = check_each_alone(estimator, support, labels, query, query_task)
    np.testing.assert_allclose(proba.sum(1), 1, rtol=1e-6)


OWN = [n for n, one in CLASSIFIERS.items() if "shared_classes" in one.get_params()]


@pytest.mark.parametrize("name", OWN)
def test_own_classes_from_one_to_nine(name, own_tasks):
    X, y, task = own_tasks
    params = {"n_way": 3, "n_shots": 2, "n_query": 3, "shared_classes": False}
    known = ALL[name].get_params()
    own = {k: v for k, v in params.items() if k in known}
    estimator = fitted(ALL[name], (X, y, task), **own)
    support, query, query_task = rows_like(X)
    n_classes = dict(zip(np.unique(TASK), [1, 1, 2, 1, 9, 5], strict=True))
    labels = np.array(
        [f"{name} class {i % n_classes[name]}" for i, name in enumerate(TASK)]
    )
    proba = check_each_alone(estimator, support, labels, query, query_task)
    np.testing.assert_allclose(proba.sum(1), 1, rtol=1e-6)
