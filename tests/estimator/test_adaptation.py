"""Adapting in bulk: chunks, padding, and what is kept per task."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

import numpy as np
import pytest
from fits import fitted
from instances import META
from sklearn.base import clone, is_classifier

from sklmeta.data import rows as _row_store
from sklmeta.estimator import adaptation

# A state smaller than the support it was made from is what is kept.
SMALL_STATES = (
    "anil",
    "fine_tune",
    "logistic_head",
    "meta_lstm",
    "mixed",
    "neural_process_mean",
    "protonet",
    "ridge_head",
)


def outputs(estimator, X, task):
    method = getattr(estimator, "predict_proba", estimator.predict)
    return method(X, task=task)


@pytest.mark.parametrize("name", META)
@pytest.mark.parametrize(
    "limits",
    [
        {"STATE_BUDGET": 0},
        {"TASKS_PER_CHUNK": 3},
        {"ROWS_PER_CHUNK": 40, "QUERY_BLOCK": 4},
    ],
)
def test_chunks_do_not_change_the_answer(
    name, limits, monkeypatch, regression_tasks, shared_tasks
):
    X, y, task = shared_tasks if is_classifier(META[name]) else regression_tasks
    estimator = fitted(META[name], (X, y, task))
    expected = outputs(estimator.adapt(X, y, task=task), X, task)
    for limit, value in limits.items():
        monkeypatch.setattr(adaptation, limit, value)
    estimator.adapt(X, y, task=task)
    if "STATE_BUDGET" in limits:
        chunks = estimator._adaptation.model.chunks
        kept = {chunk.support is not None for chunk in chunks}
        assert True in kept or name.startswith(SMALL_STATES)
    np.testing.assert_allclose(
        outputs(estimator, X, task), expected, rtol=1e-7, atol=1e-9
    )


@pytest.mark.parametrize("name", META)
def test_predicting_for_some_of_the_tasks(name, regression_tasks, shared_tasks):
    X, y, task = shared_tasks if is_classifier(META[name]) else regression_tasks
    estimator = fitted(META[name], (X, y, task)).adapt(X, y, task=task)
    expected = outputs(estimator, X, task)
    rows = np.flatnonzero(np.isin(task, [17, 3]))[::-1]
    some = outputs(estimator, X[rows], task[rows])
    np.testing.assert_allclose(some, expected[rows], rtol=1e-7, atol=1e-9)


def test_one_large_task_among_small_ones(regression_tasks):
    X, y, _ = regression_tasks
    task = np.minimum(np.arange(len(X)) // 3, 20)
    estimator = clone(META["bayesian_linear"]).fit(X, y, task=task)
    bulk = estimator.adapt(X, y, task=task).predict(X, task=task)
    large = task == 20
    single = estimator.adapt(X[large], y[large]).predict(X[large])
    np.testing.assert_allclose(bulk[large], single, rtol=1e-7)


@pytest.mark.parametrize("name", ["maml", "protonet", "bayesian_linear"])
def test_large_arrays_are_not_copied(name, monkeypatch, regression_tasks, shared_tasks):
    X, y, task = shared_tasks if is_classifier(META[name]) else regression_tasks
    estimator = fitted(META[name], (X, y, task))
    expected = outputs(estimator.adapt(X, y, task=task), X, task)
    whole = []
    monkeypatch.setattr(_row_store, "LEAVE_ON_DISK", X.nbytes)
    make = _row_store.with_zero_row
    monkeypatch.setattr(
        _row_store, "with_zero_row", lambda *args: whole.append(args) or make(*args)
    )
    bulk = outputs(estimator.adapt(X, y, task=task), X, task)
    assert not whole
    np.testing.assert_array_equal(bulk, expected)
    assert estimator.predict(X[1:], task=task[1:]).shape == (len(X) - 1,)
    assert len(whole) == 1
