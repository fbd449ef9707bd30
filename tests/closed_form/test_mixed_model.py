"""The mixed model under our contract: against statsmodels, in units, at the edges."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import os
import pickle
import tracemalloc
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import slow_mixed
import statsmodels.api as sm
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LinearRegression

from sklmeta import MixedModelRegressor, adapted
from sklmeta.datasets import make_linear_tasks

SETS = {
    "generated": ("y", "x", "task"),
    "sleepstudy": ("Reaction", "Days", "Subject"),
    "dietox": ("Weight", "Time", "Pig"),
    "hsb82": ("mAch", "ses", "school"),
}
"""Target, feature and task."""


def tables():
    """Rows of tasks with levels and slopes of their own."""
    rng = np.random.default_rng(0)
    task = rng.permutation(np.repeat(np.arange(40), 9))
    own = rng.normal(size=(40, 2)) @ [[2, 0.5], [0, 0.7]]
    x = rng.normal(3, 2, size=len(task))
    y = 5 + own[task, 0] + (1 + own[task, 1]) * x + rng.normal(size=len(task))
    return pd.DataFrame({"y": y, "x": x, "task": task})


def load(name):
    """X, y and task of a set; those that are not generated may be missing."""
    columns = SETS[name]
    if name == "generated":
        frame = tables()
    else:
        folder = os.environ.get("SKLMETA_DATA", "")
        path = Path(folder) / "mixed_models" / f"{name}.csv"
        if not folder or not path.exists():
            pytest.skip("SKLMETA_DATA names no folder with mixed_models/")
        frame = pd.read_csv(path)
    y, x, task = (frame[column] for column in columns)
    return x.to_frame(), y, task


@pytest.fixture(scope="module")
def data():
    return load("generated")


def held_out(data, label=0):
    """The other tasks, and five rows of this one, and the rest of them."""
    X, y, task = data
    old, new = task != label, np.flatnonzero(task == label)
    train = X[old], y[old], task[old]
    return train, (X.iloc[new[:5]], y.iloc[new[:5]]), X.iloc[new[5:]]


# The same as others -------------------------------------------------------------------


@pytest.mark.parametrize("reml", [True, False], ids=["reml", "ml"])
@pytest.mark.parametrize("slopes", ["none", "all"])
@pytest.mark.parametrize("name", SETS)
def test_agrees_with_statsmodels(name, slopes, reml):
    X, y, task = load(name)
    est = MixedModelRegressor(random_slopes=slopes, reml=reml, covariance="full")
    est.fit(X, y, task=task)
    design = sm.add_constant(X)
    theirs = sm.MixedLM(y, design, task, design if slopes == "all" else None)
    with warnings.catch_warnings():  # its other methods stop far from the optimum
        warnings.simplefilter("ignore")
        best = theirs.fit(reml=reml, method="cg", gtol=1e-8, maxiter=500)
    close = {"rtol": 1e-4}
    np.testing.assert_allclose(
        np.r_[est.intercept_, est.coef_], best.fe_params, **close
    )
    np.testing.assert_allclose(est.random_effects_covariance_, best.cov_re, **close)
    np.testing.assert_allclose(est.noise_variance_, best.scale, **close)
    np.testing.assert_allclose(est.log_likelihood_, best.llf, rtol=1e-9)
    if name in ("sleepstudy", "dietox"):  # theirs come from the Hessian in all
        errors = np.r_[est.intercept_std_error_, est.coef_std_errors_]
        np.testing.assert_allclose(errors, best.bse_fe, **close)
    label = task.iloc[0]
    effects = est.random_effects_.loc[label]
    np.testing.assert_allclose(effects, best.random_effects[label], rtol=1e-3)


def test_has_the_published_values_of_sleepstudy():
    X, y, task = load("sleepstudy")
    est = MixedModelRegressor().fit(X, y, task=task)
    table = est.summary().estimate
    # lme4's intercepts have a deviation of 24.741, at the optimum it is 24.7404.
    close = {"rtol": 1e-4, "atol": 5e-4}
    np.testing.assert_allclose(table["fixed"], [251.405, 10.467], **close)
    np.testing.assert_allclose(table["random"], [24.741, 5.922, 0.066], **close)
    np.testing.assert_allclose(table["noise"], [25.592], **close)


@pytest.mark.parametrize("slopes", ["none", "all"])
def test_adapt_is_the_blup_of_a_new_task(slopes, data):
    train, (X, y), new = held_out(data)
    est = MixedModelRegressor(random_slopes=slopes).fit(*train[:2], task=train[2])
    est.adapt(X, y)
    design = np.c_[X, np.ones(5)]
    random = np.array([1, 0]) if slopes == "all" else np.array([1])
    problem = slow_mixed.Problem(design, np.array(y), np.zeros(5), random)
    coef = np.r_[est.coef_, est.intercept_]
    D, noise = est.random_effects_covariance_, est.noise_variance_
    everything = slow_mixed.Problem(
        np.c_[train[0], np.ones(len(train[0]))],
        np.array(train[1]),
        np.array(train[2]),
        random,
    )
    V = everything.covariance(torch.from_numpy(D), noise)
    fixed = slow_mixed.least_squares(everything, V)
    np.testing.assert_allclose(coef, fixed.coef)
    of_fixed = fixed.coef_covariance.numpy()
    rows = np.c_[new, np.ones(len(new))]
    expected = slow_mixed.blup(problem, rows, coef, of_fixed, D, noise)
    mean, std = est.predict(new, return_std=True)
    np.testing.assert_allclose(mean, expected.mean)
    np.testing.assert_allclose(std, expected.std)


def test_one_table_is_least_squares(data):
    X, y, _ = data
    est = MixedModelRegressor().fit(X, y)
    other = sm.OLS(y, sm.add_constant(X)).fit()
    np.testing.assert_allclose(est.predict(X), LinearRegression().fit(X, y).predict(X))
    np.testing.assert_allclose(est.coef_std_errors_, other.bse[1:])
    np.testing.assert_allclose(est.noise_variance_, other.scale)
    assert not est.random_effects_covariance_.any()


def test_zero_rows_is_the_fixed_effects_and_all_that_is_not_known(data):
    X, y, task = data
    est = MixedModelRegressor().fit(X, y, task=task)
    mean, std = est.predict(X, return_std=True)
    np.testing.assert_allclose(mean, X["x"] * est.coef_[0] + est.intercept_)
    Z = np.c_[np.ones(len(X)), X]
    D = est.random_effects_covariance_
    least = est.noise_variance_ + ((Z @ D) * Z).sum(axis=1)
    assert (std**2 > least).all()
    assert (std**2 < 1.1 * least).all()


def test_own_noise_knows_a_quiet_task_from_a_loud_one():
    rng = np.random.default_rng(0)
    task = np.repeat(np.arange(60), 12)
    deviation = np.where(np.arange(60) % 2, 0.1, 1.5)
    x = rng.normal(size=(len(task), 1))
    level = rng.normal(size=60)[task]
    y = x[:, 0] + level + deviation[task] * rng.normal(size=len(task))
    old = task < 50
    est = MixedModelRegressor(noise="per_task").fit(x[old], y[old], task=task[old])
    assert 2 < est.noise_df_ < 10
    assert MixedModelRegressor().fit(x[old], y[old], task=task[old]).noise_df_ == np.inf
    est.adapt(x[~old], y[~old], task=task[~old])
    std = est.predict(x[~old], task=task[~old], return_std=True)[1].reshape(10, 12)
    assert std[1::2].max() < std[::2].min()


# What must not matter -----------------------------------------------------------------


@pytest.mark.parametrize("noise", ["shared", "per_task"])
def test_bulk_is_one_by_one_and_order_does_not_matter(noise, data):
    X, y, task = data
    est = MixedModelRegressor(noise=noise).fit(X, y, task=task)
    bulk = adapted(est, X, y, task=task)
    mean, std = bulk.predict(X, task=task, return_std=True)
    for label in (0, 7):
        own = (task == label).to_numpy()
        one = adapted(est, X[own], y[own]).predict(X[own], return_std=True)
        np.testing.assert_allclose(mean[own], one[0])
        np.testing.assert_allclose(std[own], one[1])
    order = np.random.default_rng(0).permutation(len(X))
    renamed = -task.iloc[order]
    again = MixedModelRegressor(noise=noise)
    again.fit(X.iloc[order], y.iloc[order], task=renamed)
    np.testing.assert_allclose(again.coef_, est.coef_, rtol=1e-6)
    np.testing.assert_allclose(again.log_likelihood_, est.log_likelihood_)
    effects = again.random_effects_.rename(index=lambda label: -label).sort_index()
    np.testing.assert_allclose(effects, est.random_effects_, rtol=1e-3, atol=1e-5)


def test_random_effects_are_what_adapting_finds(data):
    X, y, task = data
    est = MixedModelRegressor().fit(X, y, task=task)
    effects = est.random_effects_
    assert effects.index.to_list() == list(range(40))
    assert effects.columns.to_list() == ["intercept", "x"]
    own = effects.loc[task].to_numpy()
    expected = est.intercept_ + own[:, 0] + (est.coef_[0] + own[:, 1]) * X["x"]
    est.adapt(X, y, task=task)
    np.testing.assert_allclose(est.predict(X, task=task), expected)


@pytest.mark.parametrize("reml", [True, False], ids=["reml", "ml"])
def test_units_are_undone(reml, data):
    X, y, task = data
    est = MixedModelRegressor(reml=reml, covariance="full").fit(X, y, task=task)
    other = MixedModelRegressor(reml=reml, covariance="full")
    other.fit(1000 * X - 5, 0.01 * y + 7, task=task)
    per_unit = 0.01 / 1000
    np.testing.assert_allclose(other.coef_, per_unit * est.coef_, rtol=1e-6)
    # y = a + b x, and x = (x' + 5) / 1000.
    intercept = 0.01 * est.intercept_ + 7 + 5 * per_unit * est.coef_[0]
    np.testing.assert_allclose(other.intercept_, intercept, rtol=1e-6)
    errors = per_unit * est.coef_std_errors_
    np.testing.assert_allclose(other.coef_std_errors_, errors, rtol=1e-4)
    linear = np.array([[0.01, 5 * per_unit], [0, per_unit]])
    D = linear @ est.random_effects_covariance_ @ linear.T
    np.testing.assert_allclose(other.random_effects_covariance_, D, rtol=1e-3)
    np.testing.assert_allclose(
        other.noise_variance_, 1e-4 * est.noise_variance_, rtol=1e-5
    )
    n_free = len(y) - 2 * reml
    value = est.log_likelihood_ - n_free * np.log(0.01) - reml * np.log(1000)
    np.testing.assert_allclose(other.log_likelihood_, value)


# What is asked ------------------------------------------------------------------------


def test_random_slopes_are_names_or_indices(regression_tasks):
    X, y, task = regression_tasks
    frame = pd.DataFrame(X, columns=["dose", "age", "weight"])
    named = MixedModelRegressor(random_slopes=["weight", "dose"])
    named.fit(frame, y, task=task)
    assert named.random_slopes_ == ["dose", "weight"]
    assert named.random_effects_.columns.to_list() == ["intercept", "dose", "weight"]
    assert named.random_effects_covariance_.shape == (3, 3)
    numbered = MixedModelRegressor(random_slopes=[0, 2]).fit(X, y, task=task)
    assert numbered.random_slopes_ == [0, 2]
    np.testing.assert_allclose(numbered.coef_, named.coef_)
    # A task's coefficient of another column is that of all.
    effects = adapted(named, frame[:5], y[:5])
    step = frame[:1].assign(age=frame.age[0] + 1)
    difference = effects.predict(step) - effects.predict(frame[:1])
    np.testing.assert_allclose(difference, named.coef_[1])


@pytest.mark.parametrize("column", ["height", 3, -1, 1.5])
def test_a_slope_of_no_column_is_named(column, regression_tasks):
    X, y, task = regression_tasks
    frame = pd.DataFrame(X, columns=["dose", "age", "weight"])
    with pytest.raises(ValueError, match=rf"random_slopes has '?{column}'?, .*dose"):
        MixedModelRegressor(random_slopes=[column]).fit(frame, y, task=task)
    with pytest.raises(ValueError, match="X has no names, and indices run from 0 to 2"):
        MixedModelRegressor(random_slopes=[column]).fit(X, y, task=task)


def test_summary_says_all_of_it(data):
    X, y, task = data
    est = MixedModelRegressor().fit(X, y, task=task)
    table = est.summary()
    assert table.index.to_list() == [
        ("fixed", "intercept"),
        ("fixed", "x"),
        ("random", "sd(intercept)"),
        ("random", "sd(x)"),
        ("random", "corr(intercept, x)"),
        ("noise", "sd"),
    ]
    slope = table.loc[("fixed", "x")]
    np.testing.assert_allclose(slope.estimate, est.coef_[0])
    np.testing.assert_allclose(slope.z, est.coef_[0] / est.coef_std_errors_[0])
    half = (slope.upper - slope.lower) / 2
    np.testing.assert_allclose(half, 1.959964 * est.coef_std_errors_[0], rtol=1e-6)
    D = est.random_effects_covariance_
    random = [D[0, 0] ** 0.5, D[1, 1] ** 0.5, D[0, 1] / (D[0, 0] * D[1, 1]) ** 0.5]
    np.testing.assert_allclose(table.estimate["random"], random)
    assert table.loc[["random", "noise"], ["std_error", "lower"]].isna().all(axis=None)
    other = MixedModelRegressor(random_slopes="none").fit(X.to_numpy(), y, task=task)
    assert ("fixed", "0") in other.summary().index
    assert other.summary().estimate["random"].index.to_list() == ["sd(intercept)"]


# Edges --------------------------------------------------------------------------------


def test_more_columns_than_rows():
    rng = np.random.default_rng(0)
    task = np.repeat(np.arange(12), 6)
    signal = rng.normal(size=(72, 2))
    X = signal @ rng.normal(size=(2, 300)) + 0.1 * rng.normal(size=(72, 300))
    y = signal @ [1, 2] + rng.normal(size=12)[task] + 0.1 * rng.normal(size=72)
    est = MixedModelRegressor().fit(X[12:], y[12:], task=task[12:])
    assert est.coef_.shape == (300,)
    assert est.random_effects_.shape == (10, 301)
    assert est.score(X, y, task=task + 100, shots=3) > 0.9


def test_constant_and_duplicate_columns_change_no_prediction(data):
    train, (X, y), new = held_out(data)
    est = MixedModelRegressor(random_slopes=["x"])

    def with_more(X):
        return X.assign(one=4.0, again=X["x"])

    plain = est.fit(*train[:2], task=train[2]).adapt(X, y).predict(new)
    est.fit(with_more(train[0]), train[1], task=train[2]).adapt(with_more(X), y)
    np.testing.assert_allclose(est.predict(with_more(new)), plain, rtol=1e-6)
    assert np.isfinite(est.log_likelihood_)
    assert np.isfinite(est.summary().loc["fixed"].to_numpy()[:, :2]).all()


def test_rows_on_lines_are_continued():
    X, y, task = make_linear_tasks(30, n_features=2, noise=0.0, random_state=0)
    est = MixedModelRegressor().fit(X, y, task=task)
    own = task == 3
    est.adapt(X[own][:4], y[own][:4])
    mean, std = est.predict(X[own], return_std=True)
    np.testing.assert_allclose(mean, y[own], atol=1e-3 * np.std(y))
    assert np.isfinite(std).all()
    assert np.isfinite(est.log_likelihood_)


def test_a_target_of_one_value():
    X, _, task = make_linear_tasks(10, random_state=0)
    est = MixedModelRegressor().fit(X, np.full(len(X), 3.0), task=task)
    np.testing.assert_allclose(est.predict(X), 3.0)


def test_too_few_steps_are_said(data):
    X, y, task = data
    est = MixedModelRegressor(max_iter=1)
    with pytest.warns(ConvergenceWarning, match="max_iter"):
        est.fit(X, y, task=task)
    assert not est.converged_
    est = MixedModelRegressor().fit(X, y, task=task)
    assert est.converged_
    assert 1 < est.n_iter_ < 100


def test_single_precision_stays(data):
    X, y, task = data
    est = MixedModelRegressor().fit(X, y, task=task)
    single = MixedModelRegressor().fit(X.astype(np.float32), y, task=task)
    mean, std = single.predict(X.astype(np.float32), return_std=True)
    assert mean.dtype == std.dtype == np.float32
    np.testing.assert_allclose(mean, est.predict(X), rtol=1e-4)
    assert single.coef_.dtype == np.float64


@pytest.mark.parametrize("noise", ["shared", "per_task"])
def test_pickles_predict_and_tell_the_same(noise, data):
    train, (X, y), new = held_out(data)
    est = MixedModelRegressor(noise=noise).fit(*train[:2], task=train[2]).adapt(X, y)
    again = pickle.loads(pickle.dumps(est))
    found, expected = (e.predict(new, return_std=True) for e in (again, est))
    np.testing.assert_array_equal(found, expected)
    pd.testing.assert_frame_equal(again.summary(), est.summary())
    pd.testing.assert_frame_equal(again.random_effects_, est.random_effects_)


def test_intervals_hold_what_they_promise(data):
    X, y, task = data
    X, y, task = X.to_numpy(), y.to_numpy(), task.to_numpy()
    old = task < 25
    est = MixedModelRegressor().fit(X[old], y[old], task=task[old])
    est.calibrate(X[~old], y[~old], task[~old], shots=4)
    own = task == 30
    est.adapt(X[own][:4], y[own][:4])
    lower, upper = est.predict_interval(X[own], coverage=0.8).T
    assert ((lower <= y[own]) & (y[own] <= upper)).mean() > 0.5


def test_memory_does_not_hold_products_of_rows():
    rng = np.random.default_rng(0)
    task = np.repeat(np.arange(20_000), 10)
    X = rng.normal(size=(len(task), 5))
    y = X.sum(axis=1) + rng.normal(size=20_000)[task] + rng.normal(size=len(task))
    tracemalloc.start()
    try:
        est = MixedModelRegressor(random_slopes="none").fit(X, y, task=task)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    # Of NumPy: the sums are as large as the data, products of all rows ten times that.
    assert peak < 6 * X.nbytes
    np.testing.assert_allclose(est.coef_, 1, atol=0.02)
