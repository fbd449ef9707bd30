"""Ridge and logistic heads against scikit-learn's solvers and loops over tasks."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression, Ridge, RidgeClassifier
from torch import Tensor
from torch.nn import functional as F

from sklmeta import RidgeHeadClassifier
from sklmeta.closed_form.ridge_head import RidgeHeadLearner
from sklmeta.episodes.rows import Episodes, Rows
from sklmeta.learners.encoders import MLP
from sklmeta.learners.learner import TaskSpec

N_INPUTS, N_CLASSES = 3, 4
CASES = [
    ("regression", "ridge"),
    ("shared", "ridge"),
    ("own", "ridge"),
    ("shared", "logistic"),
    ("own", "logistic"),
]
# 7 rows against 6 features use feature space; against 12, row space.
HIDDEN = [(2,), (8,)]
SPACES = ["feature_space", "row_space"]
EVERY_CASE = pytest.mark.parametrize(("kind", "solver"), CASES)
EVERY_SPACE = pytest.mark.parametrize("hidden", HIDDEN, ids=SPACES)


def make_learner(
    kind: str, solver: str = "ridge", hidden: tuple[int, ...] = (8,)
) -> RidgeHeadLearner:
    """A smooth learner with every parameter away from its initial value."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        n_classes = N_CLASSES if kind == "shared" else 0
        spec = TaskSpec(kind, (N_INPUTS,), hidden[-1], n_classes)
        encoder = MLP(N_INPUTS, hidden, "tanh")
        learner = RidgeHeadLearner(spec, encoder, solver=solver).double()
        with torch.no_grad():
            for parameter in learner.parameters():
                parameter.add_(0.3 * torch.randn_like(parameter))
    return learner.eval()


def make_rows(kind: str, sizes: tuple[int, ...], n_rows: int, seed: int = 0) -> Rows:
    generator = torch.Generator().manual_seed(seed)
    shape = (len(sizes), n_rows)
    X = torch.randn(*shape, N_INPUTS, generator=generator, dtype=torch.float64)
    mask = (torch.arange(n_rows) < torch.tensor(sizes)[:, None]).double()
    X = X * mask[..., None]
    if kind == "regression":
        y = torch.randn(*shape, generator=generator, dtype=torch.float64)
        return Rows(X, y * mask, mask)
    ways = torch.tensor([2, 3, 3, 2]) if kind == "own" else None
    n = torch.full((4,), N_CLASSES) if ways is None else ways
    y = torch.arange(n_rows) % n[: len(sizes), None] * mask.long()
    return Rows(X, y, mask, int(n.max()), ways)


def make_episodes(kind: str) -> Episodes:
    """Ragged tasks; in shared classes some lack a class, one has a single row."""
    sizes = (3, 7, 1 if kind != "own" else 3, 5)
    query = make_rows(kind, (2, 1, 2, 2), 3, seed=1)
    return Episodes(make_rows(kind, sizes, 7), query)


def head_of(learner: RidgeHeadLearner, support: Rows, t: int) -> Tensor:
    """One task's head by explicit inverses, or by many plain Newton steps."""
    real = support.mask[t] > 0
    phi = learner.features(support.X[t : t + 1, real])[0]
    y = support.y[t, real]
    kind, penalty = learner.spec.kind, learner.penalty()
    eye = torch.eye(phi.shape[1], dtype=phi.dtype)
    if kind == "regression":
        targets = y[:, None]
    else:
        targets = 2.0 * F.one_hot(y, support.n_classes).double() - 1
    prior = torch.zeros(phi.shape[1], targets.shape[1], dtype=phi.dtype)
    if kind != "own":
        prior = learner.prior_head
    if learner.solver == "ridge":
        inverse = torch.linalg.inv(phi.T @ phi + penalty * eye)
        return prior + inverse @ phi.T @ (targets - phi @ prior)
    heads = []
    for c in range(targets.shape[1]):
        # Unrolled, as in LR-D2: the gradient goes through every step.
        w = prior[:, c]
        for _ in range(30):
            margins = targets[:, c] * (phi @ w)
            slope = phi.T @ (-targets[:, c] * torch.sigmoid(-margins))
            slope = slope + penalty * (w - prior[:, c])
            weights = torch.sigmoid(margins) * torch.sigmoid(-margins)
            hessian = phi.T @ (weights[:, None] * phi) + penalty * eye
            w = w - torch.linalg.inv(hessian) @ slope
        heads.append(w)
    return torch.stack(heads, dim=1)


