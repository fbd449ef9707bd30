"""The Siamese learner against references in plain loops."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import pytest
import torch
from class_rows import check_against_loops, relative_error
from torch import Tensor, nn

from sklmeta.episodes.rows import Episodes, Rows
from sklmeta.learners.learner import TaskSpec
from sklmeta.metric_based.siamese import LOSSES, RULES, SiameseLearner

N_FEATURES, WIDTH, N_CLASSES = 3, 4, 4
KINDS = ("own", "shared")
MARGIN = 0.8


def make_learner(kind: str, loss: str, rule: str = "nearest") -> SiameseLearner:
    """Build a smooth learner with every parameter away from its initial value."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        encoder = nn.Sequential(nn.Linear(N_FEATURES, WIDTH), nn.Tanh())
        n_classes = N_CLASSES if kind == "shared" else 0
        spec = TaskSpec(kind, (N_FEATURES,), WIDTH, n_classes)
        learner = SiameseLearner(
            spec, encoder, loss=loss, margin=MARGIN, predict_by=rule, n_neighbors=3
        ).double()
        with torch.no_grad():
            for parameter in learner.parameters():
                parameter.add_(0.3 * torch.randn_like(parameter))
    return learner


def make_rows(kind: str, sizes: list[list[int]], seed: int, padding: int) -> Rows:
    """Draw tasks whose classes have the given numbers of rows."""
    generator = torch.Generator().manual_seed(seed)
    labels = [torch.arange(len(n)).repeat_interleave(torch.tensor(n)) for n in sizes]
    n_rows = max(map(len, labels)) + padding
    X = torch.zeros(len(sizes), n_rows, N_FEATURES, dtype=torch.float64)
    y, mask = torch.zeros(X.shape[:2], dtype=torch.long), torch.zeros(X.shape[:2])
    for t, task in enumerate(labels):
        n = len(task)
        X[t, :n] = torch.randn(n, N_FEATURES, generator=generator, dtype=X.dtype)
        X[t, :n] += task[:, None]
        y[t, :n], mask[t, :n] = task, 1
    if kind == "shared":
        return Rows(X, y, mask.double(), N_CLASSES)
    ways = torch.tensor([len(task) for task in sizes])
    return Rows(X, y, mask.double(), int(ways.max()), ways)


def make_episodes(kind: str) -> Episodes:
    """Draw ragged episodes, with classes of one row and, if shared, of none."""
    support = [[3, 1, 2, 2], [1, 4], [1, 1, 1]]
    if kind == "shared":
        support = [[3, 0, 2, 1], [1, 1, 1, 1], [0, 0, 0, 0]]
    query = [[2] + [1] * (len(task) - 1) for task in support]
    return Episodes(make_rows(kind, support, 1, 2), make_rows(kind, query, 2, 1))


def reference_distance(learner: SiameseLearner, x: Tensor, z: Tensor) -> Tensor:
    f, g = learner.encoder(x[None])[0], learner.encoder(z[None])[0]
    if learner.loss == "cross_entropy":
        return (learner.log_weight.exp() * (f - g).abs()).sum()
    f, g = f / f.square().sum().sqrt(), g / g.square().sum().sqrt()
    return (f - g).square().sum().sqrt()


def reference_odds(learner: SiameseLearner, D: Tensor) -> Tensor:
    if learner.loss == "cross_entropy":
        return learner.offset - D
    return learner.offset - learner.log_slope.exp() * D**2


def reference_pair_loss(
    learner: SiameseLearner, rows: list[Tensor], y: list[int], n_support: int
) -> Tensor:
    """Mean over same and over different pairs, pair by pair."""
    losses: dict[bool, list[Tensor]] = {True: [], False: []}
    for i in range(n_support, len(rows)):
        for j in range(len(rows)):
            if i == j:
                continue
            D, same = reference_distance(learner, rows[i], rows[j]), y[i] == y[j]
            if learner.loss == "contrastive":
                loss = D**2 if same else max(torch.zeros_like(D), MARGIN - D) ** 2
                D = D.detach()
            else:
                loss = torch.zeros_like(D)
            p = torch.sigmoid(reference_odds(learner, D))
            loss = loss - (p if same else 1 - p).log()
            losses[same].append(loss)
    return sum(0.5 * sum(part) / len(part) for part in losses.values() if part)


