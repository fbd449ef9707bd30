"""Batch normalisation in networks that adapt: by the support's own statistics."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from descent_tasks import N_TASKS, episodes_of, loss_of
from torch import nn

import sklmeta
from sklmeta.episodes.rows import Episodes, Rows
from sklmeta.gradient_based.maml import MAMLLearner
from sklmeta.gradient_based.meta_sgd import MetaSGDLearner
from sklmeta.gradient_based.reptile import ReptileLearner
from sklmeta.learners.learner import TaskSpec
from sklmeta.model_based.meta_lstm import MetaLSTMLearner

pytestmark = pytest.mark.filterwarnings("ignore::sklmeta.learners.engine.EngineWarning")

LR = 0.0625  # the same in single precision, in which learned steps start

LEARNERS = {
    "maml": lambda *a: MAMLLearner(*a, inner_lr=LR, inner_steps=3),
    "meta_sgd": lambda *a: MetaSGDLearner(*a, inner_lr=LR, inner_steps=3),
    "reptile": lambda *a: ReptileLearner(
        *a, inner_lr=LR, inner_steps=3, adapt_steps=3, inner_optimizer="sgd"
    ),
    "meta_lstm": lambda *a: MetaLSTMLearner(*a, inner_lr=LR, inner_steps=3),
}


class Normed(nn.Sequential):
    def __init__(self, n_features_in=3):
        super().__init__(
            nn.Linear(n_features_in, 6), nn.BatchNorm1d(6), nn.Tanh(), nn.Linear(6, 6)
        )


def learner_of(name, kind="regression"):
    torch.manual_seed(0)
    spec = TaskSpec(kind, (3,), 6, 4 if kind == "shared" else 0)
    learner = LEARNERS[name](spec, Normed()).double()
    with torch.no_grad():  # statistics that are far from those of any support
        learner.encoder[1].running_mean.fill_(3.0)
        learner.encoder[1].running_var.fill_(9.0)
    return learner.eval()


def reference_predictions(learner, support, query, t, kind, lr=LR, steps=3):
    """Ordinary training of a copy on one task, then evaluation by its statistics."""
    head = nn.Linear(6, learner.head.out_features).double()
    head.load_state_dict(learner.head.state_dict())
    network = nn.Sequential(copy.deepcopy(learner.encoder), head)
    norm = network[0][1]
    optimizer = torch.optim.SGD(network.parameters(), lr=lr)
    network.train()
    for _ in range(steps):
        optimizer.zero_grad()
        loss_of(network(support.X[t]), support.y[t], kind).backward()
        optimizer.step()
    hidden = network[0][0](support.X[t])
    norm.running_mean, norm.running_var = hidden.mean(0), hidden.var(0)
    with torch.no_grad():
        return network.eval()(query.X[t])


@pytest.mark.parametrize("kind", ["regression", "shared"])
@pytest.mark.parametrize("name", ["maml", "meta_sgd", "reptile"])
def test_adaptation_is_ordinary_training_on_the_support(name, kind):
    learner, (support, query) = learner_of(name, kind), episodes_of(kind)
    if name == "reptile":
        learner.inner_batch_size = support.X.shape[1]
    with torch.no_grad():
        output = learner.predict(learner.adapt(support), query.X)
    for t in range(N_TASKS):
        expected = reference_predictions(learner, support, query, t, kind)
        torch.testing.assert_close(output[t], expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", LEARNERS)
def test_what_was_learned_stays(name):
    learner, (support, query) = learner_of(name), episodes_of("regression")
    before = copy.deepcopy(learner.state_dict())
    modes = [m.training for m in learner.modules()]
    with torch.no_grad():
        learner.predict(learner.adapt(support), query.X)
    for key, value in learner.state_dict().items():
        assert torch.equal(value, before[key]), key
    assert [m.training for m in learner.modules()] == modes


@pytest.mark.parametrize("name", LEARNERS)
def test_a_query_row_does_not_see_the_others(name):
    learner, (support, query) = learner_of(name), episodes_of("regression")
    with torch.no_grad():
        state = learner.adapt(support)
        output = learner.predict(state, query.X)
        for i in range(query.X.shape[1]):
            alone = learner.predict(state, query.X[:, [i]])
            torch.testing.assert_close(output[:, [i]], alone)


@pytest.mark.parametrize("name", LEARNERS)
def test_a_lone_support_row_takes_the_learned_statistics(name):
    learner, (support, query) = learner_of(name), episodes_of("regression")
    one = Rows(*(v[:, :1] for v in support[:3]), support.n_classes, support.ways)
    with torch.no_grad():
        state = learner.adapt(one)
        assert torch.isfinite(learner.predict(state, query.X)).all()
    mean = state["encoder.1.running_mean"]
    assert torch.equal(mean, torch.full_like(mean, 3.0))


@pytest.mark.parametrize("name", LEARNERS)
def test_validation_judges_what_adapt_and_predict_do(name):
    learner, episodes = learner_of(name), episodes_of("regression")
    with torch.no_grad():
        losses = learner(Episodes(*episodes))
        output = learner.predict(learner.adapt(episodes.support), episodes.query.X)
    expected = [loss_of(output[t], episodes.query.y[t], "regression") for t in range(3)]
    torch.testing.assert_close(losses, torch.stack(expected))


def test_an_estimator_keeps_each_tasks_statistics(shared_tasks):
    X, y, task = shared_tasks
    est = sklmeta.MAMLClassifier(module=Normed5, max_iter=3, random_state=0)
    est.fit(X, y, task=task)
    support = np.arange(len(X)) % 3 > 0
    est.adapt(X[support], y[support], task=task[support])
    together = est.predict_proba(X[~support], task=task[~support])
    label = task[0]
    rows, new = support & (task == label), ~support & (task == label)
    one = est.adapt(X[rows], y[rows]).predict_proba(X[new])
    np.testing.assert_allclose(together[task[~support] == label], one, rtol=1e-5)
    # Only now do query rows look at one another.
    est.set_params(transductive=True)
    assert np.abs(est.predict_proba(X[new]) - one).max() > 1e-3


class Normed5(Normed):
    def __init__(self, n_features_in=5):
        super().__init__(n_features_in)
