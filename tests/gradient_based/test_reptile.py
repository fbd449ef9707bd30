"""Reptile against a slow reference: one task after the other, by torch's optimizers."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import copy
from functools import partial

import descent_tasks
import numpy as np
import pytest
import slow_references
import torch
from descent_reference import padded
from descent_tasks import N_TASKS
from torch import nn
from torch.func import functional_call
from torch.nn import functional as F

from sklmeta.episodes.rows import Episodes
from sklmeta.gradient_based.reptile import ReptileLearner
from sklmeta.learners.encoders import MLP
from sklmeta.learners.inner_optimizers import BETA2, EPS
from sklmeta.learners.learner import TaskSpec
from sklmeta.learners.minibatches import minibatches

N_SUPPORT = 9
episodes_of = partial(descent_tasks.episodes_of, n_support=N_SUPPORT)
BATCH = 4
KINDS = [
    ("regression", "shared"),
    ("shared", "shared"),
    ("own", "shared"),
    ("own", "prototypes"),
]
ENCODERS = {
    "mlp": lambda: MLP(3, (8, 6), "tanh"),
    "relu": lambda: MLP(3, (8, 6)),
    "layer_norm": lambda: nn.Sequential(nn.Linear(3, 6), nn.LayerNorm(6), nn.Tanh()),
    "conv": lambda: nn.Sequential(
        nn.Unflatten(1, (1, 3)), nn.Conv1d(1, 2, 1), nn.Tanh(), nn.Flatten()
    ),
    "batch_norm": lambda: nn.Sequential(
        nn.Linear(3, 6, bias=False), nn.BatchNorm1d(6, momentum=0.0), nn.Tanh()
    ),
}


def learner_of(kind, name="mlp", **params):
    torch.manual_seed(0)
    n_classes = 4 if kind == "shared" else 0
    params = {
        "inner_lr": 0.02,
        "inner_steps": 5,
        "inner_batch_size": BATCH,
        "adapt_steps": 7,
        **params,
    }
    spec = TaskSpec(kind, (3,), n_features_out=6, n_classes=n_classes)
    learner = ReptileLearner(spec, ENCODERS[name](), **params).double()
    if not learner.has_prototypes:
        nn.init.normal_(learner.head.bias)
    return learner


def one_task(rows, t):
    """Task `t` alone, without padding, and as wide as it has classes."""
    alone = slow_references.one_task(rows, t)
    return alone if alone.ways is None else alone._replace(n_classes=int(alone.ways))


def loss_of(output, rows):
    if not rows.n_classes:
        return F.mse_loss(output[:, 0], rows.y[0])
    return F.cross_entropy(output, rows.y[0])


def reference_start(learner, support):
    """Weights of one task, and a function that applies them."""
    values = {f"encoder.{n}": p for n, p in learner.encoder.named_parameters()}
    n_outputs = support.n_classes or 1
    if learner.has_prototypes:
        features = learner.encoder(support.X[0])
        means = [features[support.y[0] == c].mean(0) for c in range(n_outputs)]
        weight = 2 * torch.stack(means)
        bias = -(torch.stack(means) ** 2).sum(1)
    else:
        n_outputs = n_outputs if learner.spec.kind == "own" else len(learner.head.bias)
        weight = learner.head.weight.expand(n_outputs, -1)
        bias = learner.head.bias.expand(n_outputs)
    values |= {"head.weight": weight, "head.bias": bias}
    values = {n: v.detach().clone().requires_grad_() for n, v in values.items()}

    def apply(values, X):
        body = {n[8:]: v for n, v in values.items() if n.startswith("encoder.")}
        features = functional_call(learner.encoder, body, (X,))
        return features @ values["head.weight"].T + values["head.bias"]

    return values, apply


def batches_of(learner, episodes, n_steps, generator):
    """What the learner draws for each task, without what is not there."""
    drawn = minibatches(episodes.support, n_steps, BATCH, generator)
    return [[one_task(rows, t) for rows in drawn] for t in range(N_TASKS)]


def as_moments(learner):
    """The learner's flat second moments by name, each as its parameter lies."""
    found, first = {}, 0
    for name, shape in learner.adapted_shapes().items():
        size = int(np.prod(shape))
        part = learner.second_moment[first : first + size]
        turned = len(shape) == 2
        found[name] = part.view(*shape[::-1]).T if turned else part.view(shape)
        first += size
    return found