def reference_logits(
    learner: SiameseLearner, rows: list[Tensor], y: list[int], x: Tensor, n: int
) -> Tensor:
    """Logits of one row, class by class; distances and their odds are constants."""
    odds = [
        reference_odds(learner, reference_distance(learner, x, row)).detach()
        for row in rows
    ]
    classes = list(y)
    if learner.spec.kind == "shared":
        f = learner.encoder(x[None])[0].detach()
        if learner.loss == "contrastive":
            f = f / f.square().sum().sqrt()
        else:
            f = f * learner.log_weight.exp().detach()
        for c in range(n):
            order = 1 if learner.loss == "cross_entropy" else 2
            D = (f - learner.class_rows[c]).norm(p=order)
            slope = 1.0
            if learner.loss == "contrastive":
                D, slope = D**2, learner.log_slope.exp()
            odds.append(learner.class_offset[c] - slope * D)
            classes.append(c)
    temperature = learner.log_temperature.exp()
    logits = []
    for c in range(n):
        mine = [o for o, k in zip(odds, classes, strict=True) if k == c]
        if learner.predict_by == "mean":
            logits.append(temperature * sum(mine) / len(mine))
        else:
            logits.append(temperature * max(mine))
    result = torch.stack(logits)
    if learner.predict_by == "k_nearest":
        nearest = sorted(range(len(odds)), key=lambda i: -odds[i].item())[:3]
        votes = [sum(classes[i] == c for i in nearest) for c in range(n)]
        result = (torch.tensor(votes) + result.softmax(0)).log()
    return result


def reference_loss(
    learner: SiameseLearner, support: Rows, query: Rows, t: int
) -> Tensor:
    real, asked = support.mask[t] > 0, query.mask[t] > 0
    rows, y = list(support.X[t][real]), support.y[t][real].tolist()
    queries, answers = list(query.X[t][asked]), query.y[t][asked].tolist()
    n = N_CLASSES if support.ways is None else int(support.ways[t])
    pairs = reference_pair_loss(learner, rows + queries, y + answers, len(rows))
    nll = [
        -reference_logits(learner, rows, y, x, n).log_softmax(0)[c]
        for x, c in zip(queries, answers, strict=True)
    ]
    return pairs + sum(nll) / len(nll)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("rule", RULES)
def test_loss_and_meta_gradient_match_plain_loops(kind, loss, rule):
    learner, episodes = make_learner(kind, loss, rule), make_episodes(kind)
    check_against_loops(learner, episodes, reference_loss, tolerance=1e-9)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("rule", RULES)
def test_predictions_match_plain_loops(kind, loss, rule, monkeypatch):
    learner = make_learner(kind, loss, rule).eval()
    support, query = make_episodes(kind)
    state = learner.adapt(support)
    actual = learner.predict(state, query.X)
    for t in range(3):
        real = support.mask[t] > 0
        n = N_CLASSES if support.ways is None else int(support.ways[t])
        for i in range(int(query.mask[t].sum())):
            expected = reference_logits(
                learner,
                list(support.X[t][real]),
                support.y[t][real].tolist(),
                query.X[t, i],
                n,
            )
            assert relative_error(actual[t, i, :n], expected) < 1e-10
            assert (actual[t, i, n:] == -torch.inf).all()
    monkeypatch.setattr("sklmeta.metric_based.siamese.PAIRS_PER_BLOCK", 1)
    torch.testing.assert_close(learner.predict(state, query.X), actual)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("loss", LOSSES)
def test_padding_and_other_tasks_are_inert(kind, loss):
    learner, episodes = make_learner(kind, loss), make_episodes(kind)
    parts = []
    for rows in episodes:
        padding = rows.mask == 0
        X = torch.where(padding[..., None], 1e3, rows.X)
        parts.append(rows._replace(X=X, y=torch.where(padding, 1, rows.y)))
    junk = Episodes(*parts)
    torch.testing.assert_close(learner(junk), learner(episodes), rtol=1e-12, atol=0)
    X = episodes.query.X
    expected = learner.predict(learner.adapt(episodes.support), X)
    actual = learner.predict(learner.adapt(junk.support), X)
    torch.testing.assert_close(actual, expected, rtol=1e-12, atol=1e-12)
    for t in range(3):
        alone = Rows._make(
            v[t : t + 1] if isinstance(v, Tensor) else v for v in episodes.support
        )
        logits = learner.predict(learner.adapt(alone), X[t : t + 1, 1:2])
        torch.testing.assert_close(logits[0, 0], expected[t, 1], rtol=1e-10, atol=1e-12)


