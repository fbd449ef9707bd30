"""Reptile as estimators, and the minibatches of its inner loop."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import pickle

import pytest
import torch

from sklmeta.datasets import make_classification_tasks, make_sinusoids
from sklmeta.episodes.rows import Rows
from sklmeta.gradient_based.reptile import (
    ReptileClassifier,
    ReptileRegressor,
)
from sklmeta.learners.engine import EngineWarning
from sklmeta.learners.minibatches import minibatches

BATCH = 4


def rows_of_sizes(sizes, width):
    sizes = torch.tensor(sizes)
    mask = (torch.arange(width) < sizes[:, None]).double()
    X = torch.arange(width).expand(len(sizes), -1)[..., None].double()
    return Rows(X, X[..., 0], mask)


@pytest.mark.parametrize("generator", [None, torch.Generator().manual_seed(0)])
def test_every_pass_takes_each_row_once(generator):
    sizes, n_steps = [2, 4, 5, 11, 23], 20
    drawn = minibatches(rows_of_sizes(sizes, 25), n_steps, BATCH, generator)
    assert len(drawn) == n_steps
    for t, size in enumerate(sizes):
        if size <= BATCH:
            for rows in drawn:
                assert sorted(rows.X[t, rows.mask[t] > 0, 0].tolist()) == list(
                    range(size)
                )
            continue
        assert all((rows.mask[t] == 1).all() for rows in drawn)
        taken = torch.cat([rows.X[t, :, 0] for rows in drawn]).tolist()
        passes = [taken[i : i + size] for i in range(0, len(taken) - size + 1, size)]
        assert len(passes) > 1
        for one in passes:
            assert sorted(one) == list(range(size))
        assert passes[0] != passes[1]


def test_fixed_minibatches_do_not_depend_on_the_tasks_beside():
    together = minibatches(rows_of_sizes([5, 23, 9], 40), 6, BATCH)
    for t, size in enumerate([5, 23, 9]):
        alone = minibatches(rows_of_sizes([size], size), 6, BATCH)
        for a, b in zip(together, alone, strict=True):
            assert torch.equal(a.X[t], b.X[0])


def test_fit_is_reproducible_and_leaves_the_global_generator_alone():
    X, y, task = make_sinusoids(20, n_rows=30, random_state=0)
    predictions = []
    for seed in (0, 0, 1):
        torch.manual_seed(len(predictions))
        before = torch.get_rng_state()
        est = ReptileRegressor(max_iter=5, n_shots=15, random_state=seed)
        predictions.append(est.fit(X, y, task=task).predict(X))
        assert torch.equal(torch.get_rng_state(), before)
    assert (predictions[0] == predictions[1]).all()
    assert (predictions[0] != predictions[2]).any()


# The estimators -------------------------------------------------------------------


def test_moments_travel_with_the_estimator():
    X, y, task = make_sinusoids(20, n_rows=30, random_state=0)
    est = ReptileRegressor(max_iter=20, random_state=0).fit(X, y, task=task)
    weights = est._fitted.weights
    assert (weights["second_moment"] > 0).mean() > 0.5
    assert weights["n_inner_steps"] == 20 * est.meta_batch_size * est.inner_steps
    loaded = pickle.loads(pickle.dumps(est))
    both = [e.adapt(X[:10], y[:10]).predict(X[10:30]) for e in (est, loaded)]
    assert (both[0] == both[1]).all()


def test_warm_start_goes_on_with_the_moments():
    X, y, task = make_sinusoids(20, n_rows=30, random_state=0)
    est = ReptileRegressor(max_iter=5, random_state=0, warm_start=True)
    first = est.fit(X, y, task=task)._fitted.weights["n_inner_steps"]
    assert est.fit(X, y, task=task)._fitted.weights["n_inner_steps"] == 2 * first


def test_compile_says_that_it_has_no_effect():
    X, y, task = make_sinusoids(10, n_rows=30, random_state=0)
    est = ReptileRegressor(max_iter=2, compile=True, random_state=0)
    with pytest.warns(EngineWarning, match="no effect"):
        est.fit(X, y, task=task)


@pytest.mark.filterwarnings("ignore:max_iter=0 asks for no meta-update")
def test_regressor_learns():
    X, y, task = make_sinusoids(200, n_rows=30, random_state=0)
    new = task >= 150
    scores = []
    for max_iter in (0, 300):
        est = ReptileRegressor(max_iter=max_iter, random_state=0)
        est.fit(X[~new], y[~new], task=task[~new])
        scores.append(est.score(X[new], y[new], task=task[new], shots=10))
    assert scores[1] > scores[0] + 0.1


@pytest.mark.filterwarnings("ignore:max_iter=0 asks for no meta-update")
@pytest.mark.parametrize("meta_batch_size", [1, 8])
@pytest.mark.parametrize("head_init", ["shared", "prototypes"])
def test_classifier_learns_classes_of_each_tasks_own(head_init, meta_batch_size):
    """Any number of them."""
    X, y, task = make_classification_tasks(60, n_way=(2, 6), random_state=0)
    new = task >= 50
    scores = []
    for max_iter in (0, 150):
        est = ReptileClassifier(
            shared_classes=False,
            hidden_layer_sizes=(32,),
            n_shots=5,
            inner_lr=0.01,
            max_iter=max_iter,
            random_state=0,
            head_init=head_init,
            meta_batch_size=meta_batch_size,
        ).fit(X[~new], y[~new], task=task[~new])
        scores.append(est.score(X[new], y[new], task=task[new], shots=5))
    assert scores[1] > scores[0] + 0.05


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"inner_lr": 0}, "inner_lr"),
        ({"inner_steps": 0}, "inner_steps"),
        ({"inner_batch_size": 0}, "inner_batch_size"),
        ({"inner_optimizer": "Adam"}, "inner_optimizer"),
        ({"adapt_steps": -1}, "adapt_steps"),
        ({"head_init": "zero"}, "head_init"),
        ({"lr_schedule": "exponential"}, "lr_schedule"),
    ],
)
def test_bad_parameters(params, message):
    X, y, task = make_classification_tasks(10, random_state=0)
    with pytest.raises(ValueError, match=message):
        ReptileClassifier(max_iter=1, **params).fit(X, y, task=task)
