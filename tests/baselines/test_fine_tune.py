"""Fine-tuning against plain loops: minibatches of rows, then steps task by task."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import itertools
import pickle

import numpy as np
import pytest
import torch
from sklearn.base import clone
from slow_references import N_CLASSES, N_FEATURES, away_from_start
from torch import Tensor, nn
from torch.nn import functional as F

from sklmeta import FineTuneClassifier, FineTuneRegressor
from sklmeta.baselines.fine_tune import FineTuneLearner
from sklmeta.episodes.pooled import PooledRows, stream_rows
from sklmeta.episodes.rows import Episodes, Rows
from sklmeta.learners.encoders import MLP
from sklmeta.learners.learner import TaskSpec
from sklmeta.testing import random_rows

WIDTH, N_POOLED = 4, 7
CASES = [
    ("regression", "linear"),
    ("shared", "linear"),
    ("shared", "cosine"),
    ("own", "linear"),
    ("own", "cosine"),
]
WAYS = (3, 1, 2)


def make_learner(kind: str, head: str = "linear", **params) -> FineTuneLearner:
    n_classes = N_CLASSES if kind == "shared" else 0
    spec = TaskSpec(kind, (N_FEATURES,), WIDTH, n_classes)
    params = {"inner_lr": 0.05, "adapt_steps": 7, "alpha": 0.7, **params}

    def build():
        encoder = MLP(N_FEATURES, (5, WIDTH), "tanh")
        learner = FineTuneLearner(spec, encoder, head=head, **params)
        if kind == "own":
            learner._new_head(N_POOLED)
        return learner

    return away_from_start(build).eval()


def make_support(kind: str) -> Rows:
    own = kind == "own"
    return random_rows(
        kind,
        (6, 1, 4),
        n_rows=8,
        n_classes=max(WAYS) if own else N_CLASSES,
        ways=WAYS if own else None,
    )


def reference_outputs(
    learner: FineTuneLearner, parameters: dict[str, Tensor], X: Tensor
) -> Tensor:
    """The network at the parameters of one task."""
    encoder = {
        name.removeprefix("encoder."): value
        for name, value in parameters.items()
        if name.startswith("encoder.")
    }
    Z = torch.func.functional_call(learner.encoder, encoder, (X,))
    if not learner.cosine:
        return Z @ parameters["weight"].T + parameters["bias"]
    rows = [
        torch.stack(
            [(z * w).sum() / (z.norm() * w.norm()) for w in parameters["weight"]]
        )
        for z in Z
    ]
    return learner.log_scale.exp() * torch.stack(rows)


def reference_loss(
    learner: FineTuneLearner, parameters: dict[str, Tensor], X: Tensor, y: Tensor
) -> Tensor:
    outputs = reference_outputs(learner, parameters, X)
    if learner.spec.kind == "regression":
        return (outputs[:, 0] - y).square().mean()
    return F.cross_entropy(outputs, y)


def reference_tuning(learner: FineTuneLearner, support: Rows, t: int) -> dict:
    """Gradient descent on one task's rows, step by step."""
    real = support.mask[t] > 0
    X, y = support.X[t][real], support.y[t][real]
    head = {name: value[0] for name, value in learner._pooled_head(1).items()}
    if learner.spec.kind == "own" and learner.cosine:
        Z = learner.encoder(X)
        Z = Z / Z.norm(dim=1, keepdim=True)
        means = torch.stack([Z[y == c].mean(0) for c in range(WAYS[t])])
        head = {"weight": means / means.norm(dim=1, keepdim=True)}
    elif learner.spec.kind == "own":
        zeros = X.new_zeros(WAYS[t], WIDTH)
        head = {"weight": zeros, "bias": zeros[:, 0]}
    encoder = {f"encoder.{k}": v for k, v in learner.encoder.named_parameters()}
    tuned = {**encoder, **head} if learner.tunes_all else head
    start = {k: v.detach() for k, v in tuned.items()}
    tuned = {k: v.clone().requires_grad_() for k, v in start.items()}
    for _ in range(learner.adapt_steps):
        loss = reference_loss(learner, tuned, X, y)
        for name, value in tuned.items():
            loss = loss + 0.7 / 2 / len(X) * (value - start[name]).square().sum()
        gradients = torch.autograd.grad(loss, list(tuned.values()))
        tuned = {
            k: (v - 0.05 * g).detach().requires_grad_()
            for (k, v), g in zip(tuned.items(), gradients, strict=True)
        }
    return tuned


