"""The transformer neural process against a loop over tasks, rows and heads."""

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

from sklmeta.episodes.rows import Episodes, Rows
from sklmeta.learners.encoders import MLP
from sklmeta.learners.learner import TaskSpec
from sklmeta.learners.losses import row_loss
from sklmeta.model_based.transformer import TransformerNeuralProcessLearner


def make_learner(kind: str, encoder: bool = True) -> TransformerNeuralProcessLearner:
    torch.manual_seed(0)
    n_classes = N_CLASSES if kind == "shared" else 0
    spec = TaskSpec(kind, (N_INPUTS,), 5 if encoder else 0, n_classes)
    learner = TransformerNeuralProcessLearner(
        spec,
        MLP(N_INPUTS, (5,), "tanh") if encoder else None,
        d_model=8,
        n_layers=2,
        n_heads=2,
        beta=0.0,
    )
    with torch.no_grad():
        for parameter in learner.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return learner.double()


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


@pytest.mark.parametrize("kind", KINDS)
def test_loss_and_meta_gradient_agree_with_loops(kind):
    learner, episodes = make_learner(kind), make_episodes(kind)
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
        assert (a - b).abs().max() <= 1e-10 * largest


@pytest.mark.parametrize("kind", KINDS)
def test_adapt_then_predict_is_what_meta_loss_judges(kind):
    learner, episodes = make_learner(kind), make_episodes(kind)
    output = learner.predict(learner.adapt(episodes.support), episodes.query.X)
    expected = row_loss(output, episodes.query).detach()
    loss = learner.meta_loss(episodes).detach()
    np.testing.assert_allclose(loss, expected, rtol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_padding_is_inert_whatever_stands_in_it(kind):
    learner, (support, query) = make_learner(kind), make_episodes(kind)
    padded = make_rows(kind, SIZES, 12, seed=2)
    padded.X[:, :7], padded.y[:, :7] = support.X, support.y
    real = padded.mask > 0
    X = torch.where(real[..., None], padded.X, 7.0)
    y = torch.where(real, padded.y, -3.0 if kind == "regression" else 1)
    padded = padded._replace(X=X, y=y)
    got = learner.predict(learner.adapt(padded), query.X).detach()
    for i in range(len(SIZES)):
        alone = learner.adapt(take(support, i))
        expected = learner.predict(alone, query.X[i : i + 1]).detach()
        np.testing.assert_allclose(got[i : i + 1], expected, atol=1e-10)


@pytest.mark.parametrize("kind", KINDS)
def test_query_rows_do_not_influence_each_other(kind):
    learner, (support, query) = make_learner(kind), make_episodes(kind)
    state = learner.adapt(support)
    together = learner.predict(state, query.X).detach()
    for j in range(query.X.shape[1]):
        alone = learner.predict(state, query.X[:, j : j + 1]).detach()
        np.testing.assert_allclose(alone, together[:, j : j + 1], rtol=1e-10)


@pytest.mark.parametrize("kind", KINDS)
def test_order_of_the_support_does_not_matter(kind):
    learner, (support, query) = make_learner(kind), make_episodes(kind)
    turned = support._replace(
        X=support.X.flip(1), y=support.y.flip(1), mask=support.mask.flip(1)
    )
    expected = learner.predict(learner.adapt(support), query.X).detach()
    got = learner.predict(learner.adapt(turned), query.X).detach()
    np.testing.assert_allclose(got, expected, atol=1e-10)


def test_relabelling_own_classes_permutes_the_logits():
    learner, (support, query) = make_learner("own"), make_episodes("own")
    permutation = torch.tensor([2, 0, 3, 1])
    relabelled = support._replace(y=permutation[support.y])
    expected = learner.predict(learner.adapt(support), query.X).detach()
    got = learner.predict(learner.adapt(relabelled), query.X).detach()
    np.testing.assert_allclose(got[..., permutation], expected, atol=1e-10)


@pytest.mark.parametrize("n_classes", [1, 9])
def test_own_classes_may_be_of_any_number(n_classes):
    learner = make_learner("own")
    rows = make_rows("own", (9,), 9)
    y = torch.arange(9)[None] % n_classes
    state = learner.adapt(Rows(rows.X, y, rows.mask, n_classes))
    assert learner.predict(state, rows.X).shape == (1, 9, n_classes)


@pytest.mark.parametrize("kind", ["regression", "shared"])
def test_empty_support_gives_the_prior(kind):
    learner, (support, query) = make_learner(kind), make_episodes(kind, (2, 0, 1, 5))
    of_prior = learner.predict(learner.prior_state(), query.X[1:2]).detach()
    of_empty = learner.predict(learner.adapt(support), query.X)[1:2].detach()
    np.testing.assert_allclose(of_empty, of_prior, atol=1e-10)
    assert torch.isfinite(of_prior).all()


def test_own_classes_have_no_prior():
    assert make_learner("own").prior_state() is None


def test_a_shift_of_all_targets_shifts_the_means_of_a_large_support():
    learner, (support, query) = make_learner("regression"), make_episodes("regression")
    with torch.no_grad():
        learner.log_level_strength.fill_(-40.0)
    shifted = support._replace(y=(support.y + 3.0) * support.mask)
    expected = learner.predict(learner.adapt(support), query.X).detach()
    got = learner.predict(learner.adapt(shifted), query.X).detach()
    np.testing.assert_allclose(got[..., 0], expected[..., 0] + 3.0, atol=1e-10)
    np.testing.assert_allclose(got[..., 1], expected[..., 1], atol=1e-10)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("scale", [0.0, 1e4])
def test_outputs_are_finite_and_keep_the_dtype(kind, dtype, scale):
    learner = make_learner(kind).to(dtype)
    support, query = (rows.to("cpu", dtype) for rows in make_episodes(kind))
    far = Episodes(support._replace(X=support.X * scale), query)
    output = learner.predict(learner.adapt(far.support), query.X * scale)
    assert output.dtype == dtype
    assert torch.isfinite(output).all()
    learner.meta_loss(far).mean().backward()
    assert all(torch.isfinite(p.grad).all() for p in learner.parameters())


def test_without_encoder_the_raw_features_are_used():
    learner = make_learner("regression", encoder=False)
    support, query = make_episodes("regression")
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
    support, query = make_episodes("regression", SIZES * 8)
    query = Rows(*(value.repeat(8, *(1,) * (value.ndim - 1)) for value in query[:3]))
    output = learner.predict(learner.adapt(support), query.X)
    zero_shot = learner.predict(learner.prior_state(), query.X[:2])
    expected = torch.cat([zero_shot, output[2:]])
    trained_on = learner.for_training(Episodes(support, query))
    training = learner.meta_loss(trained_on).detach()
    np.testing.assert_allclose(training, row_loss(expected, query).detach(), rtol=1e-10)
    evaluation = learner.eval().meta_loss(Episodes(support, query)).detach()
    np.testing.assert_allclose(evaluation, row_loss(output, query).detach(), rtol=1e-10)


def test_training_weights_a_row_with_the_root_of_its_variance():
    learner, (support, query) = make_learner("regression"), make_episodes("regression")
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
