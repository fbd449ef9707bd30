"""The transformer neural process against a loop over tasks, rows and heads."""

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
    ragged_episodes,
)
from torch import Tensor

from sklmeta.episodes.rows import Episodes, Rows
from sklmeta.learners.encoders import MLP
from sklmeta.learners.learner import TaskSpec
from sklmeta.learners.losses import row_loss
from sklmeta.model_based.transformer import TransformerNeuralProcessLearner


def make_learner(kind: str, encoder: bool = True) -> TransformerNeuralProcessLearner:
    n_classes = N_CLASSES if kind == "shared" else 0
    spec = TaskSpec(kind, (N_FEATURES,), 5 if encoder else 0, n_classes)
    return away_from_start(
        lambda: TransformerNeuralProcessLearner(
            spec,
            MLP(N_FEATURES, (5,), "tanh") if encoder else None,
            d_model=8,
            n_layers=2,
            n_heads=2,
            beta=0.0,
        )
    )


def slow_attention(layer, x: Tensor, context: Tensor, bias: Tensor) -> Tensor:
    """One row of one task, one head after the other; `bias` (n_heads, n_context)."""
    key, value = layer.key_value(layer.norm(context)).chunk(2, dim=-1)
    learned_key, learned_value = layer.learned_key_value.chunk(2)
    query = layer.query(layer.norm(x))
    d_head = len(query) // layer.n_heads
    mixed = []
    for h in range(layer.n_heads):
        part = slice(h * d_head, (h + 1) * d_head)
        weights = [(query[part] @ learned_key[part] / math.sqrt(d_head)).exp()]
        values = [learned_value[part]]
        for j in range(len(context)):
            score = query[part] @ key[j, part] / math.sqrt(d_head) + bias[h, j]
            weights.append(score.exp())
            values.append(value[j, part])
        total = sum(weights)
        mixed.append(sum(w * v for w, v in zip(weights, values, strict=True)) / total)
    x = x + layer.out(torch.cat(mixed))
    return x + layer.feed_forward(x)


def slow_embed(learner, X: Tensor) -> Tensor:
    return learner.embed_row(torch.cat([learner.encoder(X), X], dim=1))


def slow_predict(learner, support: Rows, X: Tensor) -> Tensor:
    """Query predictions of one task without padding."""
    kind, y = learner.spec.kind, support.y[0]
    rows = slow_embed(learner, support.X[0]) + learner.is_support
    if kind == "regression":
        kappa = learner.log_level_strength.exp()
        level = (y.sum() + kappa * learner.level) / (len(y) + kappa)
        rows = rows + learner.embed_target((y - level)[:, None])
    elif kind == "shared":
        rows = rows + learner.embed_class(y)
    queries = list(slow_embed(learner, X))
    for i, layer in enumerate(learner.layers):
        zero = rows.new_zeros(layer.n_heads, len(rows))
        queries = [slow_attention(layer, x, rows, zero) for x in queries]
        new = []
        for j in range(len(rows)):
            bias = zero
            if kind == "own":
                bias = learner.same_class_bias[i][:, None] * (y == y[j])
            new.append(slow_attention(layer, rows[j], rows, bias))
        rows = torch.stack(new) if new else rows
    output = learner.head(learner.norm(torch.stack(queries)))
    if kind == "regression":
        floor = math.exp(learner.log_min_variance)
        mean = output[:, :1] + level
        return torch.cat([mean, (output[:, 1:].exp() + floor).log()], dim=1)
    if kind == "shared":
        return output
    final = learner.head(learner.norm(rows))
    logits = []
    for c in range(support.n_classes):
        mine = final[y == c]
        mean = mine.mean(0) if len(mine) else torch.zeros_like(final[0])
        logits.append(-learner.log_scale.exp() * (output - mean).square().sum(1))
    return torch.stack(logits, dim=1)


def slow_loss(learner, support: Rows, query: Rows) -> Tensor:
    output = slow_predict(learner, support, query.X[0])
    return row_loss(output[None], query)[0]


@pytest.mark.parametrize("kind", KINDS)
def test_loss_and_meta_gradient_agree_with_loops(kind):
    episodes = ragged_episodes(kind)
    check_against_loops(make_learner(kind), episodes, slow_loss, rounding=1e-11)


@pytest.mark.parametrize("kind", KINDS)
def test_adapt_then_predict_is_what_meta_loss_judges(kind):
    learner, episodes = make_learner(kind), ragged_episodes(kind)
    output = learner.predict(learner.adapt(episodes.support), episodes.query.X)
    expected = row_loss(output, episodes.query).detach()
    loss = learner.meta_loss(episodes).detach()
    np.testing.assert_allclose(loss, expected, rtol=1e-12)


