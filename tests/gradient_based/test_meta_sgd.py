"""Meta-SGD against a slow reference, and what its learned steps are for."""

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

from sklmeta import MetaSGDClassifier, MetaSGDRegressor
from sklmeta.datasets import make_sensor_arrays, make_sinusoids
from sklmeta.episodes.rows import Episodes, Rows
from sklmeta.gradient_based.maml import MAMLLearner
from sklmeta.gradient_based.meta_sgd import MetaSGDLearner
from sklmeta.learners.encoders import MLP
from sklmeta.learners.learner import TaskSpec


def learner_of(kind, name="mlp", cls=MetaSGDLearner, **params):
    torch.manual_seed(1)
    spec = TaskSpec(kind, (3,), 6, n_classes=4 if kind == "shared" else 0)
    params = {"inner_lr": 0.05, "inner_steps": 1, **params}
    learner = cls(spec, encoder_of(name), **params).double()
    if cls is MetaSGDLearner:
        randomise(learner.step_sizes)
    return learner


def rate_of(learner):
    rates = learner.step_sizes()
    return lambda name, k: rates[name][0]


@pytest.mark.parametrize("first_order", [False, True])
@pytest.mark.parametrize("inner_steps", [1, 3])
@pytest.mark.parametrize(("kind", "head_init"), KINDS)
@pytest.mark.parametrize("engine", ENGINES)
def test_value_and_meta_gradient(engine, kind, head_init, inner_steps, first_order):
    learner = learner_of(
        kind,
        engine=engine,
        head_init=head_init,
        inner_steps=inner_steps,
        first_order=first_order,
    )
    episodes = episodes_of(kind)
    loss = learner.meta_loss(episodes)
    expected = meta_loss_of(
        learner, episodes, rate_of(learner), first_order=first_order
    )
    assert learner.engine_name == engine
    assert_same([loss], [expected])
    gradients = gradients_of(learner, expected)
    assert_same(gradients_of(learner, loss), gradients)
    assert learner.body_stays or all(gradient.any() for gradient in gradients)
    losses, found = accumulated(learner, episodes, 0.5)
    assert_same([losses], [expected])
    loss = learner.meta_loss(episodes)
    whole = torch.autograd.grad(0.5 * loss.sum(), list(learner.parameters()))
    assert_same(found, whole)


@pytest.mark.parametrize("name", ["layer_norm", "batch_norm_eval", "conv"])
def test_other_networks(name):
    learner = learner_of("regression", name, inner_steps=2)
    if name == "batch_norm_eval":
        learner.eval()
    episodes = episodes_of("regression")
    loss = learner.meta_loss(episodes)
    expected = meta_loss_of(learner, episodes, rate_of(learner))
    assert_same([loss], [expected])
    assert_same(gradients_of(learner, loss), gradients_of(learner, expected))


@pytest.mark.parametrize(("kind", "head_init"), KINDS)
def test_equal_steps_are_those_of_maml(kind, head_init):
    params = {"head_init": head_init, "inner_steps": 3, "inner_lr": 0.1}
    maml = learner_of(kind, cls=MAMLLearner, **params)
    learner = learner_of(kind, **params)
    learner.load_state_dict(maml.state_dict(), strict=False)
    with torch.no_grad():
        for p in learner.step_sizes.parameters():
            p.fill_(0.1)
    episodes = episodes_of(kind)
    losses = learner.meta_loss(episodes), maml.meta_loss(episodes)
    assert_same([losses[0]], [losses[1]])
    expected = gradients_of(maml, losses[1])
    assert_same(gradients_of(learner, losses[0])[: len(expected)], expected)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(("kind", "head_init"), KINDS)
def test_adapt_takes_the_learned_steps(kind, head_init, engine):
    learner = learner_of(kind, head_init=head_init, engine=engine, inner_steps=2)
    support, query = episodes_of(kind)
    state = learner.eval().adapt(support)
    output = learner.predict(state, query.X)
    assert state["n_guarded"].tolist() == [0] * N_TASKS
    for t in range(N_TASKS):
        last = path_of(learner, support, t, rate_of(learner))[-1]
        expected = predict(learner, last, query.X[t])
        assert_same([output[t, :, : expected.shape[1]]], [expected])


@pytest.mark.parametrize("engine", ["adjoint", "loop"])
def test_steps_beyond_are_plain_and_never_raise_the_support_loss(engine):
    learner = learner_of("regression", "relu", engine=engine, inner_lr=0.5).eval()
    support = episodes_of("regression").support
    losses = []
    for adapt_steps in range(1, 9):
        learner.adapt_steps = adapt_steps
        output = learner.predict(learner.adapt(support), support.X)[..., 0]
        losses.append((output - support.y).square().mean(1))
    losses = torch.stack(losses)
    assert (losses[1:] <= losses[:-1] + 1e-12).all()
    # The second step is of inner_lr, wherever that needs no backtracking.
    learner.adapt_steps = 2
    first = path_of(learner, support, 0, rate_of(learner))[-1]
    first = {n: p.detach().requires_grad_() for n, p in first.items()}
    loss = (predict(learner, first, support.X[0])[:, 0] - support.y[0]).square().mean()
    gradients = torch.autograd.grad(loss, list(first.values()))
    state = learner.adapt(support)
    moved = [
        (state[n][0] - p) / -g
        for (n, p), g in zip(first.items(), gradients, strict=True)
    ]
    sizes = torch.cat([m[m.isfinite()] for m in moved])
    halvings = torch.log2(0.5 / sizes.median())
    torch.testing.assert_close(halvings, halvings.round())
    torch.testing.assert_close(sizes, sizes.median().expand_as(sizes))


