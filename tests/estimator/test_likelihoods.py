"""Counts, amounts and outliers, as users of meta-learners see them."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

import pickle

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from sklmeta import (
    ANILRegressor,
    FineTuneRegressor,
    MAMLRegressor,
    MetaSGDRegressor,
    NeuralProcessRegressor,
    ReptileRegressor,
    TransformerNeuralProcessRegressor,
)

LOG_LINKS = ("poisson", "negative_binomial", "gamma")
N_ROWS = 14


def small(cls, likelihood, **params):
    return cls(likelihood=likelihood, random_state=0, **{"max_iter": 3, **params})


@pytest.fixture(scope="module")
def counts():
    rng = np.random.default_rng(0)
    task = np.repeat(np.arange(60), N_ROWS)
    X = rng.normal(size=(len(task), 2))
    level = rng.normal(size=60)[task]
    return X, rng.poisson(np.exp(1 + 0.8 * np.sin(2 * X[:, 0]) + level)), task


def deviance(y, mean):
    mean = np.maximum(mean, 0.1)  # a normal model's may be negative
    return 2 * np.mean(
        mean - y + np.where(y > 0, y * np.log(np.maximum(y, 1) / mean), 0)
    )


def test_poisson_predicts_counts_better_than_the_normal(counts):
    X, y, task = counts
    first = np.tile(np.arange(N_ROWS) < 5, 60)
    old, support, query = task < 40, (task >= 40) & first, (task >= 40) & ~first
    found = {}
    for likelihood in ("gaussian", "poisson"):
        est = small(
            TransformerNeuralProcessRegressor,
            likelihood,
            max_iter=80,
            d_model=16,
            n_layers=1,
            early_stopping=False,
        )
        est.fit(X[old], y[old], task=task[old])
        est.adapt(X[support], y[support], task=task[support])
        found[likelihood] = est.predict(X[query], task=task[query])
    assert (found["poisson"] >= 0).all()
    better = deviance(y[query], found["poisson"])
    assert better < 0.8 * deviance(y[query], found["gaussian"])


@pytest.mark.parametrize("likelihood", LOG_LINKS)
@pytest.mark.parametrize(
    "cls",
    [
        ANILRegressor,
        FineTuneRegressor,
        MAMLRegressor,
        MetaSGDRegressor,
        ReptileRegressor,
        NeuralProcessRegressor,
    ],
)
def test_nothing_below_zero_is_predicted(counts, cls, likelihood):
    X, y, task = counts
    y = y + 0.5 if likelihood == "gamma" else y
    est = small(cls, likelihood).fit(X, y, task=task).adapt(X[:6], y[:6])
    wild = np.concatenate([X[:20], [[1e6, -1e6], [-1e6, 1e6]]])
    mean = est.predict(wild)
    assert np.isfinite(mean).all() and (mean >= 0).all()
    again = pickle.loads(pickle.dumps(est))
    assert_array_equal(again.predict(wild), mean)


@pytest.mark.parametrize("likelihood", ["student_t", *LOG_LINKS])
def test_deviation_and_quantiles_are_those_of_the_likelihood(counts, likelihood):
    X, y, task = counts
    y = y + 0.5 if likelihood == "gamma" else y
    est = small(NeuralProcessRegressor, likelihood, early_stopping=False)
    est.fit(X, y, task=task).adapt(X[:6], y[:6])
    mean, std = est.predict(X[:9], return_std=True)
    if likelihood == "poisson":
        assert_array_equal(std, np.sqrt(mean))
    assert (std > 0).all()
    low, high = est.predict_quantiles(X[:9], [0.05, 0.95]).T
    assert (low < high).all() and (low < mean).all() and (mean < high).all()
    if likelihood != "student_t":
        assert (low >= 0).all()
    if likelihood in ("poisson", "negative_binomial"):
        assert_array_equal(high, np.round(high))


def test_intervals_of_counts_end_at_zero(counts):
    X, y, task = counts
    old = task < 40
    est = small(MAMLRegressor, "poisson").fit(X[old], y[old], task=task[old])
    est.calibrate(X[~old], y[~old], task[~old], shots=[5], n_draws=1)
    low, high = est.adapt(X[:5], y[:5]).predict_interval(X[:30]).T
    assert (low == 0).any() and (low >= 0).all() and (high > low).all()


@pytest.mark.parametrize(
    "likelihood, wrong", [("poisson", 0.5), ("negative_binomial", -1), ("gamma", 0)]
)
def test_what_a_likelihood_does_not_have_is_refused(counts, likelihood, wrong):
    X, y, task = counts
    y = y + 1.0
    est = small(MAMLRegressor, likelihood).fit(X, y, task=task)
    y[3] = wrong
    for call in (lambda: est.fit(X, y, task=task), lambda: est.adapt(X[:5], y[:5])):
        with pytest.raises(ValueError, match=f"likelihood='{likelihood}' is for"):
            call()


def test_the_likelihood_is_the_one_that_was_fitted(counts):
    X, y, task = counts
    est = small(NeuralProcessRegressor, "poisson").fit(X, y, task=task)
    before = est.predict(X[:5])
    est.set_params(likelihood="gaussian")
    assert_array_equal(est.predict(X[:5]), before)
    est.set_params(warm_start=True)
    with pytest.raises(ValueError, match="likelihood of before, 'poisson'"):
        est.fit(X, y, task=task)


def test_several_counts_at_once(counts):
    X, y, task = counts
    est = small(NeuralProcessRegressor, "negative_binomial", early_stopping=False)
    est.fit(X, np.column_stack([y, 100 * y]), task=task)
    mean = est.predict(X[:4])
    assert mean.shape == (4, 2)
    assert (mean[:, 1] > 10 * mean[:, 0]).all()
    assert est.predict_quantiles(X[:4], [0.1, 0.9]).shape == (4, 2, 2)
