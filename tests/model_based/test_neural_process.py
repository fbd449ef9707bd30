"""Neural processes against a loop over tasks, rows, classes and heads."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from process_rows import (
    KINDS,
    N_CLASSES,
    N_INPUTS,
    SIZES,
    make_episodes,
    make_rows,
    take,
)
from torch import Tensor

import sklmeta
from sklmeta.datasets import make_linear_tasks
from sklmeta.episodes.rows import Episodes, Rows
from sklmeta.learners.encoders import MLP
from sklmeta.learners.learner import TaskSpec
from sklmeta.learners.losses import row_loss
from sklmeta.model_based import neural_process
from sklmeta.model_based.neural_process import NeuralProcessLearner

AGGREGATIONS = ["mean", "attention"]
N_HEADS = 2

each_learner = pytest.mark.parametrize(
    ("kind", "aggregation"), [(k, a) for k in KINDS for a in AGGREGATIONS]
)


def make_learner(kind, aggregation, encoder=True, **params) -> NeuralProcessLearner:
    torch.manual_seed(0)
    n_classes = N_CLASSES if kind == "shared" else 0
    spec = TaskSpec(kind, (N_INPUTS,), 5 if encoder else 0, n_classes)
    learner = NeuralProcessLearner(
        spec,
        MLP(N_INPUTS, (5,), "tanh") if encoder else None,
        aggregation=aggregation,
        **{"d_model": 8, "n_layers": 2, "n_heads": N_HEADS, "beta": 0.0, **params},
    )
    with torch.no_grad():
        for parameter in learner.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return learner.double()


def slow_context(learner, x: Tensor, features: Tensor, pairs: Tensor) -> Tensor:
    """Representation of some support rows as one query row sees it."""
    aggregation = learner.aggregation
    if not hasattr(aggregation, "n_heads"):
        weight = aggregation.log_empty_weight.exp()
        total = weight * aggregation.empty
        for pair in pairs:
            total = total + pair
        return total / (len(pairs) + weight)
    query = aggregation.query(aggregation.embed(x))
    d_head = len(query) // N_HEADS
    mixed = []
    for h in range(N_HEADS):
        part = slice(h * d_head, (h + 1) * d_head)
        score = query[part] @ aggregation.empty_key[part] / math.sqrt(d_head)
        weights, values = [score.exp()], [aggregation.empty[part]]
        for row, pair in zip(features, pairs, strict=True):
            key = aggregation.key(aggregation.embed(row))
            weights.append((query[part] @ key[part] / math.sqrt(d_head)).exp())
            values.append(aggregation.value(pair)[part])
        total = sum(weights)
        mixed.append(sum(w * v for w, v in zip(weights, values, strict=True)) / total)
    return aggregation.out(torch.cat(mixed))


def slow_predict(learner, support: Rows, X: Tensor) -> Tensor:
    """Query predictions of one task without padding."""
    kind, y = learner.spec.kind, support.y[0]

    def features_of(X):
        return torch.cat([learner.encoder(X), X], dim=1)

    features = features_of(support.X[0])
    level, groups = 0.0, [torch.ones_like(y, dtype=torch.bool)]
    if kind == "regression":
        kappa = learner.log_level_strength.exp()
        level = (y.sum() + kappa * learner.level) / (len(y) + kappa)
        labels = (y - level)[:, None]
    elif kind == "shared":
        labels = torch.eye(N_CLASSES, dtype=torch.float64)[y]
    else:
        labels = features[:, :0]
        groups = [y == c for c in range(support.n_classes)]
    pairs = learner.encode_pair(torch.cat([features, labels], dim=1))
    outputs = []
    for x in features_of(X):
        of_x = []
        for group in groups:
            context = slow_context(learner, x, features[group], pairs[group])
            hidden = learner.read_row(x) + learner.read_context(context)
            of_x.append(learner.decode(hidden.clamp(min=0)))
        outputs.append(torch.cat(of_x))
    output = torch.stack(outputs)
    if kind != "regression":
        return output
    noise = learner.min_noise + (1 + output[:, 1].exp()).log()
    return torch.stack([output[:, 0] + level, 2 * noise.log()], dim=1)


@each_learner
def test_loss_and_meta_gradient_agree_with_loops(kind, aggregation):
    learner, episodes = make_learner(kind, aggregation), make_episodes(kind)
    expected = []
    for i in range(len(SIZES)):
        query = take(episodes.query, i)
        output = slow_predict(learner, take(episodes.support, i), query.X[0])
        expected.append(row_loss(output[None], query)[0])
    expected = torch.stack(expected)
    loss = learner.meta_loss(episodes)
    np.testing.assert_allclose(loss.detach(), expected.detach(), rtol=1e-10)
    parameters = list(learner.parameters())
    wanted = torch.autograd.grad(expected.mean(), parameters)
    got = torch.autograd.grad(loss.mean(), parameters)
    largest = max(gradient.abs().max() for gradient in wanted)
    for a, b in zip(got, wanted, strict=True):
        assert b.abs().max() > 0
        assert (a - b).abs().max() <= 1e-10 * largest


@each_learner
def test_padding_is_inert_whatever_stands_in_it(kind, aggregation):
    learner, (support, query) = make_learner(kind, aggregation), make_episodes(kind)
    padded = make_rows(kind, SIZES, 12, seed=2)
    padded.X[:, :7], padded.y[:, :7] = support.X, support.y
    real = padded.mask > 0
    X = torch.where(real[..., None], padded.X, 70.0)
    y = torch.where(real, padded.y, -3.0 if kind == "regression" else 1)
    padded = padded._replace(X=X, y=y)
    got = learner.predict(learner.adapt(padded), query.X).detach()
    for i in range(len(SIZES)):
        alone = learner.adapt(take(support, i))
        expected = learner.predict(alone, query.X[i : i + 1]).detach()
        np.testing.assert_allclose(got[i : i + 1], expected, atol=1e-10)


@each_learner
def test_query_rows_do_not_influence_each_other(kind, aggregation):
    learner, (support, query) = make_learner(kind, aggregation), make_episodes(kind)
    state = learner.adapt(support)
    together = learner.predict(state, query.X).detach()
    for j in range(query.X.shape[1]):
        alone = learner.predict(state, query.X[:, j : j + 1]).detach()
        np.testing.assert_allclose(alone, together[:, j : j + 1], rtol=1e-10)


@each_learner
def test_order_of_the_support_does_not_matter(kind, aggregation):
    learner, (support, query) = make_learner(kind, aggregation), make_episodes(kind)
    turned = support._replace(
        X=support.X.flip(1), y=support.y.flip(1), mask=support.mask.flip(1)
    )
    expected = learner.predict(learner.adapt(support), query.X).detach()
    got = learner.predict(learner.adapt(turned), query.X).detach()
    np.testing.assert_allclose(got, expected, atol=1e-10)


@pytest.mark.parametrize("aggregation", AGGREGATIONS)
def test_relabelling_own_classes_permutes_the_logits(aggregation):
    learner, (support, query) = make_learner("own", aggregation), make_episodes("own")
    permutation = torch.tensor([2, 0, 3, 1])
    relabelled = support._replace(y=permutation[support.y])
    expected = learner.predict(learner.adapt(support), query.X).detach()
    got = learner.predict(learner.adapt(relabelled), query.X).detach()
    np.testing.assert_allclose(got[..., permutation], expected, atol=1e-10)


@pytest.mark.parametrize("aggregation", AGGREGATIONS)
@pytest.mark.parametrize("n_classes", [1, 9])
def test_own_classes_may_be_of_any_number(n_classes, aggregation):
    learner = make_learner("own", aggregation)
    rows = make_rows("own", (9,), 9)
    y = torch.arange(9)[None] % n_classes
    state = learner.adapt(Rows(rows.X, y, rows.mask, n_classes))
    assert learner.predict(state, rows.X).shape == (1, 9, n_classes)


@pytest.mark.parametrize("aggregation", AGGREGATIONS)
def test_blocks_of_query_rows_give_what_all_at_once_gave(aggregation, monkeypatch):
    learner, (support, query) = make_learner("own", aggregation), make_episodes("own")
    with torch.no_grad():
        state = learner.adapt(support)
        expected = learner.predict(state, query.X)
        monkeypatch.setattr(neural_process, "DECODED_BYTES", 1)
        np.testing.assert_allclose(learner.predict(state, query.X), expected)


@pytest.mark.parametrize("aggregation", AGGREGATIONS)
@pytest.mark.parametrize("kind", ["regression", "shared"])
def test_empty_support_gives_the_prior(kind, aggregation):
    learner = make_learner(kind, aggregation)
    support, query = make_episodes(kind, (2, 0, 1, 5))
    of_prior = learner.predict(learner.prior_state(), query.X[1:2]).detach()
    of_empty = learner.predict(learner.adapt(support), query.X)[1:2].detach()
    np.testing.assert_allclose(of_empty, of_prior, atol=1e-10)
    assert torch.isfinite(of_prior).all()


def test_own_classes_have_no_prior():
    assert make_learner("own", "mean").prior_state() is None


@pytest.mark.parametrize("aggregation", AGGREGATIONS)
def test_a_shift_of_all_targets_shifts_the_means(aggregation):
    learner = make_learner("regression", aggregation)
    support, query = make_episodes("regression")
    with torch.no_grad():
        learner.log_level_strength.fill_(-40.0)
    shifted = support._replace(y=(support.y + 3.0) * support.mask)
    expected = learner.predict(learner.adapt(support), query.X).detach()
    got = learner.predict(learner.adapt(shifted), query.X).detach()
    np.testing.assert_allclose(got[..., 0], expected[..., 0] + 3.0, atol=1e-10)
    np.testing.assert_allclose(got[..., 1], expected[..., 1], atol=1e-10)


def test_the_mean_is_that_of_the_paper_without_the_learned_row():
    learner, (support, _) = make_learner("regression", "mean"), make_episodes("shared")
    support = support._replace(y=support.y.double(), n_classes=0)
    with torch.no_grad():
        learner.aggregation.log_empty_weight.fill_(-80.0)
    for i in range(len(SIZES)):
        one = take(support, i)
        state = learner.adapt(one)
        deviation = one.y - state["level"]
        rows = torch.cat([learner.row_features(one.X), deviation[..., None]], dim=-1)
        torch.testing.assert_close(
            state["context"][0, 0], learner.encode_pair(rows)[0].mean(0)
        )


def test_attention_tells_query_rows_apart_and_the_mean_does_not():
    query = make_episodes("regression").query
    for aggregation, n_contexts in [("mean", 1), ("attention", 5)]:
        learner = make_learner("regression", aggregation)
        state = learner.adapt(make_episodes("regression").support)
        recalled = learner.aggregation.recall(state, learner.row_features(query.X))
        assert recalled.shape == (4, n_contexts, 1, 8)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("scale", [0.0, 1e4])
@each_learner
def test_outputs_are_finite_and_keep_the_dtype(kind, aggregation, dtype, scale):
    learner = make_learner(kind, aggregation).to(dtype)
    support, query = (rows.to("cpu", dtype) for rows in make_episodes(kind))
    far = Episodes(support._replace(X=support.X * scale), query)
    output = learner.predict(learner.adapt(far.support), query.X * scale)
    assert output.dtype == dtype
    assert torch.isfinite(output).all()
    if kind == "regression":
        assert torch.isfinite((0.5 * output[..., 1]).exp()).all()
    learner.meta_loss(far).mean().backward()
    assert all(torch.isfinite(p.grad).all() for p in learner.parameters())


@pytest.mark.parametrize("aggregation", AGGREGATIONS)
def test_without_encoder_the_raw_features_are_used(aggregation):
    learner = make_learner("regression", aggregation, encoder=False, n_layers=1)
    support, query = make_episodes("regression")
    output = learner.predict(learner.adapt(support), query.X)
    assert output.shape == (4, 5, 2)


def test_more_classes_go_through_in_smaller_chunks():
    learner = make_learner("own", "mean", d_model=512, encoder=False)
    few, many = (
        Episodes(*(Rows(*rows[:3], n_classes=n) for rows in make_episodes("own")))
        for n in (2, 2000)
    )
    assert learner.auto_chunk_size(few) == len(SIZES)
    assert learner.auto_chunk_size(many) == 1


def test_bad_parameters_are_refused():
    spec = TaskSpec("regression", (1,), 0, 0)
    with pytest.raises(ValueError, match="aggregation must be one of"):
        NeuralProcessLearner(spec, None, aggregation="median")
    with pytest.raises(ValueError, match="n_heads must divide d_model"):
        NeuralProcessLearner(spec, None, d_model=10, n_heads=4)
    NeuralProcessLearner(spec, None, aggregation="mean", d_model=10, n_heads=4)
    X, y, task = make_linear_tasks(5, n_rows=4, random_state=0)
    with pytest.raises(ValueError, match="'aggregation' parameter"):
        sklmeta.NeuralProcessRegressor(aggregation="median").fit(X, y, task=task)


@pytest.mark.parametrize("aggregation", AGGREGATIONS)
def test_what_the_support_says_is_learnt_from_episodes(aggregation):
    """Without a support it is unsure; ten rows of a new line explain most of it."""
    X, y, task = make_linear_tasks(300, n_rows=25, n_features=1, random_state=0)
    old = task < 250
    est = sklmeta.NeuralProcessRegressor(
        aggregation=aggregation, d_model=32, n_layers=2, max_iter=150, random_state=0
    )
    est.fit(X[old], y[old], task=task[old])
    unsure = est.predict(X[~old], return_std=True)[1].mean()
    assert est.score(X[~old], y[~old], task=task[~old], shots=10) > 0.5
    first = np.arange(len(y)) % 25 < 10
    new = ~old & first
    est.adapt(X[new], y[new], task=task[new])
    sure = est.predict(X[~old & ~first], task=task[~old & ~first], return_std=True)[1]
    assert sure.mean() < 0.8 * unsure
