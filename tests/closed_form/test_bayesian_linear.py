"""The Bayesian linear learner against explicit inverses in a loop over tasks."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from sklmeta.closed_form.bayesian_linear import BayesianLinearLearner, stable_cholesky
from sklmeta.episodes.rows import Episodes, Rows
from sklmeta.learners.encoders import MLP
from sklmeta.learners.learner import TaskSpec
from sklmeta.learners.losses import gaussian_nll

N_INPUTS = 3


def make_learner(hidden: tuple[int, ...], rank: int = 2) -> BayesianLinearLearner:
    torch.manual_seed(0)
    encoder = MLP(N_INPUTS, hidden, "tanh") if hidden else None
    width = hidden[-1] if hidden else 0
    spec = TaskSpec("regression", (N_INPUTS,), width, 0)
    learner = BayesianLinearLearner(spec, encoder, rank=rank).double()
    with torch.no_grad():
        learner.prior_mean.normal_()
        learner.low_rank.normal_()
    return learner


def make_rows(sizes: tuple[int, ...], n_rows: int, seed: int = 0) -> Rows:
    generator = torch.Generator().manual_seed(seed)
    shape = (len(sizes), n_rows)
    X = torch.randn(*shape, N_INPUTS, generator=generator, dtype=torch.float64)
    y = torch.randn(*shape, generator=generator, dtype=torch.float64)
    mask = (torch.arange(n_rows) < torch.tensor(sizes)[:, None]).double()
    return Rows(X * mask[..., None], y * mask, mask)


def make_episodes(n_rows: int = 6) -> Episodes:
    return Episodes(make_rows((2, 6, 0, 4), n_rows), make_rows((5, 1, 3, 5), 5, seed=1))


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


def slow_loss(learner: BayesianLinearLearner, episodes: Episodes) -> Tensor:
    losses = []
    for i in range(len(episodes.query.X)):
        s, q = (rows.mask[i] > 0 for rows in episodes)
        X, y = episodes.support.X[i, s], episodes.support.y[i, s]
        mean, covariance = slow_posterior(learner, X, y)
        phi = learner.features(episodes.query.X[i, q][None])[0]
        variance = (phi @ covariance * phi).sum(1) + learner.noise_variance()
        nll = gaussian_nll(phi @ mean, variance.log(), episodes.query.y[i, q])
        losses.append(nll.mean())
    return torch.stack(losses)


# 6 rows against 4 features use feature space; against 12, row space.
@pytest.mark.parametrize("hidden", [(), (8,)], ids=["feature_space", "row_space"])
def test_loss_and_meta_gradient_agree_with_explicit_inverses(hidden):
    learner, episodes = make_learner(hidden), make_episodes()
    expected = slow_loss(learner, episodes)
    loss = learner.meta_loss(episodes)
    np.testing.assert_allclose(loss.detach(), expected.detach(), rtol=1e-10)
    parameters = list(learner.parameters())
    wanted = torch.autograd.grad(expected.mean(), parameters)
    got = torch.autograd.grad(loss.mean(), parameters)
    for a, b in zip(got, wanted, strict=True):
        assert (a - b).abs().max() <= 1e-10 * b.abs().max()


@pytest.mark.parametrize("hidden", [(), (8,)], ids=["feature_space", "row_space"])
def test_adapt_then_predict_is_what_meta_loss_judges(hidden):
    learner, episodes = make_learner(hidden), make_episodes()
    output = learner.predict(learner.adapt(episodes.support), episodes.query.X)
    nll = gaussian_nll(output[..., 0], output[..., 1], episodes.query.y)
    mask = episodes.query.mask
    expected = (nll * mask).sum(1) / mask.sum(1)
    loss = learner.meta_loss(episodes)
    np.testing.assert_allclose(loss.detach(), expected.detach(), rtol=1e-12)


@pytest.mark.parametrize("hidden", [(), (8,)], ids=["no_encoder", "encoder"])
@pytest.mark.parametrize("n_rows", [9, 40])
def test_padding_is_inert_whatever_stands_in_it(hidden, n_rows):
    learner = make_learner(hidden)
    support, query = make_episodes()
    padded = make_rows((2, 6, 0, 4), n_rows, seed=2)
    padded.X[:, :6], padded.y[:, :6] = support.X, support.y
    padded = padded._replace(
        X=torch.where(padded.mask[..., None] > 0, padded.X, 7.0),
        y=torch.where(padded.mask > 0, padded.y, -3.0),
    )
    expected = learner.predict(learner.adapt(support), query.X)
    got = learner.predict(learner.adapt(padded), query.X)
    np.testing.assert_allclose(got.detach(), expected.detach(), atol=1e-10)


def test_query_rows_do_not_influence_each_other():
    learner, (support, query) = make_learner((8,)), make_episodes()
    state = learner.adapt(support)
    together = learner.predict(state, query.X).detach()
    for j in range(query.X.shape[1]):
        alone = learner.predict(state, query.X[:, j : j + 1]).detach()
        np.testing.assert_allclose(alone, together[:, j : j + 1], rtol=1e-12)


def test_empty_support_gives_the_prior():
    learner, (support, query) = make_learner((8,)), make_episodes()
    of_prior = learner.predict(learner.prior_state(), query.X[2:3])
    of_empty = learner.predict(learner.adapt(support), query.X)[2:3]
    no_rows = Rows(support.X[2:3, :0], support.y[2:3, :0], support.mask[2:3, :0])
    of_none = learner.predict(learner.adapt(no_rows), query.X[2:3])
    phi = learner.features(query.X[2:3])
    for output in (of_prior, of_empty, of_none):
        expected = phi[0] @ learner.prior_mean
        np.testing.assert_allclose(output[0, :, 0].detach(), expected.detach())
        np.testing.assert_allclose(output.detach(), of_prior.detach(), rtol=1e-10)


def test_variance_never_grows_with_another_row():
    learner = make_learner((8,))
    support, query = make_rows((8,), 8), make_rows((5,), 5, seed=1)
    previous = torch.full((5,), torch.inf, dtype=torch.float64)
    for k in range(9):
        rows = Rows(*(value[:, :k] for value in support[:3]))
        log_variance = learner.predict(learner.adapt(rows), query.X)[0, :, 1].detach()
        assert (log_variance <= previous + 1e-12).all()
        previous = log_variance


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("scale", [0.0, 1.0, 1e4])
def test_outputs_are_finite_and_keep_the_dtype(dtype, scale):
    learner = make_learner((8,)).to(dtype)
    support, query = (rows.to("cpu", dtype) for rows in make_episodes())
    # Rows that are all the same, and far away, make a singular Gram matrix.
    same = support._replace(X=torch.full_like(support.X, scale))
    output = learner.predict(learner.adapt(same), query.X * scale)
    assert output.dtype == dtype
    assert torch.isfinite(output).all()
    loss = learner.meta_loss(Episodes(same, query)).mean()
    loss.backward()
    assert all(torch.isfinite(p.grad).all() for p in learner.parameters())


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
