"""The stabilisers of MAML++ against a slow reference, and the phases of training."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import numpy as np
import pytest
import torch
from descent_reference import (
    ENGINES,
    KINDS,
    accumulated,
    assert_same,
    gradients_of,
    meta_loss_of,
    path_of,
    predict,
    randomise,
)
from descent_tasks import N_TASKS, encoder_of, episodes_of

from sklmeta import MAMLClassifier, MAMLRegressor
from sklmeta.datasets import make_sensor_arrays, make_sinusoids
from sklmeta.gradient_based.maml import MAMLLearner
from sklmeta.learners.learner import TaskSpec
from sklmeta.learners.stabilisers import step_weights

SETTINGS = {
    "rates": {"learn_inner_lr": True},
    "every_step": {"multi_step_loss": 0.5},
    "annealing": {"derivative_order_annealing": 0.5},
    "all": {
        "learn_inner_lr": True,
        "multi_step_loss": 0.5,
        "derivative_order_annealing": 0.3,
    },
}


def learner_of(kind, name="mlp", **params):
    torch.manual_seed(1)
    spec = TaskSpec(kind, (3,), 6, n_classes=4 if kind == "shared" else 0)
    params = {"inner_lr": 0.05, "inner_steps": 3, **params}
    learner = MAMLLearner(spec, encoder_of(name), **params).double()
    if learner.step_sizes is not None:
        randomise(learner.step_sizes)
    return learner


def rate_of(learner):
    if learner.step_sizes is None:
        return lambda name, k: 0.05
    rates = learner.step_sizes()
    return lambda name, k: rates[name][k]


def expected_loss(learner, episodes, progress):
    """What the settings ask for when that share of the meta-updates is done."""
    weights = None
    if progress < learner.multi_step_loss:
        weights = step_weights(3, progress / learner.multi_step_loss)
    return meta_loss_of(
        learner,
        episodes,
        rate_of(learner),
        weights=weights,
        first_order=progress < learner.derivative_order_annealing,
    )


def test_step_weights_are_the_papers():
    """The authors' `get_per_step_loss_importance_vector`, epoch by epoch."""
    n_steps, n_epochs = 5, 10
    for epoch in range(n_epochs):
        decay = 1 / n_steps / n_epochs
        least = 0.03 / n_steps
        early = max(1 / n_steps - epoch * decay, least)
        last = min(
            1 / n_steps + epoch * (n_steps - 1) * decay, 1 - (n_steps - 1) * least
        )
        found = step_weights(n_steps, epoch / n_epochs)
        np.testing.assert_allclose(found, [early] * 4 + [last], rtol=1e-12)
        np.testing.assert_allclose(sum(found), 1, rtol=1e-12)
    assert step_weights(1, 0.3) == [1.0]
    np.testing.assert_allclose(step_weights(4, 0.99)[0], 0.03 / 4)


@pytest.mark.parametrize("progress", [0.0, 0.4, 0.5])
@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize(("kind", "head_init"), KINDS)
@pytest.mark.parametrize("engine", ENGINES)
def test_value_and_meta_gradient(engine, kind, head_init, settings, progress):
    params = {"engine": engine, "head_init": head_init, **SETTINGS[settings]}
    learner, episodes = learner_of(kind, **params), episodes_of(kind)
    learner.begin_update(progress)
    loss = learner.meta_loss(episodes)
    expected = expected_loss(learner, episodes, progress)
    assert_same([loss], [expected])
    assert_same(gradients_of(learner, loss), gradients_of(learner, expected))
    losses, found = accumulated(learner, episodes, 0.5)
    expected = expected_loss(learner, episodes, progress)
    assert_same([losses], [expected])
    whole = torch.autograd.grad(0.5 * expected.sum(), list(learner.parameters()))
    assert_same(found, whole)


@pytest.mark.parametrize("name", ["layer_norm", "conv"])
def test_other_networks(name):
    learner = learner_of("regression", name, **SETTINGS["all"])
    episodes = episodes_of("regression")
    for progress in (0.0, 0.4, 0.9):
        learner.begin_update(progress)
        loss = learner.meta_loss(episodes)
        expected = expected_loss(learner, episodes, progress)
        assert_same([loss], [expected])
        assert_same(gradients_of(learner, loss), gradients_of(learner, expected))


@pytest.mark.parametrize("engine", ["adjoint", "batched"])
def test_the_order_of_derivatives_switches_once(engine):
    learner = learner_of(
        "regression", engine=engine, derivative_order_annealing=0.3, inner_steps=2
    )
    episodes = episodes_of("regression")
    orders = {
        first_order: gradients_of(
            learner,
            meta_loss_of(learner, episodes, rate_of(learner), first_order=first_order),
        )
        for first_order in (True, False)
    }
    n = 10
    for update in range(n):
        learner.begin_update(update / n)
        found = gradients_of(learner, learner.meta_loss(episodes))
        assert_same(found, orders[update < 3])
    differ = zip(orders[True], orders[False], strict=True)
    assert any((a - b).abs().max() > 1e-4 * b.abs().max() for a, b in differ)


