"""The meta-LSTM against a slow reference: loops over tasks, steps and coordinates."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import math
from functools import partial

import descent_tasks
import numpy as np
import pytest
import torch
from descent_tasks import N_TASKS, loss_of
from torch import nn
from torch.func import functional_call
from torch.nn import functional as F

import sklmeta
from sklmeta.datasets import make_linear_tasks
from sklmeta.episodes.rows import Episodes, Rows
from sklmeta.learners.encoders import MLP
from sklmeta.learners.engine import EngineWarning
from sklmeta.learners.learner import TaskSpec
from sklmeta.model_based import meta_lstm
from sklmeta.model_based.coordinate_lstm import CoordinateLSTM, preprocess
from sklmeta.model_based.meta_lstm import MetaLSTMLearner

episodes_of = partial(descent_tasks.episodes_of, n_support=6, n_features=2)
KINDS = [
    ("regression", "prototypes"),
    ("shared", "prototypes"),
    ("own", "shared"),
    ("own", "prototypes"),
]


def encoder_of(name):
    encoders = {
        "mlp": lambda: MLP(2, (3,), "tanh"),
        "relu": lambda: MLP(2, (4,)),
        "conv": lambda: nn.Sequential(
            nn.Unflatten(1, (1, 2)), nn.Conv1d(1, 2, 1), nn.Tanh(), nn.Flatten()
        ),
    }
    return encoders[name]().double()


def learner_of(kind, name="mlp", **params):
    torch.manual_seed(1)
    n_classes = 4 if kind == "shared" else 0
    width = {"mlp": 3, "relu": 4, "conv": 4}[name]
    params = {"inner_lr": 0.1, "inner_steps": 3, "hidden_size": 4, **params}
    spec = TaskSpec(kind, (2,), n_features_out=width, n_classes=n_classes)
    learner = MetaLSTMLearner(spec, encoder_of(name), **params).double()
    with torch.no_grad():  # away from where all coordinates are treated alike
        for parameter in learner.rule.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return learner


def reference_preprocess(x):
    """Appendix A of the paper, for one number."""
    if abs(x) >= math.exp(-10):
        return [math.log(abs(x)) / 10, math.copysign(1.0, x)]
    return [-1.0, math.exp(10) * x]


def reference_step(rule, theta, gradient, loss, memory):
    """One coordinate: theta and its gradient are numbers."""
    hidden, cell, forget, taken = memory
    numbers = reference_preprocess(gradient) + reference_preprocess(loss)
    x = torch.tensor(numbers, dtype=torch.float64)
    i, f, g, o = (rule.weight_x @ x + rule.weight_h @ hidden + rule.bias).chunk(4)
    cell = torch.sigmoid(f) * cell + torch.sigmoid(i) * torch.tanh(g)
    hidden = torch.sigmoid(o) * torch.tanh(cell)
    gates = []
    for k, last in enumerate([forget, taken]):
        gate = rule.weight_gates[k] @ hidden + rule.weight_theta[k] * theta
        gates.append(
            torch.sigmoid(gate + rule.weight_last[k] * last + rule.bias_gates[k])
        )
    return gates[0] * theta - gates[1] * gradient, (hidden, cell, *gates)


def reference_adapt(learner, support, t):
    """Adapt to task `t` alone; returns a function that predicts rows."""
    kind = learner.spec.kind
    X, y = support.X[t], support.y[t]
    n_outputs = {
        "regression": 1,
        "shared": support.n_classes,
        "own": None if support.ways is None else int(support.ways[t]),
    }[kind]
    start = dict(learner.encoder.named_parameters())
    if learner.has_prototypes:
        features = functional_call(learner.encoder, start, (X,))
        means = torch.stack([features[y == c].mean(0) for c in range(n_outputs)])
        weight, bias = 2 * means, -(means**2).sum(1)
    else:
        weight = learner.head.weight.expand(n_outputs, -1)
        bias = learner.head.bias.expand(n_outputs)
    theta = {**start, "weight": weight, "bias": bias}

    def predict(theta, X):
        body = {name: theta[name] for name in start}
        features = functional_call(learner.encoder, body, (X,))
        return features @ theta["weight"].T + theta["bias"]

    n = learner.rule.hidden_size
    one, zero = torch.tensor(1.0).double(), torch.tensor(0.0).double()
    memory = {
        name: [(zero.expand(n), zero.expand(n), one, zero)] * value.numel()
        for name, value in theta.items()
    }
    for _ in range(learner.inner_steps):
        constants = {k: v.detach().requires_grad_() for k, v in theta.items()}
        loss = loss_of(predict(constants, X), y, kind)
        gradients = torch.autograd.grad(loss, list(constants.values()))
        for (name, value), gradient in zip(theta.items(), gradients, strict=True):
            moved = [
                reference_step(learner.rule, v, g.item(), loss.item(), m)
                for v, g, m in zip(
                    value.flatten(), gradient.flatten(), memory[name], strict=True
                )
            ]
            theta[name] = torch.stack([v for v, _ in moved]).view(value.shape)
            memory[name] = [m for _, m in moved]
    return lambda X: predict(theta, X)


def reference_meta_loss(learner, episodes):
    query = episodes.query
    return torch.stack(
        [
            loss_of(
                reference_adapt(learner, episodes.support, t)(query.X[t]),
                query.y[t],
                learner.spec.kind,
            )
            for t in range(N_TASKS)
        ]
    )


def meta_gradient(learner, loss):
    return torch.autograd.grad(loss.sum(), list(learner.parameters()))


def assert_same(actual, expected):
    """Equal to 1e-10 of the largest entry."""
    for a, e in zip(actual, expected, strict=True):
        assert (a - e).abs().max() <= 1e-10 * e.abs().max().clamp(min=1e-3)


@pytest.mark.parametrize("name", ["mlp", "conv"])
@pytest.mark.parametrize(("kind", "head_init"), KINDS)
def test_value_and_meta_gradient(name, kind, head_init):
    learner = learner_of(kind, name, head_init=head_init)
    episodes = episodes_of(kind)
    loss = learner.meta_loss(episodes)
    expected = reference_meta_loss(learner, episodes)
    assert_same([loss], [expected])
    gradients = meta_gradient(learner, loss)
    assert all(gradient.abs().max() > 0 for gradient in gradients)
    assert_same(gradients, meta_gradient(learner, expected))


@pytest.mark.parametrize("engine", ["batched", "vmap", "loop"])
def test_engines_agree(engine):
    learner = learner_of("shared", "relu", engine=engine)
    episodes = episodes_of("shared")
    loss = learner.meta_loss(episodes)
    expected = reference_meta_loss(learner, episodes)
    assert learner.engine_name == engine
    assert_same([loss], [expected])
    assert_same(meta_gradient(learner, loss), meta_gradient(learner, expected))


@pytest.mark.parametrize(("kind", "head_init"), KINDS)
def test_adapt_follows_the_reference_where_nothing_diverges(kind, head_init):
    learner = learner_of(kind, head_init=head_init).eval()
    support, query = episodes_of(kind)
    with torch.no_grad():
        state = learner.adapt(support)
        output = learner.predict(state, query.X)
    assert not any(value.requires_grad for value in state.values())
    assert state["n_guarded"].tolist() == [0] * N_TASKS
    for t in range(N_TASKS):
        expected = reference_adapt(learner, support, t)(query.X[t])
        assert_same([output[t, :, : expected.shape[1]]], [expected])


def test_adapt_in_training_mode_keeps_the_graph():
    learner, episodes = learner_of("regression"), episodes_of("regression")
    state = learner.adapt(episodes.support)
    assert all(value.requires_grad for value in state.values())
    actual = super(MetaLSTMLearner, learner).meta_loss(episodes)
    assert_same([actual], [learner.meta_loss(episodes)])


def test_meta_loss_without_gradients():
    learner, episodes = learner_of("regression").eval(), episodes_of("regression")
    with torch.no_grad():
        loss = learner.meta_loss(episodes)
    assert not loss.requires_grad
    assert_same([loss], [reference_meta_loss(learner, episodes)])


def test_open_forget_gate_and_constant_input_gate_are_gradient_descent():
    """The paper's reading of the cell: with f = 1 and i = lr it is equation 1."""
    lr = 0.05
    learner, episodes = learner_of("regression"), episodes_of("regression")
    with torch.no_grad():
        for parameter in learner.rule.parameters():
            parameter.zero_()
        bias = torch.tensor([80.0, math.log(lr / (1 - lr))])
        learner.rule.bias_gates.copy_(bias)
    support = episodes.support
    state = learner.adapt(support)
    for t in range(N_TASKS):
        network = nn.Sequential(encoder_of("mlp"), nn.Linear(3, 1)).double()
        network[0].load_state_dict(learner.encoder.state_dict())
        network[1].load_state_dict(learner.head.state_dict())
        optimizer = torch.optim.SGD(network.parameters(), lr=lr)
        for _ in range(learner.inner_steps):
            optimizer.zero_grad()
            F.mse_loss(network(support.X[t])[:, 0], support.y[t]).backward()
            optimizer.step()
        torch.testing.assert_close(state["encoder.0.weight"][t], network[0][0].weight)
        torch.testing.assert_close(state["head.bias"][t], network[1].bias)