@pytest.mark.parametrize("tune", ["head", "all"])
@pytest.mark.parametrize(("kind", "head"), CASES)
def test_tuning_matches_a_loop_over_tasks(kind, head, tune):
    learner, support = make_learner(kind, head, tune=tune), make_support(kind)
    X = torch.randn(3, 5, N_FEATURES, generator=torch.Generator().manual_seed(2))
    state = learner.adapt(support)
    actual = learner.predict(state, X.double())
    for t in range(3):
        tuned = reference_tuning(learner, support, t)
        expected = reference_outputs(learner, tuned, X[t].double())
        n_outputs = expected.shape[1]
        torch.testing.assert_close(
            actual[t, :, :n_outputs], expected, rtol=1e-10, atol=1e-12
        )
        assert (actual[t, :, n_outputs:] == -torch.inf).all()
    moved = [name for name in state if name.startswith("encoder.")]
    assert bool(moved) == (tune == "all")


@pytest.mark.parametrize(("kind", "head"), CASES)
def test_training_is_the_loss_of_the_pooled_network(kind, head):
    learner = make_learner(kind, head).train()
    generator = torch.Generator().manual_seed(3)
    X = torch.randn(9, N_FEATURES, generator=generator).double()
    n_classes = len(learner.weight) if kind != "regression" else 0
    y = X[:, 0] if kind == "regression" else torch.arange(9) % n_classes
    pooled = PooledRows(torch.cat([X, X[:1]]), np.arange(9), y, n_classes)
    episodes = next(stream_rows(pooled, 9, np.random.default_rng(0)))
    parameters = dict(learner.named_parameters())
    expected = reference_loss(learner, parameters, X, y)
    actual = learner(episodes)
    torch.testing.assert_close(actual[0], expected, rtol=1e-10, atol=0)
    gradients = torch.autograd.grad(actual.sum(), list(parameters.values()))
    references = torch.autograd.grad(expected, list(parameters.values()))
    for gradient, reference in zip(gradients, references, strict=True):
        torch.testing.assert_close(gradient, reference, rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("tune", ["head", "all"])
@pytest.mark.parametrize(("kind", "head"), CASES)
def test_no_step_raises_the_support_loss(kind, head, tune):
    losses = []
    for n_steps in range(6):
        learner = make_learner(
            kind, head, tune=tune, inner_lr=30.0, adapt_steps=n_steps, alpha=0
        )
        support = make_support(kind)
        outputs = learner.predict(learner.adapt(support), support.X)
        assert not outputs.isnan().any()
        losses.append(learner.meta_loss(Episodes(support, support)))
    losses = torch.stack(losses)
    assert (losses.diff(dim=0) <= 1e-9).all()
    assert (losses[-1] < losses[0] - 1e-3).any()


def test_own_class_that_a_support_lacks_has_probability_zero():
    for head in ("linear", "cosine"):
        learner, support = make_learner("own", head), make_support("own")
        y = torch.where(support.y == 1, 2, support.y)
        state = learner.adapt(support._replace(y=y))
        probabilities = learner.predict(state, support.X)[0].softmax(-1)
        assert (probabilities[:, 1] == 0).all()
        torch.testing.assert_close(
            probabilities.sum(-1), torch.ones_like(probabilities[:, 0])
        )


def test_cosine_head_does_not_see_the_length_of_features():
    learner, support = make_learner("own", "cosine"), make_support("own")
    expected = learner.predict(learner.adapt(support), support.X)
    learner.encoder = nn.Sequential(learner.encoder, Scaled())
    actual = learner.predict(learner.adapt(support), support.X)
    torch.testing.assert_close(actual, expected, rtol=1e-10, atol=1e-12)


class Scaled(nn.Module):
    def forward(self, X):
        return 100 * X


def test_every_row_comes_once_before_any_comes_again():
    X = torch.arange(11.0)[:, None]
    pooled = PooledRows(X, np.array([0, 2, 3, 5, 6, 7, 9]), torch.arange(7.0), 0)
    stream = stream_rows(pooled, 3, np.random.default_rng(0))
    batches = list(itertools.islice(stream, 20))
    for first, second in zip(batches[::2], batches[1::2], strict=True):
        seen = torch.cat([e.query.X[0, :, 0] for e in (first, second)])
        assert len(set(seen.tolist())) == 6
    assert {float(v) for e in batches for v in e.query.X.flatten()} == {
        *(0.0, 2.0, 3.0, 5.0, 6.0, 7.0, 9.0)
    }
    for episodes in batches:
        assert episodes.support.X.shape == (1, 0, 1)
        position = [0, 2, 3, 5, 6, 7, 9].index
        expected = [float(position(v)) for v in episodes.query.X[0, :, 0].tolist()]
        assert episodes.query.y[0].tolist() == expected


def test_fit_is_plain_training_on_the_rows_of_all_tasks(regression_tasks):
    X, y, task = regression_tasks
    params = {
        "hidden_layer_sizes": (6,),
        "batch_size": 32,
        "lr": 1e-3,
        "lr_schedule": "constant",
        "optimizer": "Adam",
        "weight_decay": 0.0,
        "max_grad_norm": None,
        "random_state": 0,
    }
    with pytest.warns(UserWarning, match="max_iter=0"):
        start = FineTuneRegressor(max_iter=0, **params).fit(X, y, task=task)
    fitted = FineTuneRegressor(max_iter=30, **params).fit(X, y, task=task)
    network = nn.Sequential(nn.Linear(3, 6), nn.ReLU(), nn.Linear(6, 1))
    values = start._fitted.weights
    order = ["encoder.0.weight", "encoder.0.bias", "weight", "bias"]
    with torch.no_grad():
        for parameter, name in zip(network.parameters(), order, strict=True):
            parameter.copy_(torch.tensor(values[name]))
    Z = torch.tensor((X - X.mean(0)) / X.std(0)).float()
    z = torch.tensor((y - y.mean()) / y.std()).float()
    rows = np.argsort(np.unique(task, return_inverse=True)[1], kind="stable")
    rng = np.random.default_rng(np.random.RandomState(0).randint(2**31))
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    for _ in range(30 // (len(y) // 32) + 1):
        shuffled = rows[rng.permutation(len(rows))]
        for i in range(len(y) // 32):
            batch = shuffled[32 * i : 32 * i + 32]
            if fitted.n_iter_ == (n_done := getattr(optimizer, "n_done", 0)):
                break
            optimizer.n_done = n_done + 1
            optimizer.zero_grad()
            F.mse_loss(network(Z[batch])[:, 0], z[batch]).backward()
            optimizer.step()
    for parameter, name in zip(network.parameters(), order, strict=True):
        np.testing.assert_allclose(
            fitted._fitted.weights[name], parameter.detach(), rtol=1e-4, atol=1e-6
        )
    # before any adaptation it predicts as the pooled network does
    expected = network(Z)[:, 0].detach() * y.std() + y.mean()
    np.testing.assert_allclose(fitted.predict(X), expected, rtol=1e-3, atol=1e-4)


def small(**params) -> FineTuneClassifier:
    return FineTuneClassifier(
        **{"max_iter": 20, "hidden_layer_sizes": (6,), "random_state": 0, **params}
    )


@pytest.mark.parametrize("head", ["linear", "cosine"])
def test_pooled_head_has_an_output_for_every_class_of_every_task(head, own_tasks):
    X, y, task = own_tasks
    est = small(shared_classes=False, head=head).fit(X, y % 3, task=task)
    n_pairs = len({*zip(task.tolist(), (y % 3).tolist(), strict=True)})
    assert est._fitted.weights["weight"].shape == (n_pairs, 6)
    table = small(n_way=2, head=head).fit(X, y % 5)
    assert table._fitted.weights["weight"].shape == (5, 6)
    for model in (est, table):
        loaded = pickle.loads(pickle.dumps(model)).adapt(X[:9], y[:9])
        np.testing.assert_array_equal(
            loaded.predict_proba(X), model.adapt(X[:9], y[:9]).predict_proba(X)
        )


def test_warm_start_keeps_the_pooled_head_where_the_classes_are_as_many(own_tasks):
    X, y, task = own_tasks
    est = small(shared_classes=False, warm_start=True).fit(X, y, task=task)
    head = est._fitted.weights["weight"]
    est.set_params(max_iter=1, lr=1e-6).fit(X, y, task=task)
    np.testing.assert_allclose(est._fitted.weights["weight"], head, atol=1e-4)
    assert est.n_iter_ == 21
    few = task < np.unique(task)[10]
    est.fit(X[few], y[few], task=task[few])
    assert len(est._fitted.weights["weight"]) < len(head)


@pytest.mark.parametrize("kind", ["own", "shared"])
def test_early_stopping_is_judged_by_tuning_to_held_out_tasks(
    kind, own_tasks, shared_tasks
):
    X, y, task = own_tasks if kind == "own" else shared_tasks
    params = {"shared_classes": kind == "shared", "adapt_steps": 5}
    est = small(early_stopping=True, max_iter=250, **params).fit(X, y, task=task)
    plain = small(max_iter=250, **params).fit(X, y, task=task)
    untuned = small(early_stopping=True, max_iter=250, **{**params, "adapt_steps": 0})
    untuned.fit(X, y, task=task)
    first, other = est.history_[0], untuned.history_[0]
    assert first["train_loss"] == other["train_loss"]
    assert first["valid_loss"] != other["valid_loss"]
    if kind == "own":
        assert len(est._fitted.weights["weight"]) < len(plain._fitted.weights["weight"])


def test_few_tasks_hold_out_rows(regression_tasks):
    X, y, task = regression_tasks
    few = task < np.unique(task)[6]
    est = FineTuneRegressor(early_stopping=True, max_iter=5, random_state=0)
    with pytest.warns(UserWarning, match="judged on held-out rows"):
        est.fit(X[few], y[few], task=task[few])
    assert np.isfinite(est.history_[0]["valid_loss"])


def test_more_steps_fit_the_support_better(regression_tasks):
    X, y, task = regression_tasks
    est = FineTuneRegressor(max_iter=50, random_state=0).fit(X, y, task=task)
    errors = []
    for steps in (0, 5, 50):
        est.set_params(adapt_steps=steps).adapt(X, y, task=task)
        errors.append(np.mean((est.predict(X, task=task) - y) ** 2))
    assert errors[0] > errors[1] > errors[2]
    np.testing.assert_allclose(
        est.set_params(adapt_steps=0).adapt(X[:3], y[:3]).predict(X),
        clone(est).fit(X, y, task=task).predict(X),
    )


@pytest.mark.parametrize("tune", ["head", "all"])
def test_batch_normalisation_and_frozen_encoders(tune, shared_tasks):
    X, y, task = shared_tasks
    torch.manual_seed(0)  # instances bring their own weights
    module = nn.Sequential(nn.Linear(5, 6), nn.BatchNorm1d(6), nn.ReLU())
    est = small(module=module, tune=tune, adapt_steps=3).fit(X, y, task=task)
    assert est._fitted.weights["encoder.1.num_batches_tracked"] == 20
    assert np.isfinite(est.adapt(X, y, task=task).predict_proba(X, task=task)).all()
    frozen = nn.Linear(5, 6).requires_grad_(False)
    est = small(module=frozen, tune=tune).fit(X, y, task=task)
    np.testing.assert_array_equal(est._fitted.weights["encoder.weight"], frozen.weight)
    assert (est.adapt(X[:9], y[:9]).predict(X[:9]) == y[:9]).mean() > 0.5


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"tune": "body"}, "'tune' parameter"),
        ({"head": "sine"}, "'head' parameter"),
        ({"inner_lr": 0}, "'inner_lr' parameter"),
        ({"adapt_steps": -1}, "'adapt_steps' parameter"),
        ({"alpha": -1.0}, "'alpha' parameter"),
        ({"batch_size": 0}, "'batch_size' parameter"),
    ],
)
def test_parameters_are_checked(params, message, shared_tasks):
    X, y, task = shared_tasks
    with pytest.raises(ValueError, match=message):
        small(**params).fit(X, y, task=task)


def test_learner_checks_its_arguments():
    with pytest.raises(ValueError, match="head must be in"):
        make_learner("own", "sine")
    with pytest.raises(ValueError, match="tune must be in"):
        make_learner("own", tune="body")
    with pytest.raises(ValueError, match="head='cosine' is for classes"):
        make_learner("regression", "cosine")
