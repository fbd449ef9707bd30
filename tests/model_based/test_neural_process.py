"""Neural processes against a loop over tasks, rows, classes and heads."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from slow_references import (
    KINDS,
    N_CLASSES,
    N_FEATURES,
    away_from_start,
    check_against_loops,
    one_task,
    ragged_episodes,
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
from sklmeta.testing import random_rows

AGGREGATIONS = ["mean", "attention"]
N_HEADS = 2

each_learner = pytest.mark.parametrize(
    ("kind", "aggregation"), [(k, a) for k in KINDS for a in AGGREGATIONS]
)


def make_learner(kind, aggregation, encoder=True, **params) -> NeuralProcessLearner:
    n_classes = N_CLASSES if kind == "shared" else 0
    spec = TaskSpec(kind, (N_FEATURES,), 5 if encoder else 0, n_classes)
    return away_from_start(
        lambda: NeuralProcessLearner(
            spec,
            MLP(N_FEATURES, (5,), "tanh") if encoder else None,
            aggregation=aggregation,
            **{"d_model": 8, "n_layers": 2, "n_heads": N_HEADS, "beta": 0.0, **params},
        )
    )


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


def slow_loss(learner, support: Rows, query: Rows) -> Tensor:
    output = slow_predict(learner, support, query.X[0])
    return row_loss(output[None], query)[0]


@each_learner
def test_loss_and_meta_gradient_agree_with_loops(kind, aggregation):
    learner, episodes = make_learner(kind, aggregation), ragged_episodes(kind)
    check_against_loops(learner, episodes, slow_loss, rounding=1e-11)


@pytest.mark.parametrize("aggregation", AGGREGATIONS)
def test_blocks_of_query_rows_give_what_all_at_once_gave(aggregation, monkeypatch):
    learner, (support, query) = make_learner("own", aggregation), ragged_episodes("own")
    with torch.no_grad():
        state = learner.adapt(support)
        expected = learner.predict(state, query.X)
        monkeypatch.setattr(neural_process, "DECODED_BYTES", 1)
        np.testing.assert_allclose(learner.predict(state, query.X), expected)


@pytest.mark.parametrize("aggregation", AGGREGATIONS)
def test_a_shift_of_all_targets_shifts_the_means(aggregation):
    learner = make_learner("regression", aggregation)
    support, query = ragged_episodes("regression")
    with torch.no_grad():
        learner.log_level_strength.fill_(-40.0)
    shifted = support._replace(y=(support.y + 3.0) * support.mask)
    expected = learner.predict(learner.adapt(support), query.X).detach()
    got = learner.predict(learner.adapt(shifted), query.X).detach()
    moved = 3.0 * support.mask.amax(1, keepdim=True)  # but for the task without rows
    np.testing.assert_allclose(got[..., 0], expected[..., 0] + moved, atol=1e-10)
    np.testing.assert_allclose(got[..., 1], expected[..., 1], atol=1e-10)


def test_the_mean_is_that_of_the_paper_without_the_learned_row():
    learner = make_learner("regression", "mean")
    support = random_rows("regression", (2, 7, 1))
    with torch.no_grad():
        learner.aggregation.log_empty_weight.fill_(-80.0)
    for i in range(3):
        one = one_task(support, i)
        state = learner.adapt(one)
        deviation = one.y - state["level"]
        rows = torch.cat([learner.row_features(one.X), deviation[..., None]], dim=-1)
        torch.testing.assert_close(
            state["context"][0, 0], learner.encode_pair(rows)[0].mean(0)
        )


def test_attention_tells_query_rows_apart_and_the_mean_does_not():
    query = ragged_episodes("regression").query
    for aggregation, n_contexts in [("mean", 1), ("attention", 5)]:
        learner = make_learner("regression", aggregation)
        state = learner.adapt(ragged_episodes("regression").support)
        recalled = learner.aggregation.recall(state, learner.row_features(query.X))
        assert recalled.shape == (4, n_contexts, 1, 8)


@pytest.mark.parametrize("aggregation", AGGREGATIONS)
def test_without_encoder_the_raw_features_are_used(aggregation):
    learner = make_learner("regression", aggregation, encoder=False, n_layers=1)
    support, query = ragged_episodes("regression")
    output = learner.predict(learner.adapt(support), query.X)
    assert output.shape == (4, 5, 2)


def test_more_classes_go_through_in_smaller_chunks():
    learner = make_learner("own", "mean", d_model=512, encoder=False)
    few, many = (
        Episodes(*(Rows(*rows[:3], n_classes=n) for rows in ragged_episodes("own")))
        for n in (2, 2000)
    )
    assert learner.auto_chunk_size(few) == 4
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
