"""The relation learner against references in plain loops."""

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
from torch import Tensor, nn

from sklmeta import RelationNetClassifier
from sklmeta.episodes.rows import Episodes, Rows
from sklmeta.learners.encoders import Conv4
from sklmeta.learners.learner import TaskSpec
from sklmeta.metric_based import relation as relation_file
from sklmeta.metric_based._members import MLPMembers
from sklmeta.metric_based.relation import LOSSES, POOLS, RelationLearner
from sklmeta.metric_based.relation_modules import ConvMaps, ConvRelation, relate

WIDTH, N_MEMBERS = 4, 2
KINDS = ("own", "shared")
SMALL = {"hidden_layer_sizes": (8,), "max_iter": 3, "random_state": 0}


def make_relation(activation: type[nn.Module] = nn.Tanh) -> nn.Module:
    return nn.Sequential(nn.Linear(2 * WIDTH, 5), activation(), nn.Linear(5, 1))


def make_learner(
    kind: str, loss: str = "mse", pool: str = "mean", build=make_relation
) -> RelationLearner:
    n_classes = N_CLASSES if kind == "shared" else 0
    spec = TaskSpec(kind, (N_FEATURES,), N_MEMBERS * WIDTH, n_classes)
    return away_from_start(
        lambda: RelationLearner(
            spec,
            MLPMembers(N_FEATURES, N_MEMBERS, (6, WIDTH), activation="tanh"),
            [build() for _ in range(N_MEMBERS)],
            loss=loss,
            pool=pool,
        )
    )


def reference_encoder(learner: RelationLearner, member: int, x: Tensor) -> Tensor:
    encoder = learner.encoder
    for weight, bias in zip(encoder.weights, encoder.biases, strict=True):
        x = torch.tanh(x @ weight[member] + bias[member, 0])
    return x


def reference_logits(
    learner: RelationLearner, support: Rows, x: Tensor, member: int
) -> Tensor:
    """Logit of the relation score of every class of one task, equation 1."""
    z = reference_encoder(learner, member, x)
    logits = []
    for c in range(N_CLASSES if support.ways is None else int(support.ways)):
        mine = support.X[0][support.y[0] == c]
        rows = [reference_encoder(learner, member, row) for row in mine]
        total, n_rows = torch.zeros(WIDTH, dtype=x.dtype), len(rows)
        for row in rows:
            total = total + row
        prior = 0.0
        if learner.spec.kind == "shared":
            kappa = learner.log_prior_strength.exp()
            total = total + kappa * learner.prior_prototypes[member, c]
            frequency = len(rows) + learner.log_concentration[c].exp()
            prior = learner.class_bias[c] + learner.count_weight * frequency.log()
            n_rows = n_rows + kappa
        embedding = total if learner.pool == "sum" else total / n_rows
        pair = torch.cat([z, embedding])
        logits.append(learner.relations[member](pair)[0] + prior)
    return torch.stack(logits)


def reference_loss(learner: RelationLearner, support: Rows, query: Rows) -> Tensor:
    losses = []
    for member in range(N_MEMBERS):
        for x, y in zip(query.X[0], query.y[0], strict=True):
            logits = reference_logits(learner, support, x, member)
            if learner.loss == "cross_entropy":
                losses.append(torch.logsumexp(logits, 0) - logits[y])
                continue
            for c, logit in enumerate(logits):
                score = 1 / (1 + torch.exp(-logit))
                losses.append((score - float(c == y)) ** 2)
    return torch.stack(losses).sum() / query.X.shape[1]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("pool", POOLS)
def test_loss_and_meta_gradient_match_plain_loops(kind, loss, pool):
    learner, episodes = make_learner(kind, loss, pool), episodes_of_classes(kind)
    check_against_loops(learner, episodes, reference_loss)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("loss", LOSSES)
def test_prediction_averages_the_probabilities_of_the_members(kind, loss):
    learner, (support, query) = make_learner(kind, loss), episodes_of_classes(kind)
    actual = learner.predict(learner.adapt(support), query.X).softmax(-1)
    for t, X in enumerate(query.X):
        for i, x in enumerate(X):
            parts = []
            for member in range(N_MEMBERS):
                logits = reference_logits(learner, one_task(support, t), x, member)
                # Scores divided by their sum.
                scores = logits.sigmoid() if loss == "mse" else logits.exp()
                parts.append(scores / scores.sum())
            expected = torch.stack(parts).mean(0)
            assert relative_error(actual[t, i, : len(expected)], expected) < 1e-10
            assert (actual[t, i, len(expected) :] == 0).all()


