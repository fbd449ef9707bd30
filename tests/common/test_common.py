"""Checks of every estimator in the table, beside those of its contract."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

import warnings

import numpy as np
import pytest
import torch
from fits import fitted
from instances import (
    ALL,
    META,
    META_CLASSIFIERS,
    META_REGRESSORS,
    VARIANTS,
)
from sklearn.base import clone, is_classifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.estimator_checks import parametrize_with_checks


@parametrize_with_checks([ALL[name] for name in ALL if name not in VARIANTS])
def test_scikit_learn_checks(estimator, check):
    check(estimator)


@pytest.fixture
def tasks_for(regression_tasks, shared_tasks):
    return lambda estimator: (
        shared_tasks if is_classifier(estimator) else regression_tasks
    )


def only_plain(value):
    if isinstance(value, dict):
        return all(map(only_plain, value)) and all(map(only_plain, value.values()))
    if isinstance(value, list | tuple):
        return all(map(only_plain, value))
    if isinstance(value, np.ndarray):
        return value.dtype != object
    return value is None or isinstance(value, str | int | float | bool | np.generic)


@pytest.mark.parametrize("name", META)
def test_fitted_state_is_arrays_and_plain_python(name, tasks_for):
    data = tasks_for(ALL[name])
    estimator = fitted(ALL[name], data).adapt(*data[:2], task=data[2])
    for key, value in estimator.__getstate__().items():
        if key not in estimator.get_params():
            assert only_plain(value), key


@pytest.mark.parametrize("name", META)
def test_raw_units_and_wild_values_stay_finite(name, tasks_for):
    X, y, task = tasks_for(ALL[name])
    X = X.copy()
    X[:, 0] = X[:, 0] * 1e6 + 1e9
    X[0, 1], X[1, 1], X[:, 2] = 1e300, -1e300, 3.0
    with warnings.catch_warnings():
        # Gradient steps may overflow on such a task; fit says so and goes on.
        warnings.simplefilter("ignore", ConvergenceWarning)
        estimator = fitted(ALL[name], (X, y, task))
    output = getattr(estimator, "predict_proba", estimator.predict)
    assert np.isfinite(output(X)).all()
    estimator.adapt(X[:8], y[:8])
    assert np.isfinite(output(X)).all()


@pytest.mark.parametrize("name", META_CLASSIFIERS)
def test_a_class_that_the_support_lacks_may_be_predicted(name, shared_tasks):
    X, y, _task = shared_tasks
    only_two = np.flatnonzero(y != "well")[:6]
    estimator = fitted(ALL[name], shared_tasks).adapt(X[only_two], y[only_two])
    assert (estimator.predict_proba(X)[:, 2] > 0).any()


@pytest.mark.parametrize("name", META_REGRESSORS)
def test_regressors_return_in_the_units_of_y(name, regression_tasks):
    X, y, task = regression_tasks
    plain = fitted(ALL[name], (X, y, task))
    scaled = fitted(ALL[name], (X * 1000, y * 100 + 7, task))
    plain.adapt(X[:5], y[:5])
    scaled.adapt(X[:5] * 1000, y[:5] * 100 + 7)
    np.testing.assert_allclose(
        scaled.predict(X * 1000), plain.predict(X) * 100 + 7, rtol=1e-3, atol=0.1
    )


@pytest.mark.parametrize("name", META)
def test_parameters_of_module_and_optimizer_are_tunable(name):
    estimator = clone(ALL[name])
    estimator.set_params(module=torch.nn.Linear, module__out_features=5)
    estimator.set_params(optimizer__weight_decay=0.1, optimizer_params={"eps": 1e-7})
    assert estimator.module_params == {"out_features": 5}
    assert estimator.optimizer_params == {"eps": 1e-7, "weight_decay": 0.1}
    assert clone(estimator).get_params()["module__out_features"] == 5