def slow_loss(learner: RidgeHeadLearner, episodes: Episodes) -> Tensor:
    losses = []
    support, query = episodes
    for t in range(len(query.X)):
        real = query.mask[t] > 0
        phi = learner.features(query.X[t : t + 1, real])[0]
        output, y = phi @ head_of(learner, support, t), query.y[t, real]
        if learner.spec.kind == "regression":
            losses.append((output[:, 0] - y).square().mean())
            continue
        logits = learner.log_scale.exp() * output
        if learner.spec.kind == "own":
            logits = logits[:, : int(support.ways[t])]
        else:
            logits = logits + learner.class_bias
        losses.append(F.cross_entropy(logits, y))
    return torch.stack(losses)


@EVERY_CASE
@EVERY_SPACE
@pytest.mark.parametrize("training", [False, True])
def test_loss_and_meta_gradient_agree_with_plain_loops(kind, solver, hidden, training):
    learner, episodes = make_learner(kind, solver, hidden), make_episodes(kind)
    learner.train(training)
    expected, loss = slow_loss(learner, episodes), learner.meta_loss(episodes)
    np.testing.assert_allclose(loss.detach(), expected.detach(), rtol=1e-10)
    parameters = list(learner.parameters())
    weights = torch.tensor([1.0, 0.5, 2.0, 1.5], dtype=torch.float64)
    wanted = torch.autograd.grad((expected * weights).sum(), parameters)
    got = torch.autograd.grad((loss * weights).sum(), parameters)
    for a, b in zip(got, wanted, strict=True):
        assert (a - b).abs().max() <= 1e-10 * b.abs().max()


def without_prior(learner: RidgeHeadLearner) -> RidgeHeadLearner:
    with torch.no_grad():
        learner.prior_head.zero_()
    return learner


@EVERY_SPACE
def test_ridge_is_that_of_scikit_learn(hidden):
    learner = without_prior(make_learner("regression", hidden=hidden))
    rows = make_rows("regression", (7,), 7)
    phi = learner.features(rows.X)[0].detach().numpy()
    penalty = learner.penalty().item()
    ridge = Ridge(alpha=penalty, fit_intercept=False, solver="cholesky")
    ridge.fit(phi, rows.y[0].numpy())
    head = learner.adapt(rows)["head"][0, :, 0].detach()
    np.testing.assert_allclose(head, ridge.coef_, rtol=1e-10)

    learner = without_prior(make_learner("shared", hidden=hidden))
    rows = make_rows("shared", (7,), 7)
    ridge = RidgeClassifier(alpha=penalty, fit_intercept=False, solver="cholesky")
    phi = learner.features(rows.X)[0].detach().numpy()
    ridge.set_params(alpha=learner.penalty().item()).fit(phi, rows.y[0].numpy())
    head = learner.adapt(rows)["head"][0].detach()
    np.testing.assert_allclose(head.T, ridge.coef_, rtol=1e-10)


@EVERY_SPACE
@pytest.mark.parametrize("log_penalty", [-6.0, 0.0, 3.0])
def test_logistic_is_that_of_scikit_learn(hidden, log_penalty):
    learner = without_prior(make_learner("shared", "logistic", hidden))
    with torch.no_grad():
        learner.log_penalty.fill_(log_penalty)
    rows = make_rows("shared", (7,), 7)
    phi = learner.features(rows.X)[0].detach().numpy()
    head = learner.adapt(rows)["head"][0].detach()
    logistic = LogisticRegression(
        C=1 / learner.penalty().item(),
        fit_intercept=False,
        solver="newton-cholesky",
        tol=1e-12,
        max_iter=1000,
    )
    for c in range(N_CLASSES):
        logistic.fit(phi, rows.y[0].numpy() == c)
        np.testing.assert_allclose(head[:, c], logistic.coef_[0], rtol=1e-8)


