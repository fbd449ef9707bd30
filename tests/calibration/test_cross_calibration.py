"""Fitting and calibrating on the same tasks, by cross-validation over them."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import numpy as np
import pytest
from joblib import parallel_config
from sklearn.compose import TransformedTargetRegressor
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC
from sklearn.utils.validation import check_is_fitted

from sklmeta import (
    BayesianLinearRegressor,
    MixedModelRegressor,
    NearestCentroidBaseline,
    PerTask,
    Pooled,
    adapted,
)
from sklmeta.calibration import (
    calibrated,
    cross_calibrated,
    few_shot_intervals,
    predict_interval,
)
from sklmeta.comparing._statistics import bootstrap_interval
from sklmeta.datasets import make_classification_tasks, make_linear_tasks
from sklmeta.evaluation.temperature import fit_temperature
from sklmeta.model_selection import FewShotScorer, TaskKFold


@pytest.fixture(scope="module")
def linear():
    return make_linear_tasks(30, n_rows=(12, 20), n_features=2, random_state=0)


def mixed_model():
    return BayesianLinearRegressor(hidden_layer_sizes=(), max_iter=10, random_state=0)


def test_each_task_is_judged_by_a_model_fitted_without_it(linear):
    X, y, task = linear
    cv = TaskKFold(2, shuffle=True, random_state=0)
    model = cross_calibrated(mixed_model(), X, y, task, cv=cv, shots=[2, 6])
    scores = {2: [], 6: []}
    for train, held in cv.split(X, y, groups=task):
        fold = mixed_model().fit(X[train], y[train], task=task[train])
        fold.calibrate(X[held], y[held], task[held], shots=[2, 6])
        for k, parts in scores.items():
            values, weights, n_tasks = fold._calibration[k]
            parts.append((values, weights * (n_tasks + 1)))
    for k, parts in scores.items():
        values, weights = (
            np.concatenate(column) for column in zip(*parts, strict=True)
        )
        order = np.argsort(values, kind="stable")
        found, found_weights, n_tasks = model._calibration[k]
        assert n_tasks == 30
        np.testing.assert_allclose(found, values[order])
        np.testing.assert_allclose(found_weights.sum(), 30 / 31)
        np.testing.assert_allclose(found_weights, weights[order] / 31)
    everything = mixed_model().fit(X, y, task=task)
    np.testing.assert_allclose(model.predict(X), everything.predict(X))


def test_a_model_that_knows_rows_by_heart_gains_nothing():
    # Its errors on rows that it has seen are zero, and so would be its intervals.
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(600, 3)), rng.normal(size=600)
    task = np.repeat(np.arange(30), 20)
    by_heart = Pooled(KNeighborsRegressor(1))
    np.testing.assert_array_equal(by_heart.fit(X, y, task=task).predict(X), y)
    model = cross_calibrated(by_heart, X, y, task, shots=0)
    half = np.ptp(model.predict_interval(X[:1])[0]) / 2
    # The difference of two standard normal targets lies within this nine times in ten.
    assert half == pytest.approx(1.645 * np.sqrt(2), rel=0.15)


def test_coverage_with_forty_tasks():
    forty = make_linear_tasks(40, n_rows=25, n_features=2, random_state=3)
    X, y, task = make_linear_tasks(300, n_rows=20, n_features=2, random_state=4)
    model = cross_calibrated(PerTask(Ridge()), *forty, shots=5, n_draws=3)
    table = few_shot_intervals(model, X, y, task + 1000, shots=5)
    low, high = bootstrap_interval(table.covered.to_numpy()[:, None])
    # Forty tasks leave .04 or so to chance, and put .9 / 40 on top.
    assert low[0] - 0.04 < 0.9 < high[0] + 0.04


def test_temperature_of_classes_that_differ_between_folds():
    X, y, task = make_classification_tasks(20, n_rows=20, n_way=(2, 4), random_state=0)
    cv = TaskKFold(4)
    found = cross_calibrated(
        NearestCentroidBaseline(shared_classes=False), X, y, task, cv=cv, shots=[0, 2]
    )
    assert sorted(found._calibration) == [2]
    own, targets, codes, first = [], [], [], 0
    for train, held in cv.split(X, y, groups=task):
        model = NearestCentroidBaseline(shared_classes=False)
        model.fit(X[train], y[train], task=task[train])
        rows = model._gather_evidence(
            X[held], y[held], task[held], shots=[2], n_draws=5, random_state=0
        )
        probabilities, target, code = rows[2]
        wide = np.zeros((len(target), 80))
        wide[:, : probabilities.shape[1]] = probabilities
        own.append(wide)
        targets.append(target)
        codes.append(code + first)
        first += 100
    expected = fit_temperature(*map(np.concatenate, (own, targets, codes)))
    assert found._calibration[2] == pytest.approx(expected, rel=1e-6)


def test_through_containers(linear):
    X, y, task = linear
    pipe = make_pipeline(StandardScaler(), PerTask(Ridge()))
    model = TransformedTargetRegressor(pipe, transformer=StandardScaler())
    with parallel_config(backend="threading"):  # processes take seconds to start
        model = cross_calibrated(model, X, y, task, shots=5, n_jobs=2)
    again = cross_calibrated(
        TransformedTargetRegressor(pipe, transformer=StandardScaler()),
        *(X, y, task),
        shots=5,
    )
    ends = [predict_interval(adapted(m, X[:5], y[:5]), X[5:9]) for m in (model, again)]
    np.testing.assert_array_equal(*ends)
    assert np.isfinite(ends[0]).all()
    search = GridSearchCV(
        PerTask(Ridge()),
        {"estimator__alpha": [0.1, 10.0]},
        cv=TaskKFold(2),
        scoring=FewShotScorer(shots=5),
    )
    best = cross_calibrated(search, X, y, task, cv=2, shots=5)
    assert isinstance(best, PerTask)
    best.adapt(X[:5], y[:5]).predict_interval(X[5:])


def test_the_model_that_was_given_stays_as_it_was(linear):
    model = PerTask(Ridge())
    cross_calibrated(model, *linear, shots=5)
    with pytest.raises(NotFittedError):
        check_is_fitted(model)


def test_fewer_tasks_than_half_as_many_would_do(linear):
    # Twelve tasks, held out by halves, would be too few for 90 %.
    X, y, task = linear
    few = task < 12
    X, y, task = X[few], y[few], task[few]
    model = cross_calibrated(PerTask(Ridge()), X, y, task, shots=5)
    assert np.isfinite(model.adapt(X[:5], y[:5]).predict_interval(X)).all()
    old = task < 6
    fitted = PerTask(Ridge()).fit(X[old], y[old], task=task[old])
    half = calibrated(fitted, X[~old], y[~old], task[~old], shots=5)
    with pytest.warns(UserWarning, match="needs 9 calibration tasks"):
        half.adapt(X[:5], y[:5]).predict_interval(X)


def test_mistakes_are_told_before_anything_is_fitted(linear, monkeypatch):
    def fit(*args, **kwargs):
        raise AssertionError("fitted")

    monkeypatch.setattr(PerTask, "fit", fit)
    monkeypatch.setattr(NearestCentroidBaseline, "fit", fit)
    X, y, task = linear
    halves = np.arange(len(y)) % 2 == 0
    folds = [(np.flatnonzero(halves), np.flatnonzero(~halves))]
    with pytest.raises(ValueError, match="cv puts rows of task"):
        cross_calibrated(PerTask(Ridge()), X, y, task, cv=folds)
    with pytest.raises(TypeError, match="has no `adapt`"):
        cross_calibrated(Ridge(), X, y, task)
    with pytest.raises(ValueError, match=r"No task has a row left .* shots=\[40\]"):
        cross_calibrated(PerTask(Ridge()), X, y, task, shots=40)
    with pytest.raises(ValueError, match="shots must be an int"):
        cross_calibrated(PerTask(Ridge()), X, y, task, shots=[-1])
    with pytest.raises(AttributeError, match="predict_proba"):
        cross_calibrated(PerTask(LinearSVC()), X, y > 0, task)
    own = NearestCentroidBaseline(shared_classes=False)
    with pytest.raises(ValueError, match="shots of 1 or more"):
        cross_calibrated(own, X, y > 0, task, shots=0)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        cross_calibrated(PerTask(Ridge()), X, y[1:], task)


def wandering_tasks(n_tasks, seed):
    """Random walks: what comes is the further from the first rows the later it is."""
    rng = np.random.default_rng(seed)
    y = rng.normal(size=(n_tasks, 15)).cumsum(axis=1).ravel()
    task = np.repeat(np.arange(n_tasks) + 1000 * seed, 15)
    return np.zeros((len(y), 1)), y, task


@pytest.mark.parametrize("how", ["calibrated", "cross_calibrated"])
def test_supports_are_chosen_as_in_use(how):
    old, held, new = (wandering_tasks(200, seed) for seed in (1, 2, 3))
    model = MixedModelRegressor()

    def covered(**support):
        given = {"shots": 3, "n_draws": 1, **support}
        if how == "calibrated":
            found = calibrated(model.fit(*old), *held, **given)
        else:
            found = cross_calibrated(model, *old, cv=3, **given)
        X, y, task = new
        few = np.tile(np.arange(15) < 3, 200)
        found.adapt(X[few], y[few], task=task[few])
        low, high = found.predict_interval(X[~few], task=task[~few]).T
        return np.mean((low <= y[~few]) & (y[~few] <= high))

    assert covered(support="first") == pytest.approx(0.9, abs=0.03)
    assert covered() < 0.8
