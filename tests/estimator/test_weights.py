"""Weights of rows, in `adapt` of all and in `fit` of mixed models."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

import numpy as np
import pandas as pd
import pytest
from instances import ALL, META
from numpy.testing import assert_allclose
from sklearn.base import clone, is_regressor
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn

import sklmeta
from sklmeta.data.kinds import TaskKind
from sklmeta.datasets import make_linear_tasks
from sklmeta.estimator.adapting import AdaptingMixin
from sklmeta.learners.task_spec import TaskSpec

FITS = {
    "reml": sklmeta.MixedModelRegressor(),
    "ml": sklmeta.MixedModelRegressor(reml=False, random_slopes="none"),
    "own noise": sklmeta.MixedModelRegressor(noise="per_task"),
    "poisson": sklmeta.MixedModelRegressor(family="poisson", random_slopes=[1]),
    "negative binomial": sklmeta.MixedModelRegressor(family="negative_binomial"),
    "gamma": sklmeta.MixedModelRegressor(family="gamma"),
    "two classes": sklmeta.MixedModelClassifier(),
    "three classes": sklmeta.MixedModelClassifier(random_slopes="none"),
}


def rows_for(name):
    rng = np.random.default_rng(0)
    task = np.repeat(np.arange(12), 9)
    X = rng.normal(size=(len(task), 2))
    eta = 0.3 * rng.normal(size=12)[task] + 0.5 * X[:, 0]
    if "classes" in name:
        y = (eta + rng.logistic(size=len(eta)) > 0).astype(int)
        y += (name == "three classes") * rng.integers(0, 2, size=len(y))
    elif name in ("poisson", "negative binomial"):
        y = rng.poisson(np.exp(eta) * rng.gamma(2, 0.5, size=len(eta)))
    else:
        y = np.exp(eta + 0.3 * rng.normal(size=len(eta)))
    weight = rng.integers(0, 4, size=len(y))
    weight[task == 11] = 0
    return X, y, task, weight


@pytest.mark.parametrize("name", FITS)
def test_a_mixed_model_is_fitted_to_weights_as_to_repeated_rows(name):
    X, y, task, weight = rows_for(name)
    weighted, repeated, unweighted = (clone(FITS[name]) for _ in range(3))
    weighted.fit(X, y, task=task, sample_weight=weight)
    rows = np.repeat(np.arange(len(y)), weight)
    repeated.fit(X[rows], y[rows], task=task[rows])
    assert weighted.tasks_.tolist() == list(range(11))
    # L-BFGS stops where the deviance is flat, not at the same digit.
    close = {"rtol": 1e-3, "atol": 1e-4}
    assert_allclose(weighted.log_likelihood_, repeated.log_likelihood_, rtol=1e-6)
    assert_allclose(weighted.coef_, repeated.coef_, **close)
    covariance = weighted.random_effects_covariance_
    assert_allclose(covariance, repeated.random_effects_covariance_, **close)
    assert_allclose(weighted.predict(X), repeated.predict(X), **close)
    unweighted.fit(X, y, task=task)
    assert abs(unweighted.log_likelihood_ - weighted.log_likelihood_) > 1


@pytest.mark.parametrize("name", ["reml", "own noise", "poisson", "three classes"])
def test_the_deviation_too_is_that_of_repeated_rows(name):
    X, y, task, weight = rows_for(name)
    est = clone(FITS[name]).fit(X, y, task=task)
    rows = np.repeat(np.arange(len(y)), weight)
    asked = task < 11

    def answer():
        if "classes" in name:
            return est.predict_proba(X[asked], task=task[asked])
        return est.predict(X[asked], task=task[asked], return_std=True)

    found = est.adapt(X, y, task=task, sample_weight=weight) and answer()
    expected = est.adapt(X[rows], y[rows], task=task[rows]) and answer()
    assert_allclose(found, expected, rtol=1e-6)


def test_a_collection_keeps_its_names_where_rows_have_weights():
    X, y, task, weight = rows_for("reml")
    frame = pd.DataFrame(X, columns=["age", "dose"]).assign(y=y, who=task)
    tasks = sklmeta.TaskCollection.from_frame(frame, target="y", task="who")
    est = sklmeta.MixedModelRegressor().fit(tasks, sample_weight=weight)
    assert est.feature_names_in_.tolist() == ["age", "dose"]
    est.predict(frame[["age", "dose"]])  # without a warning


@pytest.fixture(scope="module")
def tasks():
    X, y, task = make_linear_tasks(8, n_rows=12, random_state=0)
    return X, y, task


def fitted(estimator, tasks):
    X, y, task = tasks
    return estimator.fit(X, y, task=task)


WEIGHTS = np.array([0.5, 2.0, 1.0, 0.0, 3.0, 1.5])


def test_weights_with_a_fraction_reach_the_estimator_inside(tasks):
    X, y, _ = tasks
    est = fitted(sklmeta.PerTask(LinearRegression()), tasks)
    est.adapt(X[:6], y[:6], sample_weight=WEIGHTS)
    alone = LinearRegression().fit(X[:6], y[:6], sample_weight=WEIGHTS)
    assert_allclose(est.predict(X), alone.predict(X))
    ridge = fitted(sklmeta.PerTask(Ridge(2.0)), tasks)
    ridge.adapt(X[:6], y[:6], sample_weight=WEIGHTS)
    alone = Ridge(2.0).fit(X[:6], y[:6], sample_weight=WEIGHTS)
    assert_allclose(ridge.predict(X), alone.predict(X))


def test_of_appended_rows_too(tasks):
    X, y, _ = tasks
    est = fitted(sklmeta.Pooled(Ridge(), support="append", support_weight=4), tasks)
    est.adapt(X[:6], y[:6], sample_weight=WEIGHTS)
    weight = np.append(np.ones(len(y)), 4 * WEIGHTS)
    alone = Ridge().fit(np.vstack([X, X[:6]]), np.append(y, y[:6]), weight)
    assert_allclose(est.predict(X), alone.predict(X))


@pytest.mark.parametrize(
    "inside", [KNeighborsRegressor(3), make_pipeline(StandardScaler(), Ridge())]
)
def test_where_the_estimator_takes_none_whole_weights_repeat_rows(inside, tasks):
    X, y, _ = tasks
    est = fitted(sklmeta.PerTask(inside), tasks)
    name = type(inside).__name__
    with pytest.raises(ValueError, match=f"sample_weight in adapt: .* fit of {name}"):
        est.adapt(X[:6], y[:6], sample_weight=WEIGHTS)
    found = est.adapt(X[:6], y[:6], sample_weight=2 * WEIGHTS).predict(X)
    rows = np.repeat(np.arange(6), (2 * WEIGHTS).astype(int))
    assert_allclose(found, est.adapt(X[rows], y[rows]).predict(X))
    with pytest.raises(ValueError, match=r"its rows would be repeated 9e\+09 times"):
        est.adapt(X[:3], y[:3], sample_weight=np.full(3, 3e9))


def test_a_blend_refuses_weights_and_says_why(tasks):
    X, y, _ = tasks
    members = [("a", sklmeta.PerTask(Ridge())), ("b", sklmeta.Pooled(Ridge()))]
    est = fitted(sklmeta.AutoMetaRegressor(estimators=members, shots=(2,)), tasks)
    with pytest.raises(ValueError, match=r"a blend weighs.*repeat the rows"):
        est.adapt(X[:6], y[:6], sample_weight=WEIGHTS)
    est.adapt(X[:6], y[:6], sample_weight=np.ones(6))  # which says nothing


@pytest.mark.filterwarnings("ignore:.*runs task by task")
def test_statistics_of_a_batch_know_no_weights(tasks):
    X, y, _ = tasks
    layers = nn.Sequential(nn.Linear(X.shape[1], 4), nn.BatchNorm1d(4))
    est = fitted(sklmeta.MAMLRegressor(module=layers, max_iter=1), tasks)
    with pytest.raises(ValueError, match="looks at several rows together"):
        est.adapt(X[:6], y[:6], sample_weight=WEIGHTS)


def test_the_nearest_row_is_no_nearer_twice():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(40, 2)), rng.integers(0, 2, size=40)
    est = sklmeta.SiameseClassifier(max_iter=1, random_state=0).fit(X, y)
    with pytest.raises(ValueError, match="a row twice is no nearer"):
        est.adapt(X[:6], y[:6], sample_weight=WEIGHTS)


def test_weights_go_through_a_pipeline(tasks):
    X, y, task = tasks
    pipe = make_pipeline(StandardScaler(), sklmeta.MixedModelRegressor())
    pipe.fit(X, y, mixedmodelregressor__task=task)
    found = sklmeta.adapted(pipe, X[:6], y[:6], sample_weight=WEIGHTS).predict(X)
    inner = pipe[-1].adapt(pipe[0].transform(X[:6]), y[:6], sample_weight=WEIGHTS)
    assert_allclose(found, inner.predict(pipe[0].transform(X)))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (-WEIGHTS, "Negative values"),
        (np.full(6, np.nan), "NaN"),
        (WEIGHTS[:5], "sample_weight.shape"),
        (np.zeros(6), "at least one non-zero"),
    ],
)
def test_weights_that_are_none(wrong, said, tasks):
    X, y, _ = tasks
    est = fitted(sklmeta.MixedModelRegressor(), tasks)
    with pytest.raises(ValueError, match=said):
        est.adapt(X[:6], y[:6], sample_weight=wrong)


def test_shots_count_weights_and_n_support_rows(tasks):
    X, y, _ = tasks
    est = fitted(sklmeta.MixedModelRegressor(), tasks)
    est.adapt(X[:6], y[:6], sample_weight=WEIGHTS)
    assert est.n_support_ == 5
    assert est._adaptation.shots.tolist() == [8]


@pytest.mark.parametrize("name", ALL)
def test_who_takes_weights(name):
    refuses = name in ("siamese", "auto_classifier", "auto_regressor")
    est = ALL[name]
    if name in META:
        kind, n_classes = (
            (TaskKind.REGRESSION, 0) if is_regressor(est) else (TaskKind.SHARED, 3)
        )
        spec = TaskSpec(kind, (3,), 4, n_classes)
        learner = clone(est)._make_learner(spec, nn.Linear(3, 4))
        assert learner.takes_weights is not refuses
    else:
        own = type(est)._why_no_weights
        assert own is not AdaptingMixin._why_no_weights
        assert not refuses or own(est, np.ones(1))