def test_two_own_classes_have_the_probabilities_of_a_binary_logistic_regression():
    learner = make_learner("own", "logistic")
    with torch.no_grad():
        # The two margins are each other's negative: half their difference is one.
        learner.log_scale.fill_(np.log(0.5))
    rows = make_rows("own", (6, 6, 6, 6), 6)
    rows = rows._replace(y=rows.y % 2, n_classes=2, ways=torch.full((4,), 2))
    logits = learner.predict(learner.adapt(rows), rows.X).detach()
    for t in range(4):
        phi = learner.features(rows.X[t : t + 1])[0].detach().numpy()
        logistic = LogisticRegression(
            C=1 / learner.penalty().item(), fit_intercept=False, tol=1e-12
        )
        logistic.set_params(solver="newton-cholesky").fit(phi, rows.y[t].numpy())
        got = logits[t].softmax(-1)
        np.testing.assert_allclose(got, logistic.predict_proba(phi), atol=1e-8)


def test_a_high_constant_is_a_bias_without_penalty():
    learner = without_prior(make_learner("regression"))
    with torch.no_grad():
        learner.log_height.fill_(np.log(1e4))
    rows = make_rows("regression", (7,), 7)
    rows = rows._replace(y=rows.y + 5)
    phi = learner.features(rows.X)[0, :, :-1].detach().numpy()
    ridge = Ridge(alpha=learner.penalty().item()).fit(phi, rows.y[0].numpy())
    prediction = learner.predict(learner.adapt(rows), rows.X)[0, :, 0].detach()
    np.testing.assert_allclose(prediction, ridge.predict(phi), rtol=1e-6)


@EVERY_CASE
@pytest.mark.parametrize("n_rows", [9, 40])
def test_padding_is_inert_whatever_stands_in_it(kind, solver, n_rows):
    learner = make_learner(kind, solver)
    support, query = make_episodes(kind)
    sizes = tuple(support.mask.sum(1).int().tolist())
    padded = make_rows(kind, sizes, n_rows, seed=2)
    padded.X[:, :7], padded.y[:, :7] = support.X, support.y
    padded = padded._replace(
        X=torch.where(padded.mask[..., None] > 0, padded.X, 7.0),
        y=torch.where(padded.mask > 0, padded.y, 1),
    )
    expected = learner.predict(learner.adapt(support), query.X)
    got = learner.predict(learner.adapt(padded), query.X)
    np.testing.assert_allclose(got.detach(), expected.detach(), atol=1e-9)


@EVERY_CASE
def test_adapt_then_predict_is_what_meta_loss_judges(kind, solver):
    learner, episodes = make_learner(kind, solver), make_episodes(kind)
    together = learner.meta_loss(episodes).detach()
    parts = super(RidgeHeadLearner, learner).meta_loss(episodes).detach()
    np.testing.assert_allclose(together, parts, rtol=1e-12)


@EVERY_CASE
def test_query_rows_do_not_influence_each_other(kind, solver):
    learner, (support, query) = make_learner(kind, solver), make_episodes(kind)
    state = learner.adapt(support)
    together = learner.predict(state, query.X).detach()
    for j in range(query.X.shape[1]):
        alone = learner.predict(state, query.X[:, j : j + 1]).detach()
        np.testing.assert_allclose(alone, together[:, j : j + 1], rtol=1e-12)


@pytest.mark.parametrize(("kind", "solver"), [c for c in CASES if c[0] != "own"])
def test_empty_support_gives_the_prior(kind, solver):
    learner, (support, query) = make_learner(kind, solver), make_episodes(kind)
    empty = support._replace(mask=torch.zeros_like(support.mask))
    none = Rows(support.X[:, :0], support.y[:, :0], support.mask[:, :0], N_CLASSES)
    if kind == "regression":
        none = none._replace(n_classes=0)
    expected = learner.features(query.X) @ learner.prior_head
    if kind == "shared":
        expected = learner.log_scale.exp() * expected + learner.class_bias
    for state in (learner.prior_state(), learner.adapt(empty), learner.adapt(none)):
        output = learner.predict(state, query.X).detach()
        np.testing.assert_allclose(output, expected.detach(), rtol=1e-10)
    assert make_learner("own").prior_state() is None