def test_it_starts_close_to_gradient_steps_of_inner_lr():
    torch.manual_seed(0)
    rule = CoordinateLSTM(20, inner_lr=0.03)
    theta, gradient = torch.randn(2, 5), torch.randn(2, 5)
    moved, _ = rule(theta, gradient, torch.rand(2), rule.start(theta))
    torch.testing.assert_close(moved, theta - 0.03 * gradient, atol=0.02, rtol=0)


def test_preprocessing():
    small = math.exp(-10) / 2
    x = torch.tensor([0.0, 1.0, -math.exp(5), small, -small], dtype=torch.float64)
    size, sign = preprocess(x)
    expected = torch.tensor([reference_preprocess(v) for v in x.tolist()]).double()
    torch.testing.assert_close(torch.stack([size, sign], 1), expected)
    assert size.tolist()[:3] == pytest.approx([-1.0, 0.0, 0.5])
    assert sign.tolist() == pytest.approx([0.0, 1.0, -1.0, 0.5, -0.5])


@pytest.mark.parametrize("kind", ["regression", "shared", "own"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_wild_rule_is_guarded(kind, dtype):
    learner = learner_of(kind, "relu", inner_steps=8).to(dtype).eval()
    with torch.no_grad():
        learner.rule.bias_gates.fill_(20.0)  # gradient steps of length one
    support, query = (rows.to("cpu", dtype) for rows in episodes_of(kind))
    support = support._replace(X=10 * support.X)
    state = learner.adapt(support)
    assert (state["n_guarded"] > 0).any()
    assert learner.predict(state, 10 * query.X).isfinite().all()
    with torch.no_grad():
        before = learner.support_loss(learner.own_start(support), support)
        after = learner.support_loss(state, support)
    assert (after <= 10 * before * (1 + 1e-5)).all()


def test_a_wild_task_does_not_change_the_others():
    learner = learner_of("regression", "relu", adapt_steps=6).eval()
    support = episodes_of("regression").support
    y = support.y * torch.tensor([[0.01], [1.0], [1e5]])
    X = support.X * torch.tensor([[[1.0]], [[1.0]], [[1e3]]])
    together = learner.adapt(support._replace(X=X, y=y))
    assert (together["n_guarded"] > 0).tolist() == [False, False, True]
    for t in range(N_TASKS):
        alone = learner.adapt(Rows(X[[t]], y[[t]], support.mask[[t]]))
        for name, value in alone.items():
            torch.testing.assert_close(together[name][[t]], value, rtol=1e-9, atol=0)


def test_further_steps_never_raise_the_support_loss():
    learner = learner_of("regression", "relu", inner_steps=1).eval()
    support = episodes_of("regression").support
    losses = []
    for adapt_steps in range(1, 8):
        learner.adapt_steps = adapt_steps
        losses.append(learner.support_loss(learner.adapt(support), support))
    losses = torch.stack(losses)
    assert (losses[1:] <= losses[:-1] + 1e-12).all()
    assert (losses[-1] < losses[0]).all()


def test_adapting_in_parts_changes_nothing(monkeypatch):
    learner, support = learner_of("own").eval(), episodes_of("own").support
    expected = learner.adapt(support)
    monkeypatch.setattr(meta_lstm, "GRAPH_BYTES", 1)
    assert_same(learner.adapt(support).values(), expected.values())


def test_chunks_shrink_with_the_steps():
    episodes = Episodes(*(Rows(*rows[:3]) for rows in episodes_of("regression")))
    sizes = [
        learner_of("regression", inner_steps=n).auto_chunk_size(episodes)
        for n in (3, 10**7)
    ]
    assert sizes == [N_TASKS, 1]


def test_frozen_parameters_stay():
    encoder = encoder_of("mlp")
    encoder[0].weight.requires_grad_(False)
    spec = TaskSpec("regression", (2,), n_features_out=3, n_classes=0)
    learner = MetaLSTMLearner(spec, encoder).double().eval()
    assert "encoder.0.weight" not in learner.adapt(episodes_of("regression").support)


def test_bad_parameters_are_refused():
    with pytest.raises(ValueError, match="head_init"):
        learner_of("own", head_init="zeros")
    X, y, task = make_linear_tasks(5, n_rows=4, random_state=0)
    for name, value in [("inner_lr", 1.0), ("hidden_size", 0), ("engine", "adjoint")]:
        est = sklmeta.MetaLSTMRegressor(**{name: value})
        with pytest.raises(ValueError, match=f"'{name}' parameter"):
            est.fit(X, y, task=task)


def test_compiling_is_declined_and_changes_nothing():
    X, y, task = make_linear_tasks(20, n_rows=8, n_features=2, random_state=0)
    est = sklmeta.MetaLSTMRegressor(
        hidden_layer_sizes=(4,), hidden_size=4, max_iter=3, random_state=0
    )
    expected = est.fit(X, y, task=task).predict(X)
    with pytest.warns(EngineWarning, match="updates are not compiled"):
        est.set_params(compile=True).fit(X, y, task=task)
    assert est.compile_time_ == 0
    np.testing.assert_array_equal(est.predict(X), expected)


@pytest.mark.filterwarnings("ignore:max_iter=0 asks for no meta-update")
def test_what_it_learns_beats_where_it_starts():
    X, y, task = make_linear_tasks(200, n_rows=20, n_features=2, random_state=0)
    old = task < 150
    scores = []
    for max_iter in (0, 100):
        est = sklmeta.MetaLSTMRegressor(
            hidden_layer_sizes=(8,), hidden_size=8, max_iter=max_iter, random_state=0
        ).fit(X[old], y[old], task=task[old])
        scores.append(est.score(X[~old], y[~old], task=task[~old], shots=10))
    assert np.isfinite(scores).all()
    assert scores[1] > max(scores[0] + 0.2, 0.5)
