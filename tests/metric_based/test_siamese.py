"""The Siamese learner against references in plain loops."""

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
)
from torch import Tensor, nn

from sklmeta.episodes.rows import Episodes, Rows
from sklmeta.learners.learner import TaskSpec
from sklmeta.metric_based.siamese import LOSSES, RULES, SiameseLearner

WIDTH = 4
KINDS = ("own", "shared")
MARGIN = 0.8


def make_learner(kind: str, loss: str, rule: str = "nearest") -> SiameseLearner:
    n_classes = N_CLASSES if kind == "shared" else 0
    spec = TaskSpec(kind, (N_FEATURES,), WIDTH, n_classes)
    return away_from_start(
        lambda: SiameseLearner(
            spec,
            nn.Sequential(nn.Linear(N_FEATURES, WIDTH), nn.Tanh()),
            loss=loss,
            margin=MARGIN,
            predict_by=rule,
            n_neighbors=3,
        )
    )


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


def reference_loss(learner: SiameseLearner, support: Rows, query: Rows) -> Tensor:
    rows, y = list(support.X[0]), support.y[0].tolist()
    queries, answers = list(query.X[0]), query.y[0].tolist()
    n = N_CLASSES if support.ways is None else int(support.ways)
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
    learner, episodes = make_learner(kind, loss, rule), episodes_of_classes(kind)
    check_against_loops(learner, episodes, reference_loss, tolerance=1e-9)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("rule", RULES)
def test_predictions_match_plain_loops(kind, loss, rule, monkeypatch):
    learner = make_learner(kind, loss, rule).eval()
    support, query = episodes_of_classes(kind)
    state = learner.adapt(support)
    actual = learner.predict(state, query.X)
    for t in range(3):
        alone = one_task(support, t)
        n = N_CLASSES if support.ways is None else int(support.ways[t])
        for i in range(int(query.mask[t].sum())):
            expected = reference_logits(
                learner, list(alone.X[0]), alone.y[0].tolist(), query.X[t, i], n
            )
            assert relative_error(actual[t, i, :n], expected) < 1e-10
            assert (actual[t, i, n:] == -torch.inf).all()
    monkeypatch.setattr("sklmeta.metric_based.siamese.PAIRS_PER_BLOCK", 1)
    torch.testing.assert_close(learner.predict(state, query.X), actual)


def test_embedding_learns_from_the_pairs_alone():
    learner, episodes = (
        make_learner("shared", "contrastive"),
        episodes_of_classes("shared"),
    )
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


def test_bad_arguments_are_named():
    encoder, spec = nn.Identity(), TaskSpec("own", (2,), 2, 0)
    with pytest.raises(ValueError, match="loss must be one of"):
        SiameseLearner(spec, encoder, loss="triplet")
    with pytest.raises(ValueError, match="predict_by must be one of"):
        SiameseLearner(spec, encoder, predict_by="vote")
    with pytest.raises(ValueError, match="'shared' or 'own', got 'regression'"):
        SiameseLearner(TaskSpec("regression", (2,), 2, 0), encoder)
