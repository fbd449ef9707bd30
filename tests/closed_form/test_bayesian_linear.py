"""The Bayesian linear learner against explicit inverses in a loop over tasks."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import numpy as np
import pytest
import torch
from slow_references import (
    N_FEATURES,
    away_from_start,
    check_against_loops,
    ragged_episodes,
)
from torch import Tensor

from sklmeta.closed_form._cholesky import stable_cholesky
from sklmeta.closed_form.bayesian_linear_learner import BayesianLinearLearner
from sklmeta.episodes.rows import Episodes, Rows
from sklmeta.learners.encoders import MLP
from sklmeta.learners.learner import TaskSpec
from sklmeta.learners.losses import gaussian_nll
from sklmeta.testing import random_rows


def make_learner(hidden: tuple[int, ...], rank: int = 2) -> BayesianLinearLearner:
    spec = TaskSpec("regression", (N_FEATURES,), hidden[-1] if hidden else 0, 0)

    def build():
        encoder = MLP(N_FEATURES, hidden, "tanh") if hidden else None
        return BayesianLinearLearner(spec, encoder, rank=rank)

    return away_from_start(build)


def slow_posterior(
    learner: BayesianLinearLearner, X: Tensor, y: Tensor
) -> tuple[Tensor, Tensor]:
    """Mean and covariance of one task's head, by inverses of precision matrices."""
    phi = learner.features(X[None])[0]
    low_rank = learner.low_rank
    covariance = learner.log_diagonal.exp().diag() + low_rank @ low_rank.T
    prior_precision = torch.linalg.inv(covariance)
    noise = learner.noise_variance()
    posterior = torch.linalg.inv(prior_precision + phi.T @ phi / noise)
    moment = prior_precision @ learner.prior_mean + phi.T @ y / noise
    return posterior @ moment, posterior


def slow_loss(learner: BayesianLinearLearner, support: Rows, query: Rows) -> Tensor:
    mean, covariance = slow_posterior(learner, support.X[0], support.y[0])
    phi = learner.features(query.X)[0]
    variance = (phi @ covariance * phi).sum(1) + learner.noise_variance()
    return gaussian_nll(phi @ mean, variance.log(), query.y[0]).mean()


# 6 rows against 4 features use feature space; against 12, row space.
@pytest.mark.parametrize("hidden", [(), (8,)], ids=["feature_space", "row_space"])
def test_loss_and_meta_gradient_agree_with_explicit_inverses(hidden):
    check_against_loops(make_learner(hidden), ragged_episodes("regression"), slow_loss)


@pytest.mark.parametrize("hidden", [(), (8,)], ids=["feature_space", "row_space"])
def test_adapt_then_predict_is_what_meta_loss_judges(hidden):
    learner, episodes = make_learner(hidden), ragged_episodes("regression")
    output = learner.predict(learner.adapt(episodes.support), episodes.query.X)
    nll = gaussian_nll(output[..., 0], output[..., 1], episodes.query.y)
    mask = episodes.query.mask
    expected = (nll * mask).sum(1) / mask.sum(1)
    loss = learner.meta_loss(episodes)
    np.testing.assert_allclose(loss.detach(), expected.detach(), rtol=1e-12)


def test_variance_never_grows_with_another_row():
    learner = make_learner((8,))
    support, query = random_rows("regression", (8,)), random_rows("regression", (5,))
    previous = torch.full((5,), torch.inf, dtype=torch.float64)
    for k in range(9):
        rows = Rows(*(value[:, :k] for value in support[:3]))
        log_variance = learner.predict(learner.adapt(rows), query.X)[0, :, 1].detach()
        assert (log_variance <= previous + 1e-12).all()
        previous = log_variance


def test_raw_images_are_left_to_the_encoder():
    encoder = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(16, 4))
    spec = TaskSpec("regression", (1, 4, 4), 4, 0)
    learner = BayesianLinearLearner(spec, encoder)
    assert learner.features(torch.zeros(2, 3, 1, 4, 4)).shape == (2, 3, 5)
    learner = BayesianLinearLearner(spec._replace(n_features_out=0), None)
    assert learner.features(torch.zeros(2, 3, 1, 4, 4)).shape == (2, 3, 17)


def test_stable_cholesky_mends_only_the_matrices_that_need_it():
    good = torch.tensor([[4.0, 1.0], [1.0, 3.0]])
    singular = torch.tensor([[1.0, 1.0], [1.0, 1.0 - 1e-6]])
    factor = stable_cholesky(torch.stack([good, singular]))
    torch.testing.assert_close(factor[0], torch.linalg.cholesky(good), rtol=0, atol=0)
    torch.testing.assert_close(factor[1] @ factor[1].T, singular, rtol=0, atol=1e-5)


def test_a_linear_mixed_model_is_learned():
    """Without an encoder, training finds the law that drew the tasks' weights."""
    generator = torch.Generator().manual_seed(0)
    centre = torch.tensor([1.0, -2.0, 0.0])
    weights = centre + 0.2 * torch.randn(100, 3, generator=generator)
    X = torch.randn(100, 12, 3, generator=generator)
    noise = 0.1 * torch.randn(100, 12, generator=generator)
    y = (X @ weights[..., None])[..., 0] + noise
    mask = torch.ones(100, 12)
    rows = Rows(X, y, mask)
    # Two rows do not determine three weights: the prior must.
    support, query = (
        Rows(*(value[:, part] for value in rows[:3]))
        for part in (slice(2), slice(2, None))
    )
    torch.manual_seed(0)
    learner = BayesianLinearLearner(TaskSpec("regression", (3,), 0, 0), None, rank=1)
    optimizer = torch.optim.LBFGS(
        learner.parameters(), max_iter=50, line_search_fn="strong_wolfe"
    )

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = learner.meta_loss(Episodes(support, query)).mean()
        loss.backward()
        return loss

    optimizer.step(closure)
    prior_mean = learner.prior_mean.detach()
    torch.testing.assert_close(prior_mean[:3], centre, atol=0.1, rtol=0)
    noise_std = learner.noise_variance().detach().sqrt().item()
    assert noise_std == pytest.approx(0.1, rel=0.1)