@pytest.mark.parametrize("kind", ["regression", "shared", "own"])
def test_wild_steps_are_guarded(kind):
    learner = learner_of(kind, "relu", inner_steps=3).eval()
    with torch.no_grad():
        for p in learner.step_sizes.parameters():
            p.mul_(1e6)
    support, query = episodes_of(kind)
    state = learner.adapt(support)
    assert (state["n_guarded"] > 0).any()
    assert learner.predict(state, query.X).isfinite().all()


@pytest.mark.parametrize("head_init", ["shared", "prototypes"])
def test_steps_of_the_head_fit_any_number_of_classes(head_init):
    rates = learner_of("own", head_init=head_init).step_sizes()
    assert rates["head.weight"].shape == (1, 1, 6)  # one for every feature
    assert rates["head.bias"].shape == (1, 1)


def test_steps_are_of_the_parameters_shape_and_start_from_inner_lr():
    spec = TaskSpec("shared", (3,), 6, n_classes=4)
    learner = MetaSGDLearner(spec, encoder_of("mlp"), inner_lr=0.03)
    shapes = {
        n: tuple(p.shape)
        for n, p in learner.own_start(episodes_of("shared").support).items()
    }
    rates = learner.step_sizes()
    assert {n: (N_TASKS, *r.shape[1:]) for n, r in rates.items()} == shapes
    assert all((rate == 0.03).all() for rate in rates.values())


def test_learns_which_parameters_to_leave_alone():
    """Tasks differ in one coefficient of three: its step grows, the others' vanish."""
    torch.manual_seed(0)
    spec = TaskSpec("regression", (3,), 3, n_classes=0)
    learner = MetaSGDLearner(spec, MLP(3, ()), inner_lr=0.1, inner_steps=1)
    optimizer = torch.optim.Adam(learner.parameters(), 0.03)
    generator = torch.Generator().manual_seed(0)

    def rows(weight):
        X = torch.randn(16, 10, 3, generator=generator)
        noise = torch.randn(16, 10, generator=generator)
        y = (X @ weight[..., None])[..., 0] + 0.3 * noise
        return Rows(X, y, torch.ones_like(y))

    for _ in range(120):
        weight = torch.tensor([[1.0, -1.0, 0.0]]).repeat(16, 1)
        weight[:, 2] = 2 * torch.randn(16, generator=generator)
        optimizer.zero_grad()
        learner.accumulate(Episodes(rows(weight), rows(weight)), 1 / 16)
        optimizer.step()
    rate = learner.step_sizes()["head.weight"][0, 0].detach()
    # One step solves a row-wise white problem with half the inverse curvature.
    assert 0.25 < rate[2] < 0.6
    assert rate[:2].abs().max() < 0.1


@pytest.mark.parametrize(
    ("estimator", "data"),
    [
        (MetaSGDRegressor(), make_sinusoids(30, n_rows=20, random_state=0)),
        (MetaSGDClassifier(), make_sensor_arrays(12, n_rows=20, random_state=0)),
        (
            MetaSGDClassifier(n_way=3, n_shots=2, n_query=3),
            make_sensor_arrays(12, n_rows=20, random_state=0),
        ),
    ],
    ids=["regression", "shared", "own"],
)
def test_fit_learns_the_steps(estimator, data):
    estimator.set_params(max_iter=5, hidden_layer_sizes=(8,), random_state=0)
    estimator.fit(data[0], data[1], task=data[2])
    rates = {
        name: value
        for name, value in estimator._fitted.weights.items()
        if name.startswith("step_sizes.")
    }
    assert len(rates) == 4
    for value in rates.values():
        assert (np.abs(value - estimator.inner_lr) > 1e-6).any()
    again = type(estimator)(**estimator.get_params())
    again.fit(data[0], data[1], task=data[2])
    for name, value in estimator._fitted.weights.items():
        np.testing.assert_array_equal(again._fitted.weights[name], value)


def test_a_shared_head_and_one_step_warn():
    X, y, task = make_sensor_arrays(12, n_rows=20, random_state=0)
    estimator = MetaSGDClassifier(n_way=3, head_init="shared", max_iter=1)
    with pytest.warns(UserWarning, match="leaves the encoder"):
        estimator.fit(X, y, task=task)


@pytest.mark.parametrize(
    ("name", "value"), [("inner_lr", 0.0), ("inner_steps", 0), ("engine", "fast")]
)
def test_bad_parameters(name, value):
    X, y, task = make_sinusoids(10, n_rows=20, random_state=0)
    with pytest.raises(ValueError, match=f"'{name}' parameter of MetaSGDRegressor"):
        MetaSGDRegressor(**{name: value}).fit(X, y, task=task)