def test_a_shift_of_all_targets_shifts_the_means_of_a_large_support():
    learner = make_learner("regression")
    support, query = ragged_episodes("regression")
    with torch.no_grad():
        learner.log_level_strength.fill_(-40.0)
    shifted = support._replace(y=(support.y + 3.0) * support.mask)
    expected = learner.predict(learner.adapt(support), query.X).detach()
    got = learner.predict(learner.adapt(shifted), query.X).detach()
    moved = 3.0 * support.mask.amax(1, keepdim=True)  # but for the task without rows
    np.testing.assert_allclose(got[..., 0], expected[..., 0] + moved, atol=1e-10)
    np.testing.assert_allclose(got[..., 1], expected[..., 1], atol=1e-10)


def test_without_encoder_the_raw_features_are_used():
    learner = make_learner("regression", encoder=False)
    support, query = ragged_episodes("regression")
    output = learner.predict(learner.adapt(support), query.X)
    assert output.shape == (4, 5, 2)


def test_heads_that_do_not_divide_the_width_are_refused():
    spec = TaskSpec("regression", (1,), 0, 0)
    with pytest.raises(ValueError, match="n_heads must divide d_model"):
        TransformerNeuralProcessLearner(spec, None, d_model=10, n_heads=4)


def test_own_classes_are_learnt_from_episodes():
    """The similarity of new classes is learnt: classes differ in one input of two."""
    torch.manual_seed(0)
    spec = TaskSpec("own", (2,), 0, 0)
    learner = TransformerNeuralProcessLearner(spec, None, d_model=16, n_layers=1)
    optimizer = torch.optim.Adam(learner.parameters(), lr=2e-2)
    generator = torch.Generator().manual_seed(0)
    y = (torch.arange(9) % 3).expand(16, 9)
    mask = torch.ones(16, 9)

    def draw() -> Episodes:
        centres = 2 * torch.randn(16, 3, generator=generator)
        parts = []
        for _ in range(2):
            X = torch.randn(16, 9, 2, generator=generator)
            X[..., 0] = 0.1 * X[..., 0] + centres.gather(1, y)
            X[..., 1] *= 5
            parts.append(Rows(X, y, mask, 3, torch.full((16,), 3)))
        return Episodes(*parts)

    for _ in range(80):
        optimizer.zero_grad()
        learner.meta_loss(draw()).mean().backward()
        optimizer.step()
    support, query = draw()
    logits = learner.predict(learner.adapt(support), query.X)
    accuracy = (logits.argmax(-1) == y).double().mean()
    # The nearest raw centroid reaches about one half.
    assert logits.shape == (16, 9, 3)
    assert accuracy > 0.85


def test_some_training_episodes_have_an_empty_support():
    learner = make_learner("regression")
    support, query = (
        Rows(*(value.repeat(8, *(1,) * (value.ndim - 1)) for value in rows[:3]))
        for rows in ragged_episodes("regression")
    )
    output = learner.predict(learner.adapt(support), query.X)
    zero_shot = learner.predict(learner.prior_state(), query.X[:2])
    expected = torch.cat([zero_shot, output[2:]])
    trained_on = learner.for_training(Episodes(support, query))
    training = learner.meta_loss(trained_on).detach()
    np.testing.assert_allclose(training, row_loss(expected, query).detach(), rtol=1e-10)
    evaluation = learner.eval().meta_loss(Episodes(support, query)).detach()
    np.testing.assert_allclose(evaluation, row_loss(output, query).detach(), rtol=1e-10)


def test_training_weights_a_row_with_the_root_of_its_variance():
    learner = make_learner("regression")
    support, query = ragged_episodes("regression")
    learner.beta = 0.5
    output = learner.predict(learner.adapt(support), query.X)
    error = output[..., 0] - query.y
    variance = output[..., 1].exp()
    nll = 0.5 * (variance.log() + error.square() / variance)
    weighted = variance.detach().sqrt() * nll * query.mask
    expected = (weighted.sum(1) / query.mask.sum(1)).sum()
    loss = learner.meta_loss(Episodes(support, query)).sum()
    np.testing.assert_allclose(loss.item(), expected.item(), rtol=1e-12)
    parameters = list(learner.head.parameters())
    for got, wanted in zip(
        torch.autograd.grad(loss, parameters),
        torch.autograd.grad(expected, parameters),
        strict=True,
    ):
        np.testing.assert_allclose(got, wanted, rtol=1e-10)