@pytest.mark.parametrize("engine", ["adjoint", "batched"])
def test_evaluation_mode_judges_the_last_step_alone(engine):
    learner = learner_of("shared", engine=engine, multi_step_loss=1.0)
    episodes = episodes_of("shared")
    learner.begin_update(0.0)
    early = learner.meta_loss(episodes)
    last = learner.eval().meta_loss(episodes)
    assert_same([last], [meta_loss_of(learner, episodes, rate_of(learner))])
    assert ((early - last).abs() > 1e-5 * last).all()
    with torch.no_grad():
        assert_same([learner.meta_loss(episodes)], [last])


@pytest.mark.parametrize("adapt_steps", [1, 3])
@pytest.mark.parametrize("engine", ["adjoint", "loop"])
@pytest.mark.parametrize(("kind", "head_init"), KINDS)
def test_adapt_takes_each_steps_own_rates(kind, head_init, engine, adapt_steps):
    learner = learner_of(
        kind,
        engine=engine,
        head_init=head_init,
        learn_inner_lr=True,
        adapt_steps=adapt_steps,
    )
    support, query = episodes_of(kind)
    state = learner.eval().adapt(support)
    assert state["n_guarded"].tolist() == [0] * N_TASKS
    output = learner.predict(state, query.X)
    for t in range(N_TASKS):
        after = path_of(learner, support, t, rate_of(learner))[adapt_steps - 1]
        expected = predict(learner, after, query.X[t])
        assert_same([output[t, :, : expected.shape[1]]], [expected])


def test_wild_rates_are_guarded():
    learner = learner_of("regression", "relu", learn_inner_lr=True, adapt_steps=6)
    with torch.no_grad():
        for p in learner.eval().step_sizes.parameters():
            p.mul_(1e6)
    support, query = episodes_of("regression")
    state = learner.adapt(support)
    assert (state["n_guarded"] > 0).any()
    assert learner.predict(state, query.X).isfinite().all()


SINUSOIDS = make_sinusoids(30, n_rows=20, random_state=0)
SENSORS = make_sensor_arrays(12, n_rows=20, random_state=0)
SMALL = {"hidden_layer_sizes": (8,), "inner_steps": 2, "max_iter": 6, "random_state": 0}


def fitted(data=SINUSOIDS, cls=MAMLRegressor, **params):
    return cls(**{**SMALL, **params}).fit(data[0], data[1], task=data[2])


def assert_equal_weights(one, other, equal=True):
    one, other = one._fitted.weights, other._fitted.weights
    same = [np.array_equal(value, other[name]) for name, value in one.items()]
    assert all(same) is equal


def test_fit_tells_the_learner_how_far_it_is(monkeypatch):
    told = []
    monkeypatch.setattr(
        MAMLLearner, "begin_update", lambda self, progress: told.append(progress)
    )
    model = fitted(warm_start=True, max_iter=4)
    assert told == [0, 0.25, 0.5, 0.75]
    # A warm start counts its own updates, as lr_schedule does.
    model.fit(SINUSOIDS[0], SINUSOIDS[1], task=SINUSOIDS[2])
    assert told[4:] == told[:4]
    assert model.n_iter_ == 8


def test_annealing_over_a_whole_fit_is_first_order():
    assert_equal_weights(fitted(derivative_order_annealing=1), fitted(first_order=True))
    half = fitted(derivative_order_annealing=0.5)
    assert_equal_weights(half, fitted(first_order=True), equal=False)
    assert_equal_weights(half, fitted(), equal=False)


def test_validation_is_of_the_last_step():
    params = {"early_stopping": True, "max_iter": 1, "lr": 1e-12}
    plain, early = fitted(**params), fitted(**params, multi_step_loss=1)
    rows = plain.history_[0], early.history_[0]
    assert rows[0]["valid_loss"] == pytest.approx(rows[1]["valid_loss"], rel=1e-6)
    assert rows[0]["train_loss"] != pytest.approx(rows[1]["train_loss"], rel=1e-4)


@pytest.mark.parametrize(
    ("cls", "data", "params"),
    [
        (MAMLRegressor, SINUSOIDS, {}),
        (MAMLClassifier, SENSORS, {}),
        (MAMLClassifier, SENSORS, {"n_way": 3, "n_shots": 2, "n_query": 3}),
    ],
    ids=["regression", "shared", "own"],
)
def test_fit_learns_a_rate_for_each_tensor_and_step(cls, data, params):
    model = fitted(data, cls, **SETTINGS["all"], **params)
    rates = [v for n, v in model._fitted.weights.items() if n.startswith("step_sizes.")]
    assert len(rates) == 4
    for rate in rates:
        assert len(rate) == rate.size == 2
        assert (np.abs(rate - model.inner_lr) > 1e-6).all()
    assert_equal_weights(model, fitted(data, cls, **SETTINGS["all"], **params))


def test_off_by_default():
    model = fitted()
    assert not any(name.startswith("step_sizes") for name in model._fitted.weights)
    assert_equal_weights(model, fitted(multi_step_loss=0, derivative_order_annealing=0))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("multi_step_loss", 1.5),
        ("derivative_order_annealing", -0.1),
        ("learn_inner_lr", 0.01),
    ],
)
def test_bad_parameters(name, value):
    with pytest.raises(ValueError, match=f"'{name}' parameter of MAMLRegressor"):
        fitted(**{name: value})