def assert_same(actual, expected, rtol=1e-10):
    for a, e in zip(actual, expected, strict=True):
        assert a.shape == e.shape
        assert (a - e).abs().max() <= rtol * e.abs().max().clamp(min=1e-3)


# The serial algorithm -------------------------------------------------------------


@pytest.mark.filterwarnings("ignore::sklmeta.learners.engine.EngineWarning")
@pytest.mark.parametrize("name", ENCODERS)
@pytest.mark.parametrize("kind", ["regression", "shared"])
def test_one_task_at_a_time_is_the_reference(kind, name):
    """Weights go back after each task, the state of torch's Adam goes on."""
    learner = learner_of(kind, name)
    copied = copy.deepcopy(learner)
    values, apply = reference_start(copied, None or episodes_of(kind).support)
    adam = torch.optim.Adam(values.values(), lr=0.02, betas=(0.0, BETA2), eps=EPS)
    drawn = torch.Generator().manual_seed(learner._seed)
    sgd = torch.optim.SGD(learner.parameters(), lr=0.3)
    for seed in range(3):  # three meta-updates of one task each
        episodes = Episodes(*(one_task(rows, 1) for rows in episodes_of(kind, seed)))
        before = {n: v.detach().clone() for n, v in values.items()}
        for rows in minibatches(episodes.support, 5, BATCH, drawn):
            adam.zero_grad()
            loss_of(apply(values, rows.X[0]), rows).backward()
            adam.step()
        query = episodes.query
        expected_loss = loss_of(apply(values, query.X[0]), query).detach()
        with torch.no_grad():
            for n, v in values.items():
                v.copy_(before[n] + 0.3 * (v - before[n]))
        sgd.zero_grad()
        loss = learner.accumulate(episodes, 1.0)
        sgd.step()
        assert_same([loss[0]], [expected_loss])
        weights = dict(learner.named_parameters())
        assert_same([weights[n] for n in values], values.values())
    moments = as_moments(learner)
    assert_same(
        [moments[n] for n in values],
        [adam.state[v]["exp_avg_sq"] for v in values.values()],
    )
    assert int(learner.n_inner_steps) == 15


# A batch --------------------------------------------------------------------------


def reference_batch(learner, episodes, generator, ways=None):
    """All tasks, step by step, with one state: loops over steps, tasks, parameters."""
    batches = batches_of(learner, episodes, learner.inner_steps, generator)
    tasks = [
        reference_start(learner, one_task(episodes.support, t)) for t in range(N_TASKS)
    ]
    moments = {n: v.clone() for n, v in as_moments(learner).items()}
    n_steps = int(learner.n_inner_steps)
    own = learner.spec.kind == "own"
    for k in range(learner.inner_steps):
        gradients = []
        for t, (values, apply) in enumerate(tasks):
            rows = batches[t][k]
            loss = loss_of(apply(values, rows.X[0]), rows)
            found = torch.autograd.grad(loss, list(values.values()))
            gradients.append(dict(zip(values, found, strict=True)))
        n_steps += N_TASKS
        for n, before in moments.items():
            squares = [g[n] ** 2 for g in gradients]
            if own and n.startswith("head."):  # every row of every task counts once
                squares = torch.cat(squares).mean(0, keepdim=True)
            else:
                squares = torch.stack(squares).mean(0)
            decay = BETA2**N_TASKS
            moments[n] = decay * before + (1 - decay) * squares
            root = (moments[n] / (1 - BETA2**n_steps)).sqrt() + EPS
            for (values, _), g in zip(tasks, gradients, strict=True):
                if learner.inner_optimizer == "adam":
                    values[n].data -= learner.inner_lr * g[n] / root
                else:
                    values[n].data -= learner.inner_lr * g[n]
    losses, gone = [], []
    for t, (values, apply) in enumerate(tasks):
        query = one_task(episodes.query, t)
        losses.append(loss_of(apply(values, query.X[0]), query).detach())
        start, _ = reference_start(learner, one_task(episodes.support, t))
        moved = {n: (start[n] - v).detach() for n, v in values.items()}
        if own:
            for n in ("head.weight", "head.bias"):
                moved[n] = moved[n].mean(0, keepdim=True)
        gone.append(moved)
    return torch.stack(losses), gone, moments


