"""The matching learner against references in plain loops."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import numpy as np
import pytest
import torch
from slow_references import (
    N_CLASSES,
    N_FEATURES,
    away_from_start,
    check_against_loops,
    episodes_of_classes,
    one_task,
    relative_error,
    rows_of_classes,
)
from torch import Tensor

from sklmeta import MatchingNetClassifier, ProtoNetClassifier
from sklmeta.episodes.rows import Episodes, Rows
from sklmeta.learners.encoders import Conv4
from sklmeta.learners.learner import TaskSpec
from sklmeta.metric_based._members import MLPMembers
from sklmeta.metric_based.matching import METRICS, MatchingLearner, class_logsumexp
from sklmeta.metric_based.prototypical import PrototypicalLearner

WIDTH, N_MEMBERS = 4, 2
KINDS = ("own", "shared")


def make_learner(kind: str, metric: str) -> MatchingLearner:
    n_classes = N_CLASSES if kind == "shared" else 0
    spec = TaskSpec(kind, (N_FEATURES,), N_MEMBERS * WIDTH, n_classes)
    raw = (kind, metric) == ("own", "sqeuclidean")
    return away_from_start(
        lambda: MatchingLearner(
            spec,
            MLPMembers(N_FEATURES, N_MEMBERS, (6, WIDTH), activation="tanh"),
            metric=metric,
            n_members=N_MEMBERS,
            raw=raw,
        )
    )


def reference_encoder(learner: MatchingLearner, member: int, x: Tensor) -> Tensor:
    encoder = learner.encoder
    for weight, bias in zip(encoder.weights, encoder.biases, strict=True):
        x = torch.tanh(x @ weight[member] + bias[member, 0])
    return x


def reference_similarity(
    learner: MatchingLearner, z: Tensor, row: Tensor, x: Tensor, raw_row: Tensor | None
) -> Tensor:
    if learner.metric == "cosine":
        return (z * row).sum() / (z.square().sum() * row.square().sum()).sqrt()
    similarity = -(z - row).square().sum()
    if learner.raw and raw_row is not None:
        scale = learner.log_raw_scale.exp()
        similarity = similarity - (scale * (x - raw_row)).square().sum()
    return similarity


def reference_probabilities(
    learner: MatchingLearner, support: Rows, x: Tensor, member: int
) -> Tensor:  # shape: (n_classes,)
    """Equation 1 of Vinyals et al. (2016), row by row."""
    n_classes = N_CLASSES if support.ways is None else int(support.ways)
    z = reference_encoder(learner, member, x)
    totals = [torch.zeros((), dtype=x.dtype)] * n_classes
    temperature = learner.log_scale.exp()
    for row, y in zip(support.X[0], support.y[0], strict=True):
        there = reference_encoder(learner, member, row)
        similarity = reference_similarity(learner, z, there, x, row)
        totals[y] = totals[y] + torch.exp(temperature * similarity)
    if learner.spec.kind == "shared":
        for c in range(N_CLASSES):
            there = learner.prior_rows[member, c]
            similarity = reference_similarity(learner, z, there, x, None)
            weight = learner.log_prior_weights[c].exp()
            totals[c] = totals[c] + weight * torch.exp(temperature * similarity)
    return torch.stack(totals) / sum(totals)


def reference_loss(learner: MatchingLearner, support: Rows, query: Rows) -> Tensor:
    losses = [
        -reference_probabilities(learner, support, x, member)[y].log()
        for member in range(N_MEMBERS)
        for x, y in zip(query.X[0], query.y[0], strict=True)
    ]
    return torch.stack(losses).sum() / query.X.shape[1]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("metric", METRICS)
def test_loss_and_meta_gradient_match_plain_loops(kind, metric):
    learner, episodes = make_learner(kind, metric), episodes_of_classes(kind)
    check_against_loops(learner, episodes, reference_loss)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("metric", METRICS)
def test_prediction_averages_the_probabilities_of_the_members(kind, metric):
    learner, (support, query) = make_learner(kind, metric), episodes_of_classes(kind)
    actual = learner.predict(learner.adapt(support), query.X).softmax(-1)
    for t, X in enumerate(query.X):
        for i, x in enumerate(X):
            parts = [
                reference_probabilities(learner, one_task(support, t), x, member)
                for member in range(N_MEMBERS)
            ]
            expected = torch.stack(parts).mean(0)
            assert relative_error(actual[t, i, : len(expected)], expected) < 1e-10
            assert (actual[t, i, len(expected) :] == 0).all()


def test_with_one_row_of_each_class_it_is_a_prototypical_network():
    encoder = MLPMembers(N_FEATURES, 1, (WIDTH,)).double()
    spec = TaskSpec("own", (N_FEATURES,), WIDTH, 0)
    support = rows_of_classes("own", [[1, 1, 1, 1]], 3)
    X = rows_of_classes("own", [[2, 2, 2, 2]], 4).X
    for metric in METRICS:
        outputs = []
        for build in (MatchingLearner, PrototypicalLearner):
            learner = build(spec, encoder, metric=metric).double()
            outputs.append(learner.predict(learner.adapt(support), X).softmax(-1))
        torch.testing.assert_close(*outputs)


def test_a_row_given_twice_has_twice_the_attention():
    learner = MatchingLearner(TaskSpec("own", (1,), 1, 0), torch.nn.Identity())
    X = torch.tensor([[[1.0], [-1.0], [-1.0]]])
    state = learner.adapt(Rows(X, torch.tensor([[0, 1, 1]]), torch.ones(1, 3), 2))
    probabilities = learner.predict(state, torch.zeros(1, 1, 1)).softmax(-1)[0, 0]
    torch.testing.assert_close(probabilities, torch.tensor([1 / 3, 2 / 3]))


@pytest.mark.parametrize("metric", METRICS)
def test_own_class_without_support_has_probability_zero(metric):
    learner = make_learner("own", metric)
    support = rows_of_classes("own", [[2, 0, 3]], 5)
    probabilities = learner.predict(learner.adapt(support), support.X).softmax(-1)
    assert (probabilities[..., 1] == 0).all()
    torch.testing.assert_close(probabilities.sum(-1), torch.ones_like(support.mask))


@pytest.mark.parametrize("metric", METRICS)
def test_absent_shared_class_can_be_predicted(metric):
    learner = make_learner("shared", metric)
    learner.encoder = torch.nn.Identity()
    with torch.no_grad():
        learner.prior_rows[:, 4] *= 100
    target = learner.prior_rows.detach()[:, 4].flatten()
    generator = torch.Generator().manual_seed(6)
    X = torch.randn(1, 6, N_MEMBERS * WIDTH, generator=generator, dtype=torch.float64)
    y = torch.tensor([[0, 0, 1, 1, 2, 2]])
    state = learner.adapt(Rows(X, y, torch.ones(1, 6).double(), N_CLASSES))
    assert learner.predict(state, target[None, None]).argmax(-1).item() == 4


def test_some_supports_are_cut_down_in_training():
    row = torch.ones(8, 6, dtype=torch.float64)
    rows = Rows(torch.zeros(8, 6, N_FEATURES), row.long(), row, N_CLASSES)
    for kind, sizes in (("shared", [0, 1] + 6 * [6]), ("own", 8 * [6])):
        learner = make_learner(kind, "cosine")
        changed = learner.for_training(Episodes(rows, rows))
        assert changed.support.mask.sum(1).tolist() == sizes
        assert changed.query.mask.all()


def test_a_far_class_keeps_a_finite_loss_and_its_gradient():
    learner = MatchingLearner(TaskSpec("own", (1,), 1, 0), torch.nn.Identity())
    support = Rows(
        torch.tensor([[[0.0], [1e3]]]), torch.tensor([[0, 1]]), torch.ones(1, 2), 2
    )
    X = torch.tensor([[[1.0]]], requires_grad=True)
    query = Rows(X, torch.tensor([[1]]), torch.ones(1, 1), 2)
    loss = learner(Episodes(support, query)).sum()
    loss.backward()
    # It falls by 2 * 1e3 with each unit, however far the class.
    torch.testing.assert_close(X.grad[0, 0, 0], torch.tensor(-2e3))
    assert abs(loss.item() - (999.0**2 - 1)) < 1


def test_logsumexp_over_the_rows_of_each_class():
    scores = torch.tensor([[[[0.0, 1.0, -500.0, -torch.inf]]]], dtype=torch.float64)
    classes, present = torch.tensor([[0, 0, 1, 0]]), torch.tensor([[True, True, False]])
    actual = class_logsumexp(scores, classes, present)[0, 0, 0]
    expected = torch.tensor([np.logaddexp(0, 1), -500.0, -np.inf], dtype=torch.float64)
    torch.testing.assert_close(actual, expected)


def test_classes_of_two_places_each():
    """Where a class has two clusters its mean is the place of no row."""
    rng = np.random.default_rng(0)
    n_tasks, n_rows = 30, 40
    y = rng.integers(2, size=(n_tasks, n_rows))
    corner = rng.integers(2, size=(n_tasks, n_rows))
    X = np.stack([corner, corner ^ y], axis=-1) * 4.0
    X += 0.3 * rng.normal(size=X.shape)
    task = np.repeat(np.arange(n_tasks), n_rows)
    X, y = X.reshape(-1, 2), y.ravel()
    # Labels are shuffled from task to task: nothing but the support tells them.
    y = y ^ rng.integers(2, size=n_tasks)[task]
    params = {"hidden_layer_sizes": (2,), "activation": "identity", "n_members": 1}
    params["standardize"] = True  # discriminants have one place for each class
    scores = {}
    for build in (MatchingNetClassifier, ProtoNetClassifier):
        est = build(n_way=2, n_shots=10, max_iter=30, random_state=0, **params)
        est.fit(X[task > 9], y[task > 9], task=task[task > 9])
        old = task <= 9
        scores[build] = est.score(X[old], y[old], task=task[old], shots=10)
    assert scores[MatchingNetClassifier] > 0.95
    assert scores[ProtoNetClassifier] < 0.8


def test_images_with_conv4():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 1, 28, 28)).astype(np.float32)
    y = np.tile(np.arange(6), 10)
    est = MatchingNetClassifier(
        module=Conv4,
        module_params={"n_filters": 4},
        n_way=6,
        n_shots=1,
        max_iter=2,
        random_state=0,
    ).fit(X, y, task=np.arange(60) // 30)
    proba = est.adapt(X[:20], y[:20]).predict_proba(X)
    np.testing.assert_allclose(proba.sum(1), 1, rtol=1e-5)
    assert est.transform(X[:3]).shape == (3, 4)


def test_bad_arguments_are_named():
    encoder = torch.nn.Identity()
    with pytest.raises(ValueError, match="metric must be one of"):
        MatchingLearner(TaskSpec("own", (2,), 2, 0), encoder, metric="mahalanobis")
    with pytest.raises(ValueError, match="raw=True needs metric='sqeuclidean'"):
        MatchingLearner(TaskSpec("shared", (2,), 2, 3), encoder, raw=True)
    with pytest.raises(ValueError, match="'shared' or 'own', got 'regression'"):
        MatchingLearner(TaskSpec("regression", (2,), 2, 0), encoder)
