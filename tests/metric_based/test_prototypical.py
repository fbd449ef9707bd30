"""The prototypical learner against references in plain loops."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

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

from sklmeta.episodes.rows import Rows
from sklmeta.learners.encoders import MLP
from sklmeta.learners.learner import TaskSpec
from sklmeta.metric_based._members import MLPMembers
from sklmeta.metric_based.prototypical import METRICS, PrototypicalLearner

WIDTH, N_MEMBERS = 4, 2
KINDS = ("own", "shared")


def make_learner(kind: str, metric: str) -> PrototypicalLearner:
    """With several members and, where it may, the distance between the raw rows."""
    n_classes = N_CLASSES if kind == "shared" else 0
    spec = TaskSpec(kind, (N_FEATURES,), N_MEMBERS * WIDTH, n_classes)
    raw = (kind, metric) == ("own", "sqeuclidean")
    return away_from_start(
        lambda: PrototypicalLearner(
            spec,
            MLPMembers(N_FEATURES, N_MEMBERS, (6, WIDTH), activation="tanh"),
            metric=metric,
            n_members=N_MEMBERS,
            raw=raw,
        )
    )


def reference_encoder(learner: PrototypicalLearner, member: int, X: Tensor) -> Tensor:
    """Features of one member, layer by layer; its weighted raw rows beside them."""
    Z = X
    encoder = learner.encoder
    for weight, bias in zip(encoder.weights, encoder.biases, strict=True):
        Z = torch.tanh(Z @ weight[member] + bias[member, 0])
    return torch.cat([Z, X * learner.log_raw_scale.exp()], 1) if learner.raw else Z


def reference_covariance(
    learner: PrototypicalLearner, Z: Tensor, y: Tensor, c: int
) -> Tensor:
    """Equation 2 of Bateni et al. (2020), row by row."""

    def covariance(rows: Tensor) -> Tensor:
        total = torch.zeros(WIDTH, WIDTH, dtype=Z.dtype)
        for row in rows:
            total = total + torch.outer(row - rows.mean(0), row - rows.mean(0))
        return total / max(len(rows) - 1, 1)

    n = int((y == c).sum())
    result = covariance(Z) / (n + 1)
    if n:
        result = result + covariance(Z[y == c]) * n / (n + 1)
    ridge = learner.log_ridge.exp()
    ridge = ridge + WIDTH * torch.finfo(Z.dtype).eps * torch.trace(result)
    return result + ridge * torch.eye(WIDTH, dtype=Z.dtype)


def reference_logits(
    learner: PrototypicalLearner, Z: Tensor, y: Tensor, z: Tensor, member: int, n: int
) -> Tensor:
    """Logits of one row in one member, class by class."""
    logits = []
    for c in range(n):
        rows = Z[y == c]
        prototype = rows.sum(0) / max(len(rows), 1)
        if learner.spec.kind == "shared":
            kappa = learner.log_prior_strength.exp()
            prior = learner.prior_prototypes[member, c]
            prototype = (rows.sum(0) + kappa * prior) / (len(rows) + kappa)
        difference = z - prototype
        if learner.metric == "cosine":
            norms = z.square().sum().sqrt() * prototype.square().sum().sqrt()
            distance = -(z * prototype).sum() / norms
        elif learner.metric == "mahalanobis":
            covariance = reference_covariance(learner, Z, y, c)
            distance = difference @ torch.linalg.inv(covariance) @ difference
        else:
            distance = difference.square().sum()
        logit = -learner.log_scale.exp() * distance
        if learner.spec.kind == "shared":
            frequency = len(rows) + learner.log_concentration[c].exp()
            logit = logit + learner.class_bias[c]
            logit = logit + learner.count_weight * frequency.log()
        logits.append(logit)
    return torch.stack(logits)


def reference_outputs(
    learner: PrototypicalLearner, support: Rows, query: Rows
) -> Tensor:  # shape: (n_members, n_query, n_classes)
    """Log-probabilities of one task in plain loops, without padding or batching."""
    n_classes = N_CLASSES if support.ways is None else int(support.ways)
    outputs = []
    for member in range(N_MEMBERS):
        Z = reference_encoder(learner, member, support.X[0])
        for x in query.X[0]:
            z = reference_encoder(learner, member, x[None])[0]
            logits = reference_logits(learner, Z, support.y[0], z, member, n_classes)
            outputs.append(logits - torch.logsumexp(logits, 0))
    return torch.stack(outputs).unflatten(0, (N_MEMBERS, -1))


def reference_loss(learner: PrototypicalLearner, support: Rows, query: Rows) -> Tensor:
    """Sum over the members of the query loss of one task."""
    outputs = reference_outputs(learner, support, query)
    losses = [
        -member[i, query.y[0, i]] for member in outputs for i in range(len(member))
    ]
    return torch.stack(losses).sum() / outputs.shape[1]


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
    for t in range(len(query.X)):
        alone = one_task(support, t), one_task(query, t)
        expected = reference_outputs(learner, *alone).exp().mean(0)
        n_rows, n_classes = expected.shape
        assert relative_error(actual[t, :n_rows, :n_classes], expected) < 1e-10
        assert (actual[t, :n_rows, n_classes:] == 0).all()


def test_members_are_multi_layer_perceptrons_side_by_side():
    torch.manual_seed(0)
    members = MLPMembers(N_FEATURES, 2, (6, WIDTH))
    torch.manual_seed(0)
    networks = [MLP(N_FEATURES, (6, WIDTH)) for _ in range(2)]
    X = torch.randn(7, N_FEATURES)
    expected = torch.cat([network(X) for network in networks], dim=1)
    torch.testing.assert_close(members(X), expected)
    assert MLPMembers(N_FEATURES, 2, ())(X).shape == (7, 2 * N_FEATURES)


def test_embedding_distances_average_those_of_the_members():
    learner = make_learner("own", "sqeuclidean")
    X = rows_of_classes("own", [[1, 1]], 3).X
    actual = learner.embed(X)[0].diff(dim=0).square().sum()
    features = [reference_encoder(learner, m, X[0]) for m in range(N_MEMBERS)]
    expected = sum(Z.diff(dim=0).square().sum() for Z in features) / N_MEMBERS
    torch.testing.assert_close(actual, expected)


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
    with torch.no_grad():
        learner.prior_prototypes[:, 4] *= 100
    target = learner.prior_prototypes.detach()[:, 4].flatten()
    learner.encoder = torch.nn.Identity()
    generator = torch.Generator().manual_seed(6)
    X = torch.randn(1, 6, N_MEMBERS * WIDTH, generator=generator, dtype=torch.float64)
    y = torch.tensor([[0, 0, 1, 1, 2, 2]])
    mask = torch.ones(1, 6, dtype=torch.float64)
    state = learner.adapt(Rows(X, y, mask, N_CLASSES))
    logits = learner.predict(state, target[None, None])
    assert logits.argmax(-1).item() == 4


def test_much_support_outweighs_the_prior():
    learner = make_learner("shared", "sqeuclidean")
    support = rows_of_classes("shared", [[4, 4, 4, 4, 4]], 8)
    many = support._replace(
        X=support.X.repeat(1, 10_000, 1),
        y=support.y.repeat(1, 10_000),
        mask=support.mask.repeat(1, 10_000),
    )
    prototypes = learner.adapt(many)["prototypes"]
    means = learner.embed(support.X).unflatten(1, (5, 4)).mean(2)
    means = means.unflatten(2, (N_MEMBERS, WIDTH)).transpose(1, 2) * N_MEMBERS**0.5
    torch.testing.assert_close(prototypes, means, rtol=0, atol=1e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_single_row_classes_have_a_covariance(kind):
    learner = make_learner(kind, "mahalanobis")
    for sizes in ([1, 1, 1, 1, 1], [1]):
        support = rows_of_classes(kind, [sizes], 9)
        state = learner.adapt(support)
        assert state["cholesky"].isfinite().all()
        assert learner.predict(state, support.X).isfinite().all()


def test_initial_logits_do_not_grow_with_the_width():
    spreads = []
    for width in (4, 400):
        learner = PrototypicalLearner(
            TaskSpec("own", (width,), width, 0), torch.nn.Identity()
        )
        X = torch.cat([torch.ones(1, 1, width), -torch.ones(1, 1, width)], 1)
        support = Rows(X, torch.tensor([[0, 1]]), torch.ones(1, 2), 2)
        logits = learner.predict(learner.adapt(support), X)
        spreads.append((logits.max() - logits.min()).item())
    assert abs(spreads[0] - spreads[1]) < 1e-5


def test_bad_arguments_are_named():
    encoder = torch.nn.Identity()
    with pytest.raises(ValueError, match="metric must be one of"):
        PrototypicalLearner(TaskSpec("own", (2,), 2, 0), encoder, metric="l1")
    with pytest.raises(ValueError, match="raw=True needs metric='sqeuclidean'"):
        PrototypicalLearner(TaskSpec("shared", (2,), 2, 3), encoder, raw=True)
    with pytest.raises(ValueError, match="'shared' or 'own', got 'regression'"):
        PrototypicalLearner(TaskSpec("regression", (2,), 2, 0), encoder)
