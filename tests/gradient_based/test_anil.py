"""ANIL against a slow reference: a loop over tasks, each step written out."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import pytest
import torch
from descent_reference import KINDS, assert_same, gradients_of
from descent_tasks import N_TASKS, episodes_of, loss_of
from torch import nn

from sklmeta.datasets import make_classification_tasks, make_sinusoids
from sklmeta.episodes.rows import Rows
from sklmeta.gradient_based.anil import ANILClassifier, ANILLearner, ANILRegressor
from sklmeta.gradient_based.maml import MAMLLearner
from sklmeta.learners.encoders import MLP
from sklmeta.learners.learner import TaskSpec

INNER_LR = 0.05


class Centred(nn.Module):
    """Subtracts the mean of the rows beside it."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(3, 6)

    def forward(self, X):
        return torch.tanh(self.linear(X - X.mean(0)))


ENCODERS = {
    "mlp": lambda: MLP(3, (8, 6), "tanh"),
    "layer_norm": lambda: nn.Sequential(nn.Linear(3, 6), nn.LayerNorm(6), nn.Tanh()),
    "mixing": Centred,
}


def learner_of(kind, name="mlp", cls=ANILLearner, **params):
    torch.manual_seed(0)
    n_classes = 4 if kind == "shared" else 0
    params = {"inner_lr": INNER_LR, "inner_steps": 3, **params}
    spec = TaskSpec(kind, (3,), n_features_out=6, n_classes=n_classes)
    learner = cls(spec, ENCODERS[name](), **params).double()
    if learner.head is not None:
        nn.init.normal_(learner.head.bias)
    return learner


def reference_adapt(learner, support, t, n_steps=3):
    """Adapt to task `t` alone; returns a function that predicts rows."""
    kind, first_order = learner.spec.kind, learner.steps.first_order
    X, y = learner.encoder(support.X[t]), support.y[t]
    n_outputs = {
        "regression": 1,
        "shared": support.n_classes,
        "own": None if support.ways is None else int(support.ways[t]),
    }[kind]
    if learner.head is None:
        means = torch.stack([X[y == c].mean(0) for c in range(n_outputs)])
        weight, bias = 2 * means, -(means**2).sum(1)
    else:
        weight = learner.head.weight.expand(n_outputs, -1)
        bias = learner.head.bias.expand(n_outputs)
    for _ in range(n_steps):
        # Copies, so that the inner gradient takes the head as given.
        weight, bias = weight.clone(), bias.clone()
        loss = loss_of(X @ weight.T + bias, y, kind)
        gradients = torch.autograd.grad(
            loss, [weight, bias], create_graph=not first_order
        )
        weight, bias = weight - INNER_LR * gradients[0], bias - INNER_LR * gradients[1]
    return lambda X: learner.encoder(X) @ weight.T + bias


def reference_meta_loss(learner, episodes):
    support, query = episodes
    return torch.stack(
        [
            loss_of(
                reference_adapt(learner, support, t)(query.X[t]),
                query.y[t],
                learner.spec.kind,
            )
            for t in range(N_TASKS)
        ]
    )


@pytest.mark.parametrize("first_order", [False, True])
@pytest.mark.parametrize(("kind", "head_init"), KINDS)
@pytest.mark.parametrize("name", ENCODERS)
def test_value_and_meta_gradient(name, kind, head_init, first_order):
    learner = learner_of(kind, name, head_init=head_init, first_order=first_order)
    episodes = episodes_of(kind)
    loss, expected = learner(episodes), reference_meta_loss(learner, episodes)
    assert_same([loss], [expected])
    assert_same(gradients_of(learner, loss), gradients_of(learner, expected))


@pytest.mark.parametrize(("kind", "head_init"), KINDS)
def test_adapt_follows_the_reference(kind, head_init):
    learner = learner_of(kind, head_init=head_init, adapt_steps=4).eval()
    support, query = episodes_of(kind)
    state = learner.adapt(support)
    assert set(state) == {"head", "n_guarded"}
    assert not any(value.requires_grad for value in state.values())
    assert state["n_guarded"].tolist() == [0] * N_TASKS
    output = learner.predict(state, query.X)
    for t in range(N_TASKS):
        expected = reference_adapt(learner, support, t, n_steps=4)(query.X[t])
        assert_same([output[t, :, : expected.shape[1]]], [expected])


@pytest.mark.parametrize("kind", ["regression", "shared"])
def test_no_steps_are_the_pooled_network(kind):
    learner, episodes = learner_of(kind, adapt_steps=0), episodes_of(kind)
    output = learner.predict(learner.adapt(episodes.support), episodes.query.X)
    features = learner.encoder(episodes.query.X)
    assert_same([output], [learner.head(features)])