@pytest.mark.parametrize("solver", ["ridge", "logistic"])
def test_own_classes_are_treated_alike(solver):
    """Other names for the classes change nothing; absent ones have probability 0."""
    learner, (support, query) = make_learner("own", solver), make_episodes("own")
    logits = learner.predict(learner.adapt(support), query.X)
    three = torch.tensor([1, 2])
    swapped = support._replace(y=support.ways[:, None] - 1 - support.y)
    other = learner.predict(learner.adapt(swapped), query.X)
    np.testing.assert_allclose(
        other[three].flip(-1).detach(), logits[three].detach(), rtol=1e-9
    )
    assert (logits[[0, 3], :, 2] == -torch.inf).all()
    assert logits[three].isfinite().all()


@pytest.mark.parametrize("solver", ["ridge", "logistic"])
def test_a_shared_class_absent_from_the_support_can_be_predicted(solver):
    learner, (support, query) = make_learner("shared", solver), make_episodes("shared")
    with torch.no_grad():
        learner.prior_head[-1, 3] = 30.0  # the bias of a class that task 0 lacks
    assert not (support.y[0] == 3).any()
    logits = learner.predict(learner.adapt(support), query.X)
    assert (logits[0].argmax(-1) == 3).all()


@EVERY_CASE
@EVERY_SPACE
@pytest.mark.parametrize("scale", [0.0, 1e7])
@pytest.mark.parametrize("training", [False, True])
def test_extreme_rows_give_finite_outputs(kind, solver, hidden, scale, training):
    dtype = torch.float32 if training else torch.float64
    learner = make_learner(kind, solver, hidden).to(dtype).train(training)
    learner.encoder = torch.nn.Sequential(
        torch.nn.Linear(N_INPUTS, hidden[0], dtype=dtype), torch.nn.ReLU()
    )
    with torch.no_grad():
        learner.log_penalty.fill_(-20.0)
    support, query = (rows.to("cpu", dtype) for rows in make_episodes(kind))
    same = support._replace(X=torch.full_like(support.X, scale))
    far = support._replace(X=support.X * scale)
    single = support._replace(y=torch.zeros_like(support.y))
    for rows in (same, far, single):
        output = learner.predict(learner.adapt(rows), query.X * scale)
        assert output.dtype == dtype
        assert not output.isnan().any()
        # A class that a task does not have, or not in this support, has -inf.
        assert kind == "own" or output.isfinite().all()
        if kind != "own" or rows is not single:
            loss = learner.meta_loss(Episodes(rows, query)).mean()
            gradients = torch.autograd.grad(loss, list(learner.parameters()))
            assert all(g.isfinite().all() for g in gradients)


def test_newton_steps_converge_from_far_away():
    """Plain Newton steps diverge here: the prior is wrong about every row, and sure."""
    learner = make_learner("shared", "logistic")
    support, _ = make_episodes("shared")
    with torch.no_grad():
        learner.prior_head.mul_(1000.0)
        learner.log_penalty.fill_(-7.0)
    head = learner.adapt(support)["head"]
    phi = learner.features(support.X)
    targets = 2.0 * F.one_hot(support.y, N_CLASSES).double() - 1
    targets = targets * support.mask[..., None]
    shift = (head - learner.prior_head).requires_grad_()
    margins = targets * (phi @ (learner.prior_head + shift))
    objective = (
        F.softplus(-margins).sum() + 0.5 * learner.penalty() * shift.square().sum()
    )
    (slope,) = torch.autograd.grad(objective, shift)
    assert slope.abs().max() < 1e-8


def test_raw_images_are_left_to_the_encoder():
    encoder = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(16, 4))
    spec = TaskSpec("regression", (1, 4, 4), 4, 0)
    learner = RidgeHeadLearner(spec, encoder)
    assert learner.features(torch.zeros(2, 3, 1, 4, 4)).shape == (2, 3, 5)
    learner = RidgeHeadLearner(spec._replace(n_features_out=0), None)
    assert learner.features(torch.zeros(2, 3, 1, 4, 4)).shape == (2, 3, 17)


def test_bad_arguments_are_named():
    spec = TaskSpec("regression", (2,), 2, 0)
    with pytest.raises(ValueError, match="solver must be one of"):
        RidgeHeadLearner(spec, torch.nn.Identity(), solver="svm")
    with pytest.raises(ValueError, match="solver='logistic' is for classes"):
        RidgeHeadLearner(spec, torch.nn.Identity(), solver="logistic")
    with pytest.raises(ValueError, match="'solver' parameter of RidgeHeadClassifier"):
        RidgeHeadClassifier(solver="svm").fit([[0.0]], [0])