def relations_of_every_shape() -> dict[str, tuple[nn.Module, int]]:
    """Modules and the width d of a row."""

    class Own(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(8, 1)

        def forward(self, pairs):
            return self.layer(pairs).tanh()

    conv = nn.Conv2d(4, 3, 2, stride=2, padding=1, bias=False)
    return {
        "own": (Own(), 4),
        "linear": (nn.Sequential(nn.Linear(8, 3), nn.ReLU(), nn.Linear(3, 1)), 4),
        "without bias": (nn.Sequential(nn.Linear(8, 1, bias=False)), 4),
        "conv": (ConvRelation(2 * 8 * 25, n_filters=8), 8 * 25),
        "conv of single numbers": (ConvRelation(16, n_filters=8), 8),
        "strided": (
            nn.Sequential(
                nn.Unflatten(1, (4, 5, 3)), conv, nn.Flatten(), nn.Linear(18, 1)
            ),
            30,
        ),
        "grouped": (
            nn.Sequential(
                nn.Unflatten(1, (4, 3, 3)),
                nn.Conv2d(4, 4, 3, groups=4),
                nn.Flatten(),
                nn.Linear(4, 1),
            ),
            18,
        ),
    }


@pytest.mark.parametrize("name", relations_of_every_shape())
def test_splitting_the_first_layer_changes_nothing(name):
    torch.manual_seed(0)
    module, width = relations_of_every_shape()[name]
    module.double()
    first = torch.randn(2, 3, width, dtype=torch.float64)
    second = torch.randn(2, 4, width, dtype=torch.float64)
    actual = relate(module, first, second)
    expected = torch.stack(
        [
            torch.stack([module(torch.cat([q, c])[None])[0, 0] for c in others])
            for some, others in zip(first, second, strict=True)
            for q in some
        ]
    ).view(2, 3, 4)
    torch.testing.assert_close(actual, expected, rtol=1e-12, atol=1e-12)


def test_a_linear_beginning_never_sees_the_pairs():
    rows_seen = []
    module = ConvRelation(2 * 8 * 25, n_filters=8)
    module[0].register_forward_hook(lambda *args: rows_seen.append("unflatten"))
    relate(module, torch.zeros(2, 3, 200), torch.zeros(2, 4, 200))
    assert not rows_seen


class Normed(nn.Sequential):
    """A relation module whose pairs look at one another while it is trained."""

    def __init__(self, n_features_in: int = 2 * WIDTH):
        super().__init__(
            nn.Linear(n_features_in, 5), nn.BatchNorm1d(5), nn.Tanh(), nn.Linear(5, 1)
        )


@pytest.mark.parametrize("kind", KINDS)
def test_batch_normalisation_of_pairs_sees_one_task_without_padding(kind):
    learner, episodes = make_learner(kind, build=Normed), episodes_of_classes(kind)
    assert learner.mixes_rows
    together = learner(episodes)
    for t in range(len(together)):
        alone = Episodes(*(one_task(rows, t) for rows in episodes))
        torch.testing.assert_close(learner(alone)[0], together[t])
    assert not learner.eval().mixes_rows


def test_blocks_of_rows_do_not_change_the_prediction(monkeypatch):
    learner, (support, query) = make_learner("own"), episodes_of_classes("own")
    state = learner.adapt(support)
    with torch.no_grad():
        expected = learner.predict(state, query.X)
        monkeypatch.setattr(relation_file, "PREDICTION_BYTES", 1)
        blocks = []
        inner = learner._member_logits
        monkeypatch.setattr(
            learner,
            "_member_logits",
            lambda state, X: blocks.append(X.shape[1]) or inner(state, X),
        )
        actual = learner.predict(state, query.X)
    assert blocks == [1] * query.X.shape[1]
    torch.testing.assert_close(actual, expected, rtol=1e-12, atol=1e-12)


def test_chunks_shrink_with_the_pairs():
    episodes = episodes_of_classes("own")
    learner = make_learner("own").eval()
    assert learner.auto_chunk_size(episodes) == 3
    learner._pair_activations = 2**22, 2**22
    assert learner.auto_chunk_size(episodes) == 1


@pytest.mark.parametrize("loss", LOSSES)
def test_own_class_without_support_has_probability_zero(loss):
    learner = make_learner("own", loss)
    support = rows_of_classes("own", [[2, 0, 3]], 5)
    probabilities = learner.predict(learner.adapt(support), support.X).softmax(-1)
    assert (probabilities[..., 1] == 0).all()
    torch.testing.assert_close(probabilities.sum(-1), torch.ones_like(support.mask))


@pytest.mark.parametrize("loss", LOSSES)
def test_scores_without_a_match_have_probabilities(loss):
    """Where every score has vanished in floating point, their ratios have not."""
    learner = make_learner("own", loss)
    with torch.no_grad():
        for g in learner.relations:
            g[2].bias.fill_(-2000.0)
    support, query = episodes_of_classes("own")
    logits = learner.predict(learner.adapt(support), query.X)
    probabilities = logits.softmax(-1)
    assert probabilities.isfinite().all()
    assert (probabilities[0].max(-1).values < 0.99).any()


def images() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 1, 28, 28)).astype(np.float32)
    return X, np.tile(np.arange(6), 10), np.arange(60) // 30