@pytest.mark.parametrize("inner_optimizer", ["adam", "sgd"])
@pytest.mark.parametrize(("kind", "head_init"), KINDS)
@pytest.mark.parametrize("engine", ["adjoint", "batched", "vmap", "loop"])
def test_value_gradient_and_moments(engine, kind, head_init, inner_optimizer):
    learner = learner_of(
        kind, engine=engine, head_init=head_init, inner_optimizer=inner_optimizer
    )
    drawn = torch.Generator().manual_seed(learner._seed)
    for seed in range(2):
        episodes = episodes_of(kind, seed)
        losses, gone, moments = reference_batch(learner, episodes, drawn)
        found = learner(episodes)
        assert_same([found], [losses])
        weight = torch.arange(1, N_TASKS + 1).double()
        names, values = zip(*learner.named_parameters(), strict=True)
        gradients = torch.autograd.grad((found * weight).sum(), values)
        expected = [
            sum(w * g[n] for w, g in zip(weight, gone, strict=True)) for n in names
        ]
        assert_same(gradients, expected)
        if inner_optimizer == "adam":
            actual = as_moments(learner)
            assert_same([actual[n] for n in moments], moments.values())
    assert learner.engine_name == engine


@pytest.mark.parametrize("n_chunks", [1, 3])
def test_an_update_goes_to_the_mean_of_the_adapted_weights(n_chunks):
    learner = learner_of("regression", inner_optimizer="sgd")
    episodes = episodes_of("regression")
    generator = torch.Generator().manual_seed(learner._seed)
    _, gone, _ = reference_batch(learner, episodes, generator)
    before = {n: p.detach().clone() for n, p in learner.named_parameters()}
    for part in [
        Episodes(
            *(
                rows._make(
                    v[t : t + k] if isinstance(v, torch.Tensor) else v for v in rows
                )
                for rows in episodes
            )
        )
        for k in [N_TASKS // n_chunks]
        for t in range(0, N_TASKS, k)
    ]:
        learner.accumulate(part, 1 / N_TASKS)
    torch.optim.SGD(learner.parameters(), lr=1.0).step()
    for n, p in learner.named_parameters():
        mean = torch.stack([before[n] - g[n] for g in gone]).mean(0)
        assert_same([p.detach()], [mean])


@pytest.mark.parametrize("inner_optimizer", ["adam", "sgd"])
def test_the_row_of_the_head_for_classes_of_a_tasks_own_stays(inner_optimizer):
    """The gradients of softmax's rows sum to zero: only the encoder is learned."""
    learner = learner_of("own", inner_optimizer=inner_optimizer)
    loss = learner(episodes_of("own"))
    values = [learner.head.weight, learner.encoder[0].weight]
    head, body = torch.autograd.grad(loss.sum(), values)
    assert head.abs().max() < 1e-13
    assert body.abs().max() > 1e-4


# Adaptation -----------------------------------------------------------------------


@pytest.mark.parametrize("inner_optimizer", ["adam", "sgd"])
@pytest.mark.parametrize(("kind", "head_init"), KINDS)
@pytest.mark.parametrize("engine", ["adjoint", "vmap"])
def test_adapt_goes_on_from_the_trained_moments(
    engine, kind, head_init, inner_optimizer
):
    learner = learner_of(
        kind, engine=engine, head_init=head_init, inner_optimizer=inner_optimizer
    )
    learner(episodes_of(kind, seed=1))
    learner.eval()
    before = copy.deepcopy(learner.state_dict())
    support, query = episodes_of(kind)
    state = learner.adapt(support)
    output = learner.predict(state, query.X)
    assert state.pop("n_guarded").tolist() == [0] * N_TASKS
    for name, value in learner.state_dict().items():  # evaluation leaves no trace
        assert torch.equal(value, before[name])
    moments, n_steps = as_moments(learner), int(learner.n_inner_steps)
    for t in range(N_TASKS):
        rows = one_task(support, t)
        values, apply = reference_start(learner, rows)
        optimizer = torch.optim.SGD(values.values(), lr=0.02)
        if inner_optimizer == "adam":
            optimizer = torch.optim.Adam(
                values.values(), lr=0.02, betas=(0.0, BETA2), eps=EPS
            )
            for n, v in values.items():
                optimizer.state[v] = {
                    "step": torch.tensor(float(n_steps)),
                    "exp_avg": torch.zeros_like(v),
                    "exp_avg_sq": moments[n].expand_as(v).clone(),
                }
        for batch in minibatches(rows, 7, BATCH):
            optimizer.zero_grad()
            loss_of(apply(values, batch.X[0]), batch).backward()
            optimizer.step()
        expected = apply(values, one_task(query, t).X[0])
        assert_same([output[t, :, : expected.shape[1]]], [expected])


@pytest.mark.parametrize(("kind", "head_init"), KINDS)
def test_meta_loss_in_evaluation_mode_is_that_of_adapt(kind, head_init):
    learner = learner_of(kind, head_init=head_init).eval()
    episodes = episodes_of(kind)
    loss = learner(episodes)
    expected = super(ReptileLearner, learner).meta_loss(episodes)
    assert not loss.requires_grad
    assert_same([loss], [expected])
    assert int(learner.n_inner_steps) == 0


@pytest.mark.parametrize(("kind", "head_init"), KINDS)
@pytest.mark.parametrize("engine", ["adjoint", "vmap"])
def test_padding_leaves_the_minibatches_of_adapt(engine, kind, head_init):
    learner = learner_of(kind, engine=engine, head_init=head_init)
    support = episodes_of(kind).support
    states = [learner.adapt(rows).values() for rows in (support, padded(support))]
    assert_same(*states)


def test_tasks_do_not_influence_one_another():
    """Of different sizes, and also when the guard acts on some of them."""
    learner = learner_of("regression", "relu", inner_optimizer="sgd")
    support = episodes_of("regression").support
    mask = support.mask.clone()
    mask[0, 3:], mask[1, 7:] = 0, 0
    X = support.X * torch.tensor([0.1, 1.0, 100.0])[:, None, None]
    support = support._replace(X=X, mask=mask)
    together = learner.adapt(support)
    assert 0 < (together["n_guarded"] > 0).sum() < N_TASKS
    for t in range(N_TASKS):
        for name, value in learner.adapt(one_task(support, t)).items():
            torch.testing.assert_close(together[name][[t]], value, rtol=1e-9, atol=0)


@pytest.mark.parametrize("inner_optimizer", ["adam", "sgd"])
@pytest.mark.parametrize("kind", ["regression", "shared", "own"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_divergent_step_size_is_guarded(kind, dtype, inner_optimizer):
    learner = learner_of(kind, inner_lr=1e5, inner_optimizer=inner_optimizer).to(dtype)
    support, query = (rows.to("cpu", dtype) for rows in episodes_of(kind))
    state = learner.eval().adapt(support)
    assert (state["n_guarded"] > 0).any()
    assert learner.predict(state, query.X).isfinite().all()


def test_a_wild_task_leaves_no_mark_on_the_moments():
    learner = learner_of("regression", inner_optimizer="adam")
    support, query = episodes_of("regression")
    support.y[0] = 1e300  # whose square overflows
    learner(Episodes(support, query))
    assert learner.second_moment.isfinite().all()
