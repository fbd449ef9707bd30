"""The prototypical learner against references in plain loops."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import pytest
import torch
from class_rows import check_against_loops, relative_error
from torch import Tensor

from sklmeta.episodes.rows import Episodes, Rows
from sklmeta.learners.encoders import MLP
from sklmeta.learners.learner import TaskSpec
from sklmeta.metric_based._members import MLPMembers
from sklmeta.metric_based.prototypical import METRICS, PrototypicalLearner

N_FEATURES, WIDTH, N_CLASSES, N_MEMBERS = 3, 4, 5, 2
KINDS = ("own", "shared")


def make_learner(kind: str, metric: str, seed: int = 0) -> PrototypicalLearner:
    """Build a smooth learner with every parameter away from its initial value.

    It has several members and, where it may, the distance between the raw rows.
    """
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        encoder = MLPMembers(N_FEATURES, N_MEMBERS, (6, WIDTH), activation="tanh")
        n_classes = N_CLASSES if kind == "shared" else 0
        spec = TaskSpec(kind, (N_FEATURES,), N_MEMBERS * WIDTH, n_classes)
        raw = (kind, metric) == ("own", "sqeuclidean")
        learner = PrototypicalLearner(
            spec, encoder, metric=metric, n_members=N_MEMBERS, raw=raw
        ).double()
        with torch.no_grad():
            for parameter in learner.parameters():
                parameter.add_(0.3 * torch.randn_like(parameter))
    return learner


def reference_encoder(learner: PrototypicalLearner, member: int, X: Tensor) -> Tensor:
    """Features of one member, layer by layer; its weighted raw rows beside them."""
    Z = X
    encoder = learner.encoder
    for weight, bias in zip(encoder.weights, encoder.biases, strict=True):
        Z = torch.tanh(Z @ weight[member] + bias[member, 0])
    return torch.cat([Z, X * learner.log_raw_scale.exp()], 1) if learner.raw else Z


def make_rows(kind: str, sizes: list[list[int]], seed: int, padding: int = 0) -> Rows:
    """Draw tasks whose classes have the given numbers of rows."""
    generator = torch.Generator().manual_seed(seed)
    labels = [
        torch.cat([torch.full((n,), c, dtype=torch.long) for c, n in enumerate(task)])
        for task in sizes
    ]
    n_rows = max(len(y) for y in labels) + padding
    X = torch.zeros(len(sizes), n_rows, N_FEATURES, dtype=torch.float64)
    y = torch.zeros(len(sizes), n_rows, dtype=torch.long)
    mask = torch.zeros(len(sizes), n_rows, dtype=torch.float64)
    for t, task in enumerate(labels):
        n = len(task)
        X[t, :n] = torch.randn(n, N_FEATURES, generator=generator, dtype=X.dtype)
        X[t, :n] += task[:, None]
        y[t, :n], mask[t, :n] = task, 1
    if kind == "shared":
        return Rows(X, y, mask, N_CLASSES)
    ways = torch.tensor([len(task) for task in sizes])
    return Rows(X, y, mask, max(len(task) for task in sizes), ways)


def make_episodes(kind: str) -> Episodes:
    """Draw ragged episodes, with classes of one row and, if shared, of none."""
    support = [[3, 1, 2, 2], [1, 4], [1, 1, 1]]
    if kind == "shared":
        support = [[3, 0, 2, 1, 0], [1, 1, 1, 1, 1], [0, 0, 0, 4, 0]]
    query = [[2] * len(task) for task in support]
    return Episodes(make_rows(kind, support, 1, 2), make_rows(kind, query, 2, 1))


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
    learner: PrototypicalLearner, support: Rows, query: Rows, t: int
) -> Tensor:  # shape: (n_members, n_query, n_classes)
    """Log-probabilities of task t in plain loops, without padding or batching."""
    real = support.mask[t] > 0
    X, y = support.X[t][real], support.y[t][real]
    n_classes = N_CLASSES if support.ways is None else int(support.ways[t])
    outputs = []
    for member in range(N_MEMBERS):
        Z = reference_encoder(learner, member, X)
        for x in query.X[t][: int(query.mask[t].sum())]:
            z = reference_encoder(learner, member, x[None])[0]
            logits = reference_logits(learner, Z, y, z, member, n_classes)
            outputs.append(logits - torch.logsumexp(logits, 0))
    return torch.stack(outputs).unflatten(0, (N_MEMBERS, -1))


def reference_loss(
    learner: PrototypicalLearner, support: Rows, query: Rows, t: int
) -> Tensor:
    """Sum over the members of the query loss of task t."""
    outputs = reference_outputs(learner, support, query, t)
    losses = [
        -member[i, query.y[t, i]] for member in outputs for i in range(len(member))
    ]
    return torch.stack(losses).sum() / outputs.shape[1]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("metric", METRICS)
def test_loss_and_meta_gradient_match_plain_loops(kind, metric):
    learner, episodes = make_learner(kind, metric), make_episodes(kind)
    check_against_loops(learner, episodes, reference_loss)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("metric", METRICS)
def test_prediction_averages_the_probabilities_of_the_members(kind, metric):
    learner, (support, query) = make_learner(kind, metric), make_episodes(kind)
    actual = learner.predict(learner.adapt(support), query.X).softmax(-1)
    for t in range(len(query.X)):
        expected = reference_outputs(learner, support, query, t).exp().mean(0)
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
    X = make_rows("own", [[1, 1]], 3).X
    actual = learner.embed(X)[0].diff(dim=0).square().sum()
    features = [reference_encoder(learner, m, X[0]) for m in range(N_MEMBERS)]
    expected = sum(Z.diff(dim=0).square().sum() for Z in features) / N_MEMBERS
    torch.testing.assert_close(actual, expected)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("metric", METRICS)
def test_padding_is_inert(kind, metric):
    learner, episodes = make_learner(kind, metric), make_episodes(kind)
    support = episodes.support
    padding = support.mask == 0
    junk = support._replace(
        X=torch.where(padding[..., None], 1e3, support.X),
        y=torch.where(padding, 1, support.y),
    )
    expected, actual = learner.adapt(support), learner.adapt(junk)
    for name in expected:
        torch.testing.assert_close(actual[name], expected[name], rtol=1e-12, atol=0)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("metric", METRICS)
def test_each_task_is_independent_of_its_batch(kind, metric):
    learner, episodes = make_learner(kind, metric), make_episodes(kind)
    together = learner.predict(learner.adapt(episodes.support), episodes.query.X)
    for t in range(len(together)):
        support = Rows(*(part[t : t + 1] for part in episodes.support[:3]), 0)
        support = support._replace(n_classes=episodes.support.n_classes)
        X = episodes.query.X[t : t + 1, 1:2]
        alone = learner.predict(learner.adapt(support), X)
        torch.testing.assert_close(alone[0, 0], together[t, 1], rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("metric", METRICS)
def test_own_classes_permute_with_their_labels(metric):
    learner = make_learner("own", metric)
    support, X = make_rows("own", [[3, 1, 2, 2]], 3), torch.randn(1, 6, N_FEATURES)
    order = torch.tensor([2, 0, 3, 1])
    permuted = support._replace(y=order[support.y])
    logits = learner.predict(learner.adapt(support), X.double())
    actual = learner.predict(learner.adapt(permuted), X.double())
    torch.testing.assert_close(actual[..., order], logits, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("metric", METRICS)
def test_own_classes_of_any_number(metric):
    learner = make_learner("own", metric)
    for n_classes in (2, 9):
        support = make_rows("own", [[2] * n_classes], 4)
        logits = learner.predict(learner.adapt(support), support.X)
        assert logits.shape == (1, 2 * n_classes, n_classes)


@pytest.mark.parametrize("metric", METRICS)
def test_own_class_without_support_has_probability_zero(metric):
    learner = make_learner("own", metric)
    support = make_rows("own", [[2, 0, 3]], 5)
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


@pytest.mark.parametrize("metric", METRICS)
def test_prior_state_is_that_of_an_empty_support(metric):
    learner = make_learner("shared", metric)
    prior = learner.prior_state()
    support = make_rows("shared", [[2, 1, 1, 1, 1]], 7)
    empty = learner.adapt(support._replace(mask=torch.zeros_like(support.mask)))
    for name in empty:
        torch.testing.assert_close(prior[name], empty[name])
    torch.testing.assert_close(prior["prototypes"][0], learner.prior_prototypes)
    assert learner.predict(prior, support.X).isfinite().all()
    assert make_learner("own", metric).prior_state() is None


def test_much_support_outweighs_the_prior():
    learner = make_learner("shared", "sqeuclidean")
    support = make_rows("shared", [[4, 4, 4, 4, 4]], 8)
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
        support = make_rows(kind, [sizes], 9)
        state = learner.adapt(support)
        assert state["cholesky"].isfinite().all()
        assert learner.predict(state, support.X).isfinite().all()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("scale", [0.0, 1e-4, 1e4])
def test_extreme_rows_give_finite_logits(kind, metric, scale):
    learner = make_learner(kind, metric).float()
    learner.encoder, learner.raw = torch.nn.Identity(), False
    generator = torch.Generator().manual_seed(10)
    X = scale * torch.randn(1, 20, N_MEMBERS * WIDTH, generator=generator)
    y = torch.arange(20)[None] % N_CLASSES
    state = learner.adapt(Rows(X, y, torch.ones(1, 20), N_CLASSES))
    assert learner.predict(state, X).isfinite().all()


@pytest.mark.parametrize("metric", METRICS)
def test_gradient_is_finite_where_rows_coincide(metric):
    learner, episodes = make_learner("own", metric), make_episodes("own")
    same = Episodes(*(r._replace(X=torch.zeros_like(r.X)) for r in episodes))
    learner(same).sum().backward()
    assert all(p.grad.isfinite().all() for p in learner.parameters())


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