@pytest.mark.parametrize(
    ("params", "width"),
    [
        ({"module": ConvMaps, "relation_module": ConvRelation}, 100),
        ({"module": Conv4, "relation_module": ConvRelation}, 4),
        ({"module": Conv4}, 4),
    ],
    ids=["maps", "single numbers", "MLP"],
)
def test_images(params, width):
    X, y, task = images()
    relation = {"n_filters": 4} if "relation_module" in params else None
    est = RelationNetClassifier(
        n_way=6,
        n_shots=1,
        max_iter=2,
        module_params={"n_filters": 4},
        relation_params=relation,
        random_state=0,
        **params,
    ).fit(X, y, task=task)
    proba = est.adapt(X[:20], y[:20]).predict_proba(X)
    np.testing.assert_allclose(proba.sum(1), 1, rtol=1e-5)
    assert est.transform(X[:3]).shape == (3, width)


def test_relation_module_is_copied_and_trained(own_tasks):
    X, y, task = own_tasks
    module = nn.Sequential(nn.Linear(16, 1))
    before = module[0].weight.detach().clone()
    est = RelationNetClassifier(relation_module=module, n_way=3, n_shots=2, **SMALL)
    est.fit(X, y, task=task)
    torch.testing.assert_close(module[0].weight, before)
    assert (
        np.abs(est._fitted.weights["relations.0.0.weight"] - before.numpy()).max()
        > 1e-3
    )


def test_bad_arguments_are_named(own_tasks):
    encoder, spec = nn.Identity(), TaskSpec("own", (2,), 2, 0)
    with pytest.raises(ValueError, match="loss must be one of"):
        RelationLearner(spec, encoder, [nn.Linear(4, 1)], loss="hinge")
    with pytest.raises(ValueError, match="pool must be one of"):
        RelationLearner(spec, encoder, [nn.Linear(4, 1)], pool="max")
    with pytest.raises(ValueError, match="not n_filters=64 square maps"):
        ConvRelation(2 * 64 * 24)
    X, y, task = own_tasks
    wrong = {
        "relation_params needs a relation_module": {"relation_params": {"a": 1}},
        "must have a layer": {"relation_hidden_layer_sizes": ()},
        "must hold positive ints": {"relation_hidden_layer_sizes": (0,)},
        "returned 3 numbers": {
            "relation_module": nn.Linear,
            "relation_params": {"in_features": 16, "out_features": 3},
        },
        "relation_module cannot be used": {"relation_module": nn.Linear(5, 1)},
    }
    for message, params in wrong.items():
        est = RelationNetClassifier(n_way=3, n_shots=2, **SMALL, **params)
        with pytest.raises(ValueError, match=message):
            est.fit(X, y, task=task)
