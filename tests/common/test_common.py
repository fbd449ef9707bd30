"""Checks that every estimator passes, from one table of instances."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

import pickle
import warnings

import numpy as np
import pytest
import torch
from fits import fitted
from instances import (
    ALL,
    CLASSIFIERS,
    META,
    META_CLASSIFIERS,
    META_REGRESSORS,
    VARIANTS,
)
from sklearn.base import clone, is_classifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.estimator_checks import parametrize_with_checks

import sklmeta
from sklmeta.episodes.sampler import split_support_query


@parametrize_with_checks([ALL[name] for name in ALL if name not in VARIANTS])
def test_scikit_learn_checks(estimator, check):
    check(estimator)


@pytest.fixture
def tasks_for(regression_tasks, shared_tasks):
    return lambda estimator: (
        shared_tasks if is_classifier(estimator) else regression_tasks
    )


def halves(y, task, seed=0):
    codes = np.unique(task, return_inverse=True)[1]
    return split_support_query(y, codes, 5, random_state=seed)


@pytest.mark.parametrize("name", ALL)
def test_zero_shots_adapt_predict_score(name, tasks_for):
    data = tasks_for(ALL[name])
    X, y, task = data
    estimator = fitted(ALL[name], data)
    zero_shot = estimator.predict(X[:7])
    assert zero_shot.shape == (7,)
    support, query = halves(y, task)
    assert estimator.adapt(X[support], y[support], task=task[support]) is estimator
    bulk = estimator.predict(X[query], task=task[query])
    # one task at a time gives what all at once gave
    for label in np.unique(task[query])[:4]:
        mine, rest = support[task[support] == label], task[query] == label
        estimator.adapt(X[mine], y[mine])
        single = estimator.predict(X[query][rest])
        if is_classifier(estimator):
            np.testing.assert_array_equal(single, bulk[rest])
        else:
            np.testing.assert_allclose(single, bulk[rest], rtol=1e-6, atol=1e-8)
    score = estimator.score(X, y, task=task, shots=3)
    assert score == estimator.score(X, y, task=task, shots=3)
    assert np.isfinite(score)


@pytest.mark.parametrize("name", META)
def test_adapting_does_not_remember_earlier_tasks(name, tasks_for):
    data = tasks_for(ALL[name])
    X, y, _ = data
    estimator = fitted(ALL[name], data)
    first = estimator.adapt(X[:20], y[:20]).predict(X)
    estimator.adapt(X[20:60], y[20:60])
    again = estimator.adapt(X[:20], y[:20]).predict(X)
    np.testing.assert_array_equal(first, again)


@pytest.mark.parametrize("name", META)
def test_same_seed_same_result_and_callers_stream_untouched(name, tasks_for):
    data = tasks_for(ALL[name])
    torch.manual_seed(5)
    np.random.seed(5)  # noqa: NPY002 the caller's legacy stream is what is tested
    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    X, y, task = data
    one = clone(ALL[name]).fit(X, y, task=task)
    one.adapt(X[:9], y[:9]).predict(X)
    assert torch.equal(before[0], torch.get_rng_state())
    after = np.random.get_state()[1]  # noqa: NPY002
    np.testing.assert_array_equal(before[1], after)
    two = clone(ALL[name]).fit(X, y, task=task)
    for key, value in one._fitted.weights.items():
        np.testing.assert_array_equal(value, two._fitted.weights[key])
    other = fitted(ALL[name], data, random_state=1)
    assert any(
        (other._fitted.weights[k] != v).any() for k, v in one._fitted.weights.items()
    )


@pytest.mark.parametrize("name", ALL)
def test_pickle_round_trip_keeps_the_adaptation(name, tasks_for):
    data = tasks_for(ALL[name])
    X, y, task = data
    estimator = fitted(ALL[name], data)
    copy = pickle.loads(pickle.dumps(estimator))
    np.testing.assert_array_equal(copy.predict(X), estimator.predict(X))
    estimator.adapt(X, y, task=task)
    copy = pickle.loads(pickle.dumps(estimator))
    np.testing.assert_array_equal(
        copy.predict(X, task=task), estimator.predict(X, task=task)
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
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_prediction_follows_the_dtype_of_fit(name, dtype, tasks_for):
    X, y, task = tasks_for(ALL[name])
    estimator = fitted(ALL[name], (X.astype(dtype), y, task))
    for values in (X.astype(np.float32), X.astype(np.float64)):
        if is_classifier(estimator):
            assert estimator.predict_proba(values).dtype == dtype
        else:
            assert estimator.predict(values).dtype == dtype
    # rows do not depend on the rows they are predicted with
    output = getattr(estimator, "predict_proba", estimator.predict)
    whole = output(X.astype(dtype))
    one_by_one = np.concatenate([output(row[None].astype(dtype)) for row in X[:8]])
    tolerance = 1e-4 if dtype == np.float32 else 1e-7
    np.testing.assert_allclose(whole[:8], one_by_one, rtol=tolerance, atol=tolerance)


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
def test_probabilities(name, shared_tasks):
    X, y, _task = shared_tasks
    estimator = fitted(ALL[name], shared_tasks)
    assert estimator.classes_.tolist() == ["ill", "unsure", "well"]
    only_two = np.flatnonzero(y != "well")[:6]
    estimator.adapt(X[only_two], y[only_two])
    assert estimator.classes_.tolist() == ["ill", "unsure", "well"]
    proba = estimator.predict_proba(X)
    np.testing.assert_allclose(proba.sum(axis=1), 1)
    assert (proba[:, 2] > 0).any(), "an absent class may still be predicted"
    np.testing.assert_allclose(estimator.predict_log_proba(X), np.log(proba), rtol=1e-6)
    np.testing.assert_array_equal(
        estimator.predict(X), estimator.classes_[proba.argmax(axis=1)]
    )


@pytest.mark.parametrize("name", META_CLASSIFIERS)
def test_own_classes_any_number_at_adapt(name, own_tasks):
    X, y, task = own_tasks
    estimator = fitted(ALL[name], own_tasks, n_way=3, n_shots=2, n_query=3)
    assert not estimator.shared_classes_
    with pytest.raises(sklmeta.NotAdaptedError, match=r"Call adapt\(X, y\) first"):
        estimator.predict(X)
    for n_classes in (1, 2, 4, 5):
        sizes = {t: len(np.unique(y[task == t])) for t in np.unique(task)}
        label = next(t for t, size in sizes.items() if size >= n_classes)
        classes = np.unique(y[task == label])[:n_classes]
        rows = np.flatnonzero((task == label) & np.isin(y, classes))
        names = np.array([f"class {value}" for value in y[rows]])
        estimator.adapt(X[rows], names)
        assert estimator.classes_.tolist() == sorted(set(names))
        assert set(estimator.predict(X)) <= set(names)


@pytest.mark.parametrize("name", META_CLASSIFIERS)
def test_own_classes_in_bulk(name, own_tasks):
    X, y, task = own_tasks
    estimator = fitted(ALL[name], own_tasks, n_way=3, n_shots=2, n_query=3)
    estimator.adapt(X, y, task=task)
    np.testing.assert_array_equal(estimator.classes_, np.unique(y))
    proba = estimator.predict_proba(X, task=task)
    np.testing.assert_allclose(proba.sum(axis=1), 1)
    for label in np.unique(task):
        rows = task == label
        mine = np.isin(estimator.classes_, y[rows])
        assert (proba[rows][:, ~mine] == 0).all()
        single = estimator.adapt(X[rows], y[rows]).predict_proba(X[rows])
        np.testing.assert_allclose(single, proba[rows][:, mine], atol=1e-8)
        estimator.adapt(X, y, task=task)


@pytest.mark.parametrize("name", META)
def test_one_row_and_one_class_supports(name, tasks_for):
    X, y, task = tasks_for(ALL[name])
    estimator = fitted(ALL[name], (X, y, task))
    output = getattr(estimator, "predict_proba", estimator.predict)
    assert np.isfinite(output(X)).all()
    estimator.adapt(X[:1], y[:1])
    assert np.isfinite(output(X)).all()
    same = np.flatnonzero(y == y[0])
    estimator.adapt(X[same], y[same])
    assert np.isfinite(output(X)).all()


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_label_unseen_under_shared_classes(name, shared_tasks):
    X, _y, _ = shared_tasks
    estimator = fitted(ALL[name], shared_tasks)
    before = estimator.predict(X)
    with pytest.raises(ValueError, match="dead"):
        estimator.adapt(X[:2], ["ill", "dead"])
    np.testing.assert_array_equal(estimator.predict(X), before)


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
