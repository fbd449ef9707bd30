"""Encoders through which rows influence one another see one task, and no padding."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from torch import nn

import sklmeta
from sklmeta.closed_form.bayesian_linear_learner import BayesianLinearLearner
from sklmeta.episodes.rows import Episodes, Rows
from sklmeta.gradient_based.maml import MAMLLearner
from sklmeta.learners.encoders import MLP
from sklmeta.learners.engine import EngineWarning
from sklmeta.learners.learner import TaskSpec
from sklmeta.learners.losses import row_loss
from sklmeta.learners.network import AdaptedNetwork
from sklmeta.metric_based.prototypical import PrototypicalLearner

pytestmark = pytest.mark.filterwarnings("ignore::sklmeta.learners.engine.EngineWarning")

SIZES = [(6, 5), (9, 4), (6, 7), (3, 1)]
"""Support and query rows of four tasks."""


class Centred(nn.Module):
    """Subtracts the mean of the rows beside it, in every mode."""

    def __init__(self, n_features_in=3):
        super().__init__()
        self.linear = nn.Linear(n_features_in, 5)

    def forward(self, X):
        return torch.tanh(self.linear(X - X.mean(0)))


class Running(nn.Module):
    """Adds up the rows before it, so that the first is as if alone."""

    def forward(self, X):
        return X.cumsum(0)


class BatchNormed(nn.Sequential):
    def __init__(self, n_features_in=3, momentum=0.1):
        norm = nn.BatchNorm1d(5, momentum=momentum)
        super().__init__(nn.Linear(n_features_in, 5), norm, nn.Tanh())


def still():
    """Learns no statistics, so that a second pass finds what the first found."""
    return BatchNormed(momentum=0.0)


LEARNERS = {
    "maml": (MAMLLearner, "regression"),
    "maml_shared": (MAMLLearner, "shared"),
    "maml_own": (MAMLLearner, "own"),
    "protonet": (PrototypicalLearner, "own"),
    "bayesian_linear": (BayesianLinearLearner, "regression"),
}


def learner_of(name, encoder):
    torch.manual_seed(0)
    cls, kind = LEARNERS[name]
    spec = TaskSpec(kind, (3,), 5, 4 if kind == "shared" else 0)
    return cls(spec, encoder()).double()


def ragged_episodes(kind):
    """The episodes of each task, and all of them padded to the longest."""
    generator = torch.Generator().manual_seed(1)

    def rows(n_rows):
        X = torch.randn(1, n_rows, 3, generator=generator).double()
        y = torch.randn(1, n_rows, generator=generator).double()
        if kind != "regression":
            y = torch.arange(n_rows)[None] % 3
        ways = torch.tensor([3]) if kind == "own" else None
        n_classes = {"regression": 0, "shared": 4, "own": 3}[kind]
        return Rows(X, y, torch.ones(1, n_rows).double(), n_classes, ways)

    single = [Episodes(*map(rows, sizes)) for sizes in SIZES]
    return single, Episodes(*map(pad_together, zip(*single, strict=True)))


def pad_together(parts):
    longest = max(part.X.shape[1] for part in parts)

    def padded(values):
        return torch.cat(
            [
                torch.cat([v, v.new_zeros(1, longest - v.shape[1], *v.shape[2:])], 1)
                for v in values
            ]
        )

    columns = [padded([part[i] for part in parts]) for i in range(3)]
    ways = None if parts[0].ways is None else torch.cat([p.ways for p in parts])
    return Rows(*columns, parts[0].n_classes, ways)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("encoder", [Centred, still])
@pytest.mark.parametrize("name", LEARNERS)
def test_meta_loss_of_ragged_tasks(name, encoder, training):
    learner = learner_of(name, encoder).train(training)
    single, together = ragged_episodes(LEARNERS[name][1])
    assert learner.mixes_rows is (training or encoder is Centred)
    loss = learner(together)
    # In evaluation mode steps over the network take the statistics of the support.
    own_statistics = (
        not training and encoder is still and isinstance(learner, AdaptedNetwork)
    )
    alone = learner if own_statistics else learner.meta_loss
    expected = torch.cat([alone(episode) for episode in single])
    torch.testing.assert_close(loss, expected, rtol=1e-10, atol=1e-12)
    if own_statistics:
        assert not loss.requires_grad
        return
    inputs = list(learner.parameters())
    gradients = [
        torch.autograd.grad(values.sum(), inputs, materialize_grads=True)
        for values in (loss, expected)
    ]
    for actual, e in zip(*gradients, strict=True):
        torch.testing.assert_close(actual, e, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("name", ["protonet", "bayesian_linear", "maml"])
def test_the_support_is_encoded_without_the_query(name):
    """As when an estimator adapts, in meta-training too."""
    learner = learner_of(name, still).train()
    single, _ = ragged_episodes(LEARNERS[name][1])
    for support, query in single:
        loss = learner.meta_loss(Episodes(support, query))
        output = learner.predict(learner.adapt(support), query.X)
        torch.testing.assert_close(loss, row_loss(output, query))


def unmixed():
    """What does not mix: normalisation within a row, and dropout in training."""
    return nn.Sequential(nn.Linear(3, 5), nn.LayerNorm(5), nn.Dropout(), nn.Tanh())


@pytest.mark.parametrize("encoder", [unmixed, lambda: MLP(3, (4, 5)), nn.Identity])
@pytest.mark.parametrize("training", [True, False])
def test_what_does_not_mix(encoder, training):
    width = encoder()(torch.zeros(1, 3)).shape[1]
    spec = TaskSpec("regression", (3,), width, 0)
    learner = BayesianLinearLearner(spec, encoder()).double().train(training)
    assert not learner.mixes_rows
    assert learner.encoder.training is training


def test_rows_that_look_back():
    learner = BayesianLinearLearner(TaskSpec("regression", (3,), 3, 0), Running())
    assert learner.mixes_rows


ESTIMATORS = {
    "maml": sklmeta.MAMLRegressor(inner_steps=2),
    "maml_own": sklmeta.MAMLClassifier(inner_steps=2, n_way=3, n_shots=3),
    "protonet": sklmeta.ProtoNetClassifier(n_way=3, n_shots=3),
    "bayesian_linear": sklmeta.BayesianLinearRegressor(),
}


@pytest.mark.parametrize("module", [Centred, BatchNormed])
@pytest.mark.parametrize("name", ESTIMATORS)
def test_many_ragged_tasks_as_one_by_one(name, module, regression_tasks, own_tasks):
    regression = name in ("maml", "bayesian_linear")
    X, y, task = regression_tasks if regression else own_tasks
    # More rows to predict than to adapt with, and in another order.
    order = np.random.default_rng(0).permutation(len(X))
    support = np.flatnonzero(np.arange(len(X)) % 3 > 0)
    estimator = with_module(ESTIMATORS[name], module).fit(X, y, task=task)
    method = "predict" if regression else "predict_proba"
    estimator.adapt(X[support], y[support], task=task[support])
    bulk = getattr(estimator, method)(X[order], task=task[order])
    for label in np.unique(task):
        rows = support[task[support] == label]
        mine = task[order] == label
        estimator.adapt(X[rows], y[rows])
        single = getattr(estimator, method)(X[order][mine])
        if regression:
            expected = bulk[mine]
        else:
            present = np.isin(np.unique(y[support]), estimator.classes_)
            expected = bulk[mine][:, present]
        np.testing.assert_allclose(single, expected, rtol=1e-10, atol=1e-10)


def with_module(estimator, module):
    params = estimator.get_params(deep=False)
    params.update(module=module, max_iter=5, random_state=0)
    return type(estimator)(**params)


def test_no_warning_where_rows_do_not_mix(regression_tasks):
    X, y, task = regression_tasks
    with warnings.catch_warnings():
        warnings.simplefilter("error", EngineWarning)
        estimator = with_module(ESTIMATORS["maml"], unmixed())
        estimator.fit(X, y, task=task).adapt(X, y, task=task)
    assert estimator.engine_ == "batched"