def test_embedding_learns_from_the_pairs_alone():
    learner, episodes = make_learner("shared", "contrastive"), make_episodes("shared")
    encoder = list(learner.encoder.parameters())
    before = torch.autograd.grad(learner(episodes).sum(), encoder)
    with torch.no_grad():
        learner.log_temperature += 1
        learner.class_rows += 1
        learner.offset += 1
    after = torch.autograd.grad(learner(episodes).sum(), encoder)
    for one, other in zip(before, after, strict=True):
        torch.testing.assert_close(one, other)


def test_different_rows_beyond_the_margin_are_left_alone():
    spec = TaskSpec("own", (2,), 2, 0)
    learner = SiameseLearner(
        spec, nn.Linear(2, 2, bias=False), loss="contrastive", margin=1.0
    )
    with torch.no_grad():
        learner.encoder.weight.copy_(torch.eye(2))
    X = torch.tensor([[[1.0, 0.0], [0.0, 1.0]]])
    one = torch.ones(1, 1)
    rows = [Rows(X[:, i : i + 1], torch.tensor([[i]]), one, 2) for i in (0, 1)]
    learner(Episodes(*rows)).sum().backward()
    assert (learner.encoder.weight.grad == 0).all()
    learner.margin = 1.5  # the distance is sqrt(2)
    learner(Episodes(*rows)).sum().backward()
    assert (learner.encoder.weight.grad != 0).any()


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("rule", RULES)
def test_gradient_is_finite_where_rows_coincide(loss, rule):
    for kind in KINDS:
        learner, episodes = make_learner(kind, loss, rule), make_episodes(kind)
        for value in (0.0, 1e4):
            same = [r._replace(X=torch.full_like(r.X, value)) for r in episodes]
            learner.zero_grad()
            learner(Episodes(*same)).sum().backward()
            assert all(p.grad.isfinite().all() for p in learner.parameters())


@pytest.mark.parametrize("rule", RULES)
def test_nearest_k_nearest_and_mean_differ_as_they_should(rule):
    encoder = nn.Identity()
    spec = TaskSpec("own", (1,), 1, 0)
    learner = SiameseLearner(spec, encoder, loss="cross_entropy", predict_by=rule)
    learner.n_neighbors = 3
    X = torch.tensor([[[0.0], [9.0], [1.0], [1.2], [20.0]]])
    y = torch.tensor([[0, 0, 1, 1, 1]])
    state = learner.eval().adapt(Rows(X, y, torch.ones(1, 5), 2))
    best = learner.predict(state, torch.tensor([[[0.4], [1.1]]])).argmax(-1)
    # mean distances of the first are 4.5 and 7.0
    wanted = {"nearest": [0, 1], "k_nearest": [1, 1], "mean": [0, 0]}[rule]
    assert best[0].tolist() == wanted


@pytest.mark.parametrize("loss", LOSSES)
def test_prior_is_that_of_an_empty_support(loss):
    learner = make_learner("shared", loss)
    support, query = make_episodes("shared")
    empty = support._replace(mask=torch.zeros_like(support.mask))
    expected = learner.predict(learner.adapt(empty), query.X)
    prior = {k: v.expand(3, *v.shape[1:]) for k, v in learner.prior_state().items()}
    torch.testing.assert_close(learner.predict(prior, query.X), expected)
    assert make_learner("own", loss).prior_state() is None


def test_bad_arguments_are_named():
    encoder, spec = nn.Identity(), TaskSpec("own", (2,), 2, 0)
    with pytest.raises(ValueError, match="loss must be one of"):
        SiameseLearner(spec, encoder, loss="triplet")
    with pytest.raises(ValueError, match="predict_by must be one of"):
        SiameseLearner(spec, encoder, predict_by="vote")
    with pytest.raises(ValueError, match="'shared' or 'own', got 'regression'"):
        SiameseLearner(TaskSpec("regression", (2,), 2, 0), encoder)
