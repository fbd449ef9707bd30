"""Intervals and probabilities calibrated on tasks that `fit` has not seen."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import copy
import pickle
import warnings

import numpy as np
import pytest
from fits import fitted
from instances import ALL, CLASSIFIERS
from sklearn.compose import TransformedTargetRegressor
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import log_loss
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.svm import LinearSVC

from sklmeta import (
    BayesianLinearRegressor,
    NearestCentroidBaseline,
    PerTask,
    Pooled,
    adapted,
)
from sklmeta.calibration import (
    calibrated,
    few_shot_intervals,
    predict_interval,
    winkler_score,
)
from sklmeta.comparing._statistics import bootstrap_interval
from sklmeta.datasets import make_classification_tasks, make_linear_tasks
from sklmeta.evaluation.conformal import collect_scores, conformal_quantile, least_tasks
from sklmeta.evaluation.probabilities import soften
from sklmeta.evaluation.temperature import fit_temperature


def linear_tasks(n_tasks, *, first=0, n_rows=(12, 30), seed=0):
    X, y, task = make_linear_tasks(
        n_tasks, n_rows=n_rows, n_features=2, random_state=seed
    )
    return X, y, task + first


@pytest.fixture(scope="module")
def own_ridge():
    return PerTask(Ridge()).fit(*linear_tasks(5, first=10_000, seed=9))


def shared_tasks(n_tasks, first=0, seed=0):
    X, y, task = make_classification_tasks(
        n_tasks,
        n_rows=30,
        n_way=3,
        n_features=4,
        class_sep=1.0,
        shared_labels=True,
        random_state=seed,
    )
    return X, y, task + first


# The quantile ------------------------------------------------------------------------


def test_quantile_is_that_of_the_weighted_distribution():
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 15, 100)
    scores = rng.exponential(size=100)
    n_tasks = len(np.unique(codes))
    weights = [1 / ((n_tasks + 1) * np.sum(codes == c)) for c in codes]
    for coverage in (0.3, 0.5, 0.8, 0.9):
        reached = [np.sum(np.array(weights)[scores <= q]) for q in scores]
        expected = scores[np.array(reached) >= coverage].min()
        found = conformal_quantile(collect_scores(scores, codes), coverage)
        assert found == expected


@pytest.mark.parametrize(("coverage", "n_tasks"), [(0.9, 9), (0.8, 4), (0.95, 19)])
def test_fewer_tasks_than_the_coverage_needs_give_infinity(coverage, n_tasks):
    assert least_tasks(coverage) == n_tasks
    for k in range(1, n_tasks + 2):
        codes = np.repeat(np.arange(k), 3)
        scores = collect_scores(np.arange(len(codes), dtype=float), codes)
        assert np.isfinite(conformal_quantile(scores, coverage)) == (k >= n_tasks)


def test_winkler_score_by_hand():
    interval = np.array([[0.0, 2.0], [0.0, 2.0], [0.0, 2.0]])
    found = winkler_score(np.array([1.0, 3.0, -0.5]), interval, 0.9)
    np.testing.assert_allclose(found, [2.0, 2.0 + 20.0, 2.0 + 10.0])


# Intervals ---------------------------------------------------------------------------


def test_coverage_holds_over_new_tasks(own_ridge):
    model = calibrated(own_ridge, *linear_tasks(150, seed=1), shots=[2, 5], n_draws=2)
    new = linear_tasks(300, first=500, seed=2)
    table = few_shot_intervals(model, *new, shots=[2, 5])
    for k in (2, 5):
        covered = table[table.shots == k].groupby("task").covered.mean()
        low, high = bootstrap_interval(covered.to_numpy()[:, None])
        # The quantile itself is of 150 tasks, worth another .015 or so.
        assert low[0] - 0.03 < 0.9 < high[0] + 0.03
    widths = table.groupby("shots").width.mean()
    assert widths[5] < widths[2]
    assert (table.winkler >= table.width).all()


def test_tasks_count_alike_whatever_their_size(own_ridge):
    # One huge task with huge errors must not set the width for all.
    X, y, task = linear_tasks(40, n_rows=10, seed=1)
    rng = np.random.default_rng(0)
    X = np.concatenate([X, rng.normal(size=(2000, 2))])
    y = np.concatenate([y, 100 * rng.normal(size=2000)])
    task = np.concatenate([task, np.full(2000, 40)])
    with_it = calibrated(own_ridge, X, y, task, shots=5)
    without = calibrated(own_ridge, X[:400], y[:400], task[:400], shots=5)
    new = linear_tasks(1, first=999, seed=3)
    half = [
        np.ptp(predict_interval(adapted(m, new[0][:5], new[1][:5]), new[0][5:])[0])
        for m in (with_it, without)
    ]
    assert half[0] < 2 * half[1]


def test_too_few_tasks_give_infinite_intervals_and_say_so(own_ridge):
    eight = linear_tasks(8, seed=1)
    model = calibrated(own_ridge, *eight, shots=5).adapt(eight[0][:5], eight[1][:5])
    with pytest.warns(UserWarning, match="needs 9 calibration tasks"):
        ends = model.predict_interval(eight[0][:3])
    assert np.isinf(ends).all()
    assert np.isfinite(model.predict_interval(eight[0][:3], coverage=0.8)).all()


def test_the_size_below_is_used_between_sizes(own_ridge):
    X, y, task = linear_tasks(30, seed=1)
    model = calibrated(own_ridge, X, y, task, shots=[2, 8])

    def width(n_rows):
        new = adapted(model, X[:n_rows], y[:n_rows])
        return np.ptp(new.predict_interval(X[:1])[0])

    assert width(2) == pytest.approx(width(5))
    assert width(8) == pytest.approx(width(11))
    assert width(8) < width(2)
    with pytest.warns(UserWarning, match="fewer than any size that was calibrated"):
        width(1)


def test_each_task_has_the_interval_of_its_own_support(own_ridge):
    X, y, task = linear_tasks(30, seed=1)
    model = calibrated(own_ridge, X, y, task, shots=[0, 2, 8])
    assert np.isfinite(model.predict_interval(X[:2])).all()  # zero shots
    support, names = np.r_[0:2, 20:28], np.repeat(["a", "b"], [2, 8])
    model = adapted(model, X[support], y[support], task=names)
    ends = model.predict_interval(X[:4], task=["a", "b", "a", "b"])
    widths = np.ptp(ends, axis=1)
    assert widths[0] == pytest.approx(widths[2])
    assert widths[1] < widths[0]


def test_scores_are_in_units_of_the_predictive_deviation():
    X, y, task = linear_tasks(60, seed=0)
    old = task < 30
    model = BayesianLinearRegressor(
        hidden_layer_sizes=(), max_iter=60, random_state=0
    ).fit(X[old], y[old], task=task[old])
    model.calibrate(X[~old], y[~old], task[~old], shots=3)
    model.adapt(X[:3], y[:3])
    mean, std = model.predict(X[3:12], return_std=True)
    ends = model.predict_interval(X[3:12])
    np.testing.assert_allclose(ends.mean(axis=1), mean)
    half = np.ptp(ends, axis=1) / 2
    np.testing.assert_allclose(half / std, half[0] / std[0])
    assert not np.allclose(half, half[0])


@pytest.mark.parametrize("name", [name for name in ALL if name not in CLASSIFIERS])
def test_every_regressor_predicts_intervals(name, regression_tasks):
    X, y, task = regression_tasks
    model = fitted(ALL[name], (X, y, task))
    prediction = model.predict(X[:3]) if hasattr(model, "predict") else None
    names = np.array([f"new {t}" for t in task])
    model.calibrate(X, y, names, shots=[0, 3], n_draws=1)
    np.testing.assert_array_equal(model.predict(X[:3]), prediction)
    coverage = 0.5
    model.adapt(X[:3], y[:3])
    ends = model.predict_interval(X[:6], coverage=coverage)
    assert ends.shape == (6, 2)
    assert np.isfinite(ends).all()
    middle = ends.mean(axis=1)
    np.testing.assert_allclose(middle, model.predict(X[:6]), rtol=1e-5, atol=1e-6)
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.predict_interval(X[:6], coverage), ends)


def test_through_a_pipeline_and_a_transformed_target():
    X, y, task = linear_tasks(60, seed=0)
    y = np.exp(0.1 * y)
    old, held = task < 20, (task >= 20) & (task < 50)
    log = FunctionTransformer(np.log, np.exp, check_inverse=False)
    inside = make_pipeline(StandardScaler(), PerTask(Ridge()))
    model = TransformedTargetRegressor(inside, transformer=log)
    model.fit(X[old], y[old], pertask__task=task[old])
    model = calibrated(model, X[held], y[held], task[held], shots=5)
    new = task == 55
    model = adapted(model, X[new][:5], y[new][:5])
    ends = predict_interval(model, X[new][5:])
    assert (ends > 0).all()
    scaler, last = inside.fit(X[old], np.log(y[old]), pertask__task=task[old])
    last.calibrate(scaler.transform(X[held]), np.log(y[held]), task[held], shots=5)
    last.adapt(scaler.transform(X[new][:5]), np.log(y[new][:5]))
    expected = np.exp(last.predict_interval(scaler.transform(X[new][5:])))
    np.testing.assert_allclose(ends, expected)


# Probabilities -----------------------------------------------------------------------


def test_temperature_is_found_again():
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(4000, 3))
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    target = np.array([rng.choice(3, p=row) for row in p])
    codes = np.arange(4000) % 20
    sharp = soften(p, np.full(4000, 1 / 3))
    assert fit_temperature(sharp, target, codes) == pytest.approx(3.0, rel=0.1)
    assert fit_temperature(p, target, codes) == pytest.approx(1.0, rel=0.1)
    np.testing.assert_allclose(soften(sharp, np.full(4000, 3.0)), p, rtol=1e-6)
    nothing = np.tile([1.0, 0.0], (5, 1))
    assert fit_temperature(nothing, np.ones(5, int), codes[:5]) == 1.0


def test_overconfident_probabilities_are_mended_on_new_tasks():
    model = PerTask(GaussianNB(var_smoothing=1e-2)).fit(*shared_tasks(4, 900))
    better = calibrated(model, *shared_tasks(60, seed=1), shots=[6, 12])
    X, y, task = shared_tasks(60, first=100, seed=2)
    support = np.concatenate([np.flatnonzero(task == t)[:12] for t in np.unique(task)])
    query = np.setdiff1d(np.arange(len(y)), support)
    losses = []
    for m in (model, better):
        m = adapted(m, X[support], y[support], task=task[support])
        p = m.predict_proba(X[query], task=task[query])
        np.testing.assert_allclose(p.sum(axis=1), 1)
        losses.append(log_loss(y[query], np.clip(p, 1e-9, 1), labels=m.classes_))
        np.testing.assert_array_equal(
            m.predict(X[query], task=task[query]), m.classes_[p.argmax(axis=1)]
        )
    assert losses[1] < 0.8 * losses[0]


@pytest.mark.parametrize("name", ["protonet", "maml", "nearest_centroid"])
def test_classifiers_keep_their_predictions(name, shared_tasks):
    X, y, task = shared_tasks
    model = fitted(ALL[name], (X, y, task))
    model.adapt(X[:6], y[:6])
    before, classes = model.predict_proba(X[6:]), model.predict(X[6:])
    names = np.array([f"new {t}" for t in task])
    model.calibrate(X, y, names, shots=[2, 6], n_draws=1)
    after = model.predict_proba(X[6:])
    assert not np.allclose(before, after)
    np.testing.assert_allclose(after.sum(axis=1), 1, rtol=1e-5)
    np.testing.assert_array_equal(model.predict(X[6:]), classes)
    np.testing.assert_allclose(
        model.predict_log_proba(X[6:]), np.log(after), rtol=1e-4, atol=1e-5
    )
    assert not hasattr(model, "predict_interval")
    with pytest.raises(TypeError, match="only regressors"):
        predict_interval(model, X)


def test_own_classes_count_shots_per_class():
    X, y, task = make_classification_tasks(20, n_rows=20, n_way=4, random_state=0)
    model = NearestCentroidBaseline(shared_classes=False)
    old = task < 8
    model.fit(X[old], y[old], task=task[old])
    plain = copy.deepcopy(model)
    model.calibrate(X[~old], y[~old], task[~old], shots=[0, 1, 2])
    assert sorted(model._calibration) == [1, 2]
    one = task == 0
    X, y = X[one], y[one]
    table = NearestCentroidBaseline(shared_classes=False).fit(X, y)
    assert table._adaptation.shots.tolist() == [len(y) // 4]
    two_each = np.concatenate([np.flatnonzero(y == c)[:2] for c in np.unique(y)])
    model.adapt(X[two_each], y[two_each])
    assert model._adaptation.shots.tolist() == [2]
    plain.adapt(X[two_each], y[two_each])
    temperature = np.full(len(X), model._calibration[2])
    np.testing.assert_allclose(
        model.predict_proba(X), soften(plain.predict_proba(X), temperature)
    )


# What can go wrong -------------------------------------------------------------------


def test_tasks_that_fit_has_seen_are_refused(own_ridge):
    seen = linear_tasks(5, first=10_000, seed=9)
    with pytest.raises(ValueError, match="fit has seen 5 of these tasks"):
        calibrated(own_ridge, *seen)


def test_before_calibration_and_after_another_fit():
    X, y, task = linear_tasks(30)
    model = Pooled(Ridge()).fit(X[task < 9], y[task < 9], task=task[task < 9])
    with pytest.raises(NotFittedError, match="Call calibrate"):
        model.predict_interval(X)
    held = task >= 9
    model.calibrate(X[held], y[held], task[held], shots=[0, 1])
    model.predict_interval(X)
    with pytest.raises(ValueError, match="coverage must be between 0 and 1"):
        model.predict_interval(X, coverage=90)
    model.fit(X[task < 9], y[task < 9], task=task[task < 9])
    with pytest.raises(NotFittedError, match="Call calibrate"):
        model.predict_interval(X)


def test_a_failed_calibration_keeps_the_earlier_one(own_ridge):
    X, y, task = linear_tasks(30)
    model = calibrated(own_ridge, X, y, task, shots=3).adapt(X[:3], y[:3])
    expected = model.predict_interval(X[:5])
    with pytest.raises(ValueError, match="No task has a row left"):
        model.calibrate(X, y, task, shots=30)
    with pytest.raises(ValueError, match="shots must be an int"):
        model.calibrate(X, y, task, shots=[-1])
    bad = X.copy()
    bad[0, 0] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        model.calibrate(bad, y, task, shots=3)
    np.testing.assert_allclose(model.predict_interval(X[:5]), expected, rtol=1e-12)


def test_calibration_leaves_the_model_and_its_adaptation_alone(own_ridge):
    X, y, task = linear_tasks(30)
    model = adapted(own_ridge, X[:4], y[:4])
    expected = model.predict(X)
    model.calibrate(X, y, task, shots=[1, 3])
    np.testing.assert_array_equal(model.predict(X), expected)
    with pytest.raises(NotFittedError):
        own_ridge.predict_interval(X)


def test_a_classifier_without_probabilities():
    X, y, task = shared_tasks(12)
    old = task < 6
    model = PerTask(LinearSVC()).fit(X[old], y[old], task=task[old])
    with pytest.raises(AttributeError, match="predict_proba"):
        model.calibrate(X[~old], y[~old], task[~old], shots=6)
    fine = PerTask(LogisticRegression()).fit(X[old], y[old], task=task[old])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fine.calibrate(X[~old], y[~old], task[~old], shots=[0, 6])