def test_first_step_is_that_of_maml_with_the_encoder_held():
    """Where no encoder is left to be moved, ANIL and MAML are the same."""
    spec = TaskSpec("regression", (3,), n_features_out=3, n_classes=0)
    learners = []
    for cls in (ANILLearner, MAMLLearner):
        torch.manual_seed(0)
        learners.append(cls(spec, nn.Identity(), inner_lr=INNER_LR).double())
    episodes = episodes_of("regression")
    losses = [learner(episodes) for learner in learners]
    assert_same(*[[loss] for loss in losses])
    assert_same(*map(gradients_of, learners, losses))


@pytest.mark.parametrize("kind", ["regression", "shared", "own"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_divergent_step_size_is_guarded(kind, dtype):
    learner = learner_of(kind, inner_lr=1e4, inner_steps=5).to(dtype)
    support, query = (rows.to("cpu", dtype) for rows in episodes_of(kind))
    state = learner.adapt(support)
    assert (state["n_guarded"] > 0).any()
    assert learner.predict(state, query.X).isfinite().all()


def test_tasks_do_not_influence_one_another():
    """Also when the guard acts on some of them."""
    learner = learner_of("regression", inner_lr=1.0, adapt_steps=6)
    support = episodes_of("regression").support
    X = support.X * torch.tensor([0.1, 1.0, 30.0])[:, None, None]
    together = learner.adapt(support._replace(X=X))
    assert 0 < (together["n_guarded"] > 0).sum() < N_TASKS
    for t in range(N_TASKS):
        alone = learner.adapt(Rows(X[[t]], support.y[[t]], support.mask[[t]]))
        for name, value in alone.items():
            torch.testing.assert_close(together[name][[t]], value, rtol=1e-9, atol=0)


def test_further_steps_never_raise_the_support_loss():
    support = episodes_of("regression").support
    losses = []
    for adapt_steps in range(1, 12):
        learner = learner_of(
            "regression", inner_lr=0.5, inner_steps=1, adapt_steps=adapt_steps
        )
        output = learner.predict(learner.adapt(support), support.X)[..., 0]
        losses.append((output - support.y).square().mean(1))
    assert (torch.stack(losses).diff(dim=0) <= 1e-12).all()


def test_meta_loss_without_gradients():
    learner, episodes = learner_of("shared").eval(), episodes_of("shared")
    with torch.no_grad():
        loss = learner.meta_loss(episodes)
    assert not loss.requires_grad
    assert_same([loss], [reference_meta_loss(learner, episodes)])


def test_an_adapted_model_is_a_head():
    X, y, task = make_sinusoids(20, n_rows=20, random_state=0)
    est = ANILRegressor(max_iter=2, random_state=0).fit(X, y, task=task)
    assert est.engine_ == "once"
    est.adapt(X, y, task=task)
    (chunk,) = est._adaptation.model.chunks
    assert {name: v.shape for name, v in chunk.state.items()} == {"head": (20, 65, 1)}


@pytest.mark.filterwarnings("ignore:max_iter=0 asks for no meta-update")
def test_regressor_learns():
    X, y, task = make_sinusoids(200, n_rows=30, random_state=0)
    new = task >= 150
    scores = []
    for max_iter in (0, 300):
        est = ANILRegressor(max_iter=max_iter, random_state=0)
        est.fit(X[~new], y[~new], task=task[~new])
        scores.append(est.score(X[new], y[new], task=task[new], shots=10))
    assert scores[1] > scores[0] + 0.2


@pytest.mark.filterwarnings("ignore:max_iter=0 asks for no meta-update")
@pytest.mark.parametrize("head_init", ["shared", "prototypes"])
def test_classifier_learns_classes_of_each_tasks_own(head_init):
    """Any number of them."""
    X, y, task = make_classification_tasks(60, n_way=(2, 6), random_state=0)
    new = task >= 50
    scores = []
    for max_iter in (0, 100):
        est = ANILClassifier(
            shared_classes=False,
            n_shots=2,
            n_query=5,
            max_iter=max_iter,
            random_state=0,
            head_init=head_init,
        ).fit(X[~new], y[~new], task=task[~new])
        scores.append(est.score(X[new], y[new], task=task[new], shots=2))
    assert scores[1] > scores[0] + 0.05


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"inner_lr": 0}, "inner_lr"),
        ({"inner_steps": 0}, "inner_steps"),
        ({"adapt_steps": -1}, "adapt_steps"),
        ({"head_init": "zero"}, "head_init"),
    ],
)
def test_bad_parameters(params, message):
    X, y, task = make_classification_tasks(10, random_state=0)
    with pytest.raises(ValueError, match=message):
        ANILClassifier(max_iter=1, **params).fit(X, y, task=task)
