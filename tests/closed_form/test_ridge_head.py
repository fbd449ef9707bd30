"""Ridge and logistic heads against scikit-learn's solvers and loops over tasks."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression, Ridge, RidgeClassifier
from slow_references import (
    N_CLASSES,
    N_FEATURES,
    away_from_start,
    check_against_loops,
    ragged_episodes,
)
from torch import Tensor
from torch.nn import functional as F

from sklmeta import RidgeHeadClassifier, RidgeHeadRegressor
from sklmeta.closed_form.ridge_head_learner import RidgeHeadLearner
from sklmeta.datasets import make_sinusoids
from sklmeta.episodes.rows import Episodes, Rows
from sklmeta.learners.encoders import MLP
from sklmeta.learners.learner import TaskSpec
from sklmeta.testing import random_rows

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
    n_classes = N_CLASSES if kind == "shared" else 0
    spec = TaskSpec(kind, (N_FEATURES,), hidden[-1], n_classes)
    return away_from_start(
        lambda: RidgeHeadLearner(spec, MLP(N_FEATURES, hidden, "tanh"), solver=solver)
    ).eval()


def head_of(learner: RidgeHeadLearner, support: Rows) -> Tensor:
    """One task's head by explicit inverses, or by many plain Newton steps."""
    phi, y = learner.features(support.X)[0], support.y[0]
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


def slow_loss(learner: RidgeHeadLearner, support: Rows, query: Rows) -> Tensor:
    output = learner.features(query.X)[0] @ head_of(learner, support)
    if learner.spec.kind == "regression":
        return (output[:, 0] - query.y[0]).square().mean()
    logits = learner.log_scale.exp() * output
    if learner.spec.kind == "own":
        logits = logits[:, : int(support.ways)]
    else:
        logits = logits + learner.class_bias
    return F.cross_entropy(logits, query.y[0])


@EVERY_CASE
@EVERY_SPACE
@pytest.mark.parametrize("training", [False, True])
def test_loss_and_meta_gradient_agree_with_plain_loops(kind, solver, hidden, training):
    learner = make_learner(kind, solver, hidden).train(training)
    check_against_loops(learner, ragged_episodes(kind), slow_loss)


def without_prior(learner: RidgeHeadLearner) -> RidgeHeadLearner:
    with torch.no_grad():
        learner.prior_head.zero_()
    return learner


@EVERY_SPACE
def test_ridge_is_that_of_scikit_learn(hidden):
    learner = without_prior(make_learner("regression", hidden=hidden))
    rows = random_rows("regression", (7,))
    phi = learner.features(rows.X)[0].detach().numpy()
    penalty = learner.penalty().item()
    ridge = Ridge(alpha=penalty, fit_intercept=False, solver="cholesky")
    ridge.fit(phi, rows.y[0].numpy())
    head = learner.adapt(rows)["head"][0, :, 0].detach()
    np.testing.assert_allclose(head, ridge.coef_, rtol=1e-10)

    learner = without_prior(make_learner("shared", hidden=hidden))
    rows = random_rows("shared", (7,), n_classes=N_CLASSES)
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
    rows = random_rows("shared", (7,), n_classes=N_CLASSES)
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
    rows = random_rows("own", (6, 6, 6, 6), n_classes=2)
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
    rows = random_rows("regression", (7,))
    rows = rows._replace(y=rows.y + 5)
    phi = learner.features(rows.X)[0, :, :-1].detach().numpy()
    ridge = Ridge(alpha=learner.penalty().item()).fit(phi, rows.y[0].numpy())
    prediction = learner.predict(learner.adapt(rows), rows.X)[0, :, 0].detach()
    np.testing.assert_allclose(prediction, ridge.predict(phi), rtol=1e-6)


@EVERY_CASE
def test_adapt_then_predict_is_what_meta_loss_judges(kind, solver):
    learner, episodes = make_learner(kind, solver), ragged_episodes(kind)
    together = learner.meta_loss(episodes).detach()
    parts = super(RidgeHeadLearner, learner).meta_loss(episodes).detach()
    np.testing.assert_allclose(together, parts, rtol=1e-12)


@pytest.mark.parametrize("solver", ["ridge", "logistic"])
def test_a_shared_class_absent_from_the_support_can_be_predicted(solver):
    learner = make_learner("shared", solver)
    support, query = ragged_episodes("shared")
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
        torch.nn.Linear(N_FEATURES, hidden[0], dtype=dtype), torch.nn.ReLU()
    )
    with torch.no_grad():
        learner.log_penalty.fill_(-20.0)
    support, query = (rows.to("cpu", dtype) for rows in ragged_episodes(kind))
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
    support, _ = ragged_episodes("shared")
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


def test_what_a_mixed_model_cannot_see_is_learned_from_there():
    # Lines through waves are as good as nothing, so that the penalty begins far too
    # high; the scale of the encoder's features has to come down to it in time.
    X, y, task = make_sinusoids(340, n_rows=20, random_state=0)
    new, few = task >= 300, np.tile(np.arange(20) < 10, 40)
    est = RidgeHeadRegressor(
        max_iter=1000, n_shots=10, early_stopping=False, random_state=0
    )
    est.fit(X[~new], y[~new], task=task[~new])
    X, y, task = X[new], y[new], task[new]
    found = est.adapt(X[few], y[few], task=task[few]).predict(X[~few], task=task[~few])
    assert np.mean((found - y[~few]) ** 2) < 0.1 * y.var()


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
