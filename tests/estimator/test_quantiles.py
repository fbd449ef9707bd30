"""Quantiles of predictive distributions, wherever there are any."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import stats
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklmeta import BayesianLinearRegressor, MAMLRegressor, MixedModelRegressor
from sklmeta.calibration import predict_quantiles
from sklmeta.datasets import make_linear_tasks
from sklmeta.mixed_models.quantiles import family_quantiles

Q = np.array([0.05, 0.5, 0.9])


@pytest.fixture(scope="module")
def table():
    X, y, task = make_linear_tasks(12, random_state=0)
    return X, 5 * y, task


@pytest.fixture(scope="module")
def bayesian(table):
    est = BayesianLinearRegressor(hidden_layer_sizes=(), max_iter=2, random_state=0)
    return est.fit(*table[:2], task=table[2]).adapt(table[0][:5], table[1][:5])


def test_they_are_those_of_the_normal(bayesian, table):
    mean, std = bayesian.predict(table[0][:7], return_std=True)
    found = bayesian.predict_quantiles(table[0][:7], Q)
    expected = stats.norm.ppf(Q, mean[:, None], std[:, None])
    assert_allclose(found, expected, rtol=1e-10)
    one = bayesian.predict_quantiles(table[0][:7], 0.9)
    assert one.shape == (7,)
    assert_array_equal(one, found[:, 2])


@pytest.mark.parametrize("q", [0, 1, 1.5, np.nan, [], [[0.5]], "median", [0.5, -1]])
def test_what_is_no_probability_is_refused(bayesian, table, q):
    with pytest.raises(ValueError, match="q must be a probability between 0 and 1"):
        bayesian.predict_quantiles(table[0], q)


def test_several_targets_have_an_axis_of_their_own(table):
    X, y, task = table
    est = BayesianLinearRegressor(hidden_layer_sizes=(), max_iter=2, random_state=0)
    est.fit(X, np.column_stack([y, -y, 3 * y]), task=task)
    mean, std = est.predict(X[:4], return_std=True)
    found = est.predict_quantiles(X[:4], Q)
    assert found.shape == (4, 3, 3)
    assert_allclose(found[:, 1, 2], mean[:, 1] + std[:, 1] * stats.norm.ppf(0.9))
    assert est.predict_quantiles(X[:4], 0.5).shape == (4, 3)


def test_where_there_is_no_distribution_there_are_none(table):
    assert not hasattr(MAMLRegressor(), "predict_quantiles")
    with pytest.raises(TypeError, match="no predictive distribution"):
        predict_quantiles(MAMLRegressor(), table[0], 0.5)


def test_a_pipeline_is_seen_through(table):
    X, y, task = table
    pipe = make_pipeline(StandardScaler(), MixedModelRegressor())
    pipe.fit(X, y, mixedmodelregressor__task=task)
    alone = MixedModelRegressor().fit(X, y, task=task)
    found = predict_quantiles(pipe, X[:3], Q)
    assert_allclose(found, alone.predict_quantiles(X[:3], Q), rtol=1e-5)


def test_a_task_with_its_own_noise_is_student_t(table):
    X, y, task = table
    rng = np.random.default_rng(0)
    y = y + rng.normal(size=len(y)) * rng.gamma(1, 3, 12)[task]
    est = MixedModelRegressor(noise="per_task", random_slopes="none")
    est.fit(X, y, task=task).adapt(X[:4], y[:4])
    mean, std = est.predict(X[5:8], return_std=True)
    df = est.noise_df_ + 4
    scale = std[:, None] * np.sqrt(1 - 2 / df)
    expected = stats.t.ppf(Q, df, mean[:, None], scale)
    assert_allclose(est.predict_quantiles(X[5:8], Q), expected, rtol=1e-8)


def test_many_tasks_have_their_own(table):
    X, y, task = table
    est = MixedModelRegressor().fit(X, y, task=task).adapt(X, y, task=task)
    found = est.predict_quantiles(X, [0.5], task=task)
    assert_allclose(found[:, 0], est.predict(X, task=task))


@pytest.mark.parametrize("family", ["poisson", "negative_binomial", "gamma"])
@pytest.mark.parametrize("log_mean, variance", [(1.0, 0.0), (0.5, 0.4), (9.0, 3.0)])
def test_quantiles_of_a_family_are_those_of_draws(family, log_mean, variance):
    rng = np.random.default_rng(0)
    mean = np.exp(log_mean + np.sqrt(variance) * rng.normal(size=100_000))
    if family == "gamma":
        y = rng.gamma(2, mean / 2)
    else:
        spread = rng.gamma(2, 0.5, len(mean)) if family == "negative_binomial" else 1
        y = rng.poisson(mean * spread)
    given = np.full(1, log_mean), np.full(1, variance), 2.0
    (found,) = family_quantiles(family, *given, Q)
    below = (y[:, None] <= found).mean(axis=0)
    if family == "gamma":
        assert_allclose(below, Q, atol=0.004)
        return
    assert (below > Q - 0.004).all()
    assert ((y[:, None] <= found - 1).mean(axis=0) < Q + 0.004).all()


@pytest.mark.parametrize("family", ["poisson", "gamma"])
def test_a_mixed_model_of_a_family_covers_new_tasks(family):
    rng = np.random.default_rng(1)
    task = np.repeat(np.arange(80), 12)
    X = rng.normal(size=(len(task), 1))
    mean = np.exp(1 + 0.3 * X[:, 0] + rng.normal(size=80)[task])
    y = rng.poisson(mean) if family == "poisson" else rng.gamma(3, mean / 3)
    old, first = task < 40, np.tile(np.arange(12) < 3, 80)
    est = MixedModelRegressor(family=family).fit(X[old], y[old], task=task[old])
    new, rows = ~old & first, ~old & ~first
    low, high = (
        est.adapt(X[new], y[new], task=task[new])
        .predict_quantiles(X[rows], [0.1, 0.9], task=task[rows])
        .T
    )
    assert (low >= 0).all()
    covered = ((low <= y[rows]) & (y[rows] <= high)).mean()
    assert 0.74 < covered < (0.86 if family == "gamma" else 0.95)
