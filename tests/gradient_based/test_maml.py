"""MAML against a slow reference: a loop over tasks, each step written out."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import warnings

import pytest
import torch
from descent_reference import (
    ENGINES,
    KINDS,
    assert_same,
    gradients_of,
    meta_loss_of,
    path_of,
    predict,
)
from descent_tasks import N_TASKS, encoder_of, episodes_of
from torch import nn

from sklmeta.episodes.rows import Rows
from sklmeta.gradient_based.maml import MAMLLearner
from sklmeta.learners.engine import EngineWarning
from sklmeta.learners.learner import Learner, TaskSpec

INNER_LR = 0.05


def learner_of(kind, name="mlp", **params):
    torch.manual_seed(1)
    n_classes = 4 if kind == "shared" else 0
    params = {"inner_lr": INNER_LR, "inner_steps": 3, **params}
    spec = TaskSpec(kind, (3,), n_features_out=6, n_classes=n_classes)
    learner = MAMLLearner(spec, encoder_of(name), **params).double()
    if name == "batch_norm_eval":
        learner.eval()
    return learner


def rate(name, k):
    return INNER_LR


@pytest.mark.parametrize("first_order", [False, True])
@pytest.mark.parametrize(("kind", "head_init"), KINDS)
@pytest.mark.parametrize("name", ["mlp", "layer_norm", "batch_norm_eval", "conv"])
def test_value_and_meta_gradient(name, kind, head_init, first_order):
    learner = learner_of(kind, name, head_init=head_init, first_order=first_order)
    episodes = episodes_of(kind)
    loss = learner.meta_loss(episodes)
    expected = meta_loss_of(learner, episodes, rate, first_order=first_order)
    assert_same([loss], [expected])
    assert_same(gradients_of(learner, loss), gradients_of(learner, expected))


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(("kind", "head_init"), KINDS)
def test_engines_agree(kind, head_init, engine):
    learner = learner_of(kind, "relu", head_init=head_init, engine=engine)
    episodes = episodes_of(kind)
    loss = learner.meta_loss(episodes)
    expected = meta_loss_of(learner, episodes, rate)
    assert learner.engine_name == engine
    assert_same([loss], [expected])
    assert_same(gradients_of(learner, loss), gradients_of(learner, expected))


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
        last = path_of(learner, support, t, rate)[-1]
        expected = predict(learner, last, query.X[t])
        assert_same([output[t, :, : expected.shape[1]]], [expected])


@pytest.mark.parametrize(("kind", "head_init"), KINDS)
def test_adapt_in_training_mode_keeps_the_graph(kind, head_init):
    learner = learner_of(kind, head_init=head_init)
    episodes = episodes_of(kind)
    state = learner.adapt(episodes.support)
    expected = learner.meta_loss(episodes)
    actual = Learner.meta_loss(learner, episodes)
    assert all(value.requires_grad for value in state.values())
    assert_same([actual], [expected])


def test_meta_loss_without_gradients():
    learner = learner_of("regression").eval()
    episodes = episodes_of("regression")
    with torch.no_grad():
        loss = learner.meta_loss(episodes)
    assert not loss.requires_grad
    assert_same([loss], [meta_loss_of(learner, episodes, rate)])


def test_body_stays_only_with_one_step_from_a_shared_vector():
    for head_init, inner_steps, stays in [
        ("shared", 1, True),
        ("shared", 2, False),
        ("prototypes", 1, False),
    ]:
        learner = learner_of("own", head_init=head_init, inner_steps=inner_steps)
        assert learner.body_stays is stays
        support = episodes_of("own").support
        state = learner.eval().adapt(support)
        moved = [
            (state[f"encoder.{name}"] - p).abs().max() > 1e-15
            for name, p in learner.encoder.named_parameters()
        ]
        assert any(moved) is not stays
    assert not learner_of("shared", head_init="shared", inner_steps=1).body_stays


def test_frozen_parameters_stay():
    learner = learner_of("regression")
    encoder = encoder_of("mlp")
    encoder[0].weight.requires_grad_(False)
    learner = MAMLLearner(learner.spec, encoder).double().eval()
    assert "encoder.0.weight" not in learner.adapt(episodes_of("regression").support)


@pytest.mark.parametrize("kind", ["regression", "shared", "own"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_divergent_step_size_is_guarded(kind, dtype):
    learner = learner_of(kind, "relu", inner_lr=1e4, inner_steps=5).to(dtype).eval()
    support, query = (rows.to("cpu", dtype) for rows in episodes_of(kind))
    state = learner.adapt(support)
    assert (state["n_guarded"] > 0).any()
    assert learner.predict(state, query.X).isfinite().all()


@pytest.mark.parametrize("scale", [1e4, 1e15])
def test_huge_input_gives_no_nan(scale):
    learner = learner_of("regression", "relu", inner_lr=1.0).float().eval()
    support, query = (
        rows.to("cpu", torch.float32) for rows in episodes_of("regression")
    )
    support = support._replace(X=scale * support.X, y=scale * support.y)
    state = learner.adapt(support)
    assert learner.predict(state, scale * query.X).isfinite().all()


def test_tasks_do_not_influence_one_another():
    """Also bitwise, when the guard acts on some of them."""
    learner = learner_of("regression", "relu", inner_lr=1.0, adapt_steps=6).eval()
    support = episodes_of("regression").support
    y = support.y * torch.tensor([[0.01], [1.0], [100.0]])
    together = learner.adapt(support._replace(y=y))
    assert 0 < (together["n_guarded"] > 0).sum()
    for t in range(N_TASKS):
        one = Rows(support.X[[t]], y[[t]], support.mask[[t]])
        alone = learner.adapt(one)
        for name, value in alone.items():
            torch.testing.assert_close(together[name][[t]], value, rtol=1e-9, atol=0)


def test_further_steps_never_raise_the_support_loss():
    learner = learner_of("regression", "relu", inner_lr=0.5, inner_steps=1).eval()
    support = episodes_of("regression").support
    losses = []
    for adapt_steps in range(1, 12):
        learner.adapt_steps = adapt_steps
        output = learner.predict(learner.adapt(support), support.X)[..., 0]
        losses.append((output - support.y).square().mean(1))
    losses = torch.stack(losses)
    assert (losses[1:] <= losses[:-1] + 1e-12).all()
    assert (losses[-1] < losses[0]).all()


def test_module_that_vmap_refuses():
    class Recurrent(nn.Module):
        def __init__(self):
            super().__init__()
            self.gru = nn.GRU(3, 6, batch_first=True)

        def forward(self, X):
            return self.gru(X[:, None])[0][:, 0]

    spec = TaskSpec("regression", (3,), n_features_out=6, n_classes=0)
    learner = MAMLLearner(spec, Recurrent(), inner_lr=INNER_LR, inner_steps=2).double()
    episodes = episodes_of("regression")
    with pytest.warns(EngineWarning, match="Recurrent"):
        loss = learner.meta_loss(episodes)
    assert learner.engine.name == "loop"
    assert_same([loss], [meta_loss_of(learner, episodes, rate)])


def test_batch_norm_in_training_mode_learns_its_statistics():
    learner = learner_of("regression", "batch_norm_eval").train()
    before = learner.encoder[1].running_mean.clone()
    with pytest.warns(EngineWarning, match="batch statistics"):
        learner.meta_loss(episodes_of("regression")).sum().backward()
    after = learner.encoder[1].running_mean.clone()
    assert (before != after).any()
    learner.eval()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        learner.adapt(episodes_of("regression").support)
    assert (after == learner.encoder[1].running_mean).all()


def test_unknown_head_init():
    with pytest.raises(ValueError, match="head_init"):
        learner_of("own", head_init="zeros")
