"""Deep kernel learners against inverses in a loop, and against scikit-learn's GP."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process import kernels as skl
from slow_references import (
    KINDS,
    N_CLASSES,
    N_FEATURES,
    away_from_start,
    check_against_loops,
    ragged_episodes,
)
from torch import Tensor
from torch.nn import functional as F

from sklmeta import DeepKernelClassifier, DeepKernelRegressor
from sklmeta.closed_form._kernels import KERNELS, make_kernel
from sklmeta.closed_form.gaussian_process import (
    MEANS,
    OBJECTIVES,
    DeepKernelLearner,
)
from sklmeta.datasets import make_linear_tasks
from sklmeta.episodes.rows import Episodes, Rows
from sklmeta.learners.encoders import MLP
from sklmeta.learners.learner import TaskSpec
from sklmeta.learners.losses import gaussian_nll
from sklmeta.testing import random_rows

WIDTH = 4
ALL_KERNELS = "+".join(KERNELS)


def make_learner(
    kind: str = "regression", kernel: str = ALL_KERNELS, **params
) -> DeepKernelLearner:
    n_classes = N_CLASSES if kind == "shared" else 0
    spec = TaskSpec(kind, (N_FEATURES,), WIDTH, n_classes)
    return away_from_start(
        lambda: DeepKernelLearner(
            spec, MLP(N_FEATURES, (5, WIDTH), "tanh"), kernel=kernel, **params
        )
    )


def slow_gram(kernel, left: Tensor, right: Tensor) -> Tensor:
    """The kernel of all pairs of rows, from its formula for a pair."""
    name = type(kernel).__name__.lower()
    if name == "sum":
        return sum(slow_gram(part, left, right) for part in kernel.kernels)
    s = kernel.log_variance.exp() * math.exp(kernel.start)
    a, b = left[:, None], right[None]
    if name == "linear":
        return (a * s * b).sum(-1) / a.shape[-1]
    if name == "cosine":
        return s * F.cosine_similarity(a, b, dim=-1)
    if name == "constant":
        return s * torch.ones(len(left), len(right)).double()
    scale = math.sqrt(a.shape[-1]) * kernel.log_lengthscale.exp()
    if name == "rbf":
        return s * torch.exp(-0.5 * ((a - b) / scale).square().sum(-1))
    a, b = a[..., None, :], b[..., None, :]
    envelope = torch.exp(-0.5 * ((a - b) / scale).square().sum(-1))
    wave = torch.cos((kernel.frequencies * (a - b)).sum(-1))
    return (s * envelope * wave).sum(-1)


def slow_targets(rows: Rows) -> Tensor:
    """Targets of one task, a column per output."""
    if not rows.n_classes:
        return rows.y[0, :, None]
    n_classes = N_CLASSES if rows.ways is None else int(rows.ways)
    return torch.where(rows.y[0, :, None] == torch.arange(n_classes), 1.0, -1.0)


def slow_mean(learner, phi: Tensor, n_outputs: int) -> Tensor:
    mean = learner.prior_mean.expand(len(phi), n_outputs)
    if learner.spec.kind != "regression":
        mean = mean + 2 / n_outputs - 1
    if learner.mean_weights is not None:
        mean = mean + phi @ learner.mean_weights
    return mean


def slow_loss(learner: DeepKernelLearner, support: Rows, query: Rows) -> Tensor:
    noise = learner.log_noise.exp() + learner.min_noise**2
    S, Q = (learner.encoder(rows.X[0]).double() for rows in (support, query))
    y, yq = map(slow_targets, (support, query))
    n_outputs = y.shape[1]
    K = slow_gram(learner.kernel, S, S) + noise * torch.eye(len(S)).double()
    cross = slow_gram(learner.kernel, Q, S)
    prior = slow_gram(learner.kernel, Q, Q).diagonal() + noise
    gain = cross @ torch.linalg.inv(K)
    mean = slow_mean(learner, Q, n_outputs) + gain @ (
        y - slow_mean(learner, S, n_outputs)
    )
    variance = prior - (gain * cross).sum(1)
    if learner.objective == "predictive" and learner.spec.kind == "regression":
        return gaussian_nll(mean[:, 0], variance.log(), yq[:, 0]).mean()
    evidence = 0.0
    if learner.objective == "marginal":
        Z, z = torch.cat([S, Q]), torch.cat([y, yq])
        C = slow_gram(learner.kernel, Z, Z) + noise * torch.eye(len(Z)).double()
        prior_mean = slow_mean(learner, Z, n_outputs)
        of_outputs = [
            torch.distributions.MultivariateNormal(m, C).log_prob(t)
            for m, t in zip(prior_mean.T, z.T, strict=True)
        ]
        evidence = torch.stack(of_outputs).mean() / len(Z)
        mean, variance = mean.detach(), variance.detach()
    loss = -evidence
    if learner.spec.kind != "regression":
        logits = learner.log_temperature.exp() * 2 * mean / variance[:, None]
        loss = loss + F.cross_entropy(logits, query.y[0])
    return loss


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("mean", MEANS)
def test_loss_and_meta_gradient_agree_with_inverses(kind, objective, mean):
    learner = make_learner(kind, objective=objective, mean=mean)
    check_against_loops(learner, ragged_episodes(kind), slow_loss, rounding=1e-10)


@pytest.mark.parametrize("name", KERNELS)
def test_kernels_agree_with_their_formulas(name):
    kernel = make_kernel(name, WIDTH).double()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in kernel.parameters():
            parameter += torch.randn(parameter.shape, generator=generator).double()
    left, right = (
        torch.randn(2, n, WIDTH, generator=generator).double() for n in (5, 3)
    )
    parameters = list(kernel.parameters())
    got = kernel(left, right)
    pairs = zip(left, right, strict=True)
    expected = torch.stack([slow_gram(kernel, *pair) for pair in pairs])
    torch.testing.assert_close(got, expected, rtol=1e-10, atol=1e-12)
    weights = torch.randn(got.shape, generator=generator).double()
    for a, b in zip(
        torch.autograd.grad((got * weights).sum(), parameters),
        torch.autograd.grad((expected * weights).sum(), parameters),
        strict=True,
    ):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-12)
    diagonal = kernel(left, left).diagonal(dim1=1, dim2=2)
    torch.testing.assert_close(kernel.diagonal(left), diagonal)
    assert torch.linalg.eigvalsh(kernel(left, left)).min() > -1e-12


def of_scikit_learn(learner: DeepKernelLearner):
    """scikit-learn's kernel with the parameters of a learner's, and those' names."""
    (kernel,) = learner.kernel.kernels
    name = type(kernel).__name__
    variance = kernel.variance().detach().numpy()
    white = skl.WhiteKernel(learner.noise_variance().item())
    if name == "RBF":
        lengthscale = kernel.lengthscale().detach().numpy()
        product = skl.ConstantKernel(variance.item()) * skl.RBF(lengthscale)
        return product + white, [kernel.log_variance, kernel.log_lengthscale]
    with torch.no_grad():  # scikit-learn's has one variance for all features
        kernel.log_variance.fill_(0.4)
    scale = kernel.variance()[0].item() / WIDTH
    linear = skl.DotProduct(sigma_0=0, sigma_0_bounds="fixed")
    return skl.ConstantKernel(scale) * linear + white, [kernel.log_variance]


@pytest.mark.parametrize("name", ["rbf", "linear"])
def test_as_scikit_learns_gaussian_process(name):
    learner = make_learner(kernel=name)
    kernel, parameters = of_scikit_learn(learner)
    rows, query = (random_rows("regression", (n,), random_state=n) for n in (12, 6))
    features = learner.features(rows.X).detach()
    gp = GaussianProcessRegressor(kernel, alpha=0, optimizer=None)
    residual = rows.y[0].numpy() - learner.prior_mean.item()
    gp.fit(features[0].numpy(), residual)
    mean, std = gp.predict(learner.features(query.X)[0].detach(), return_std=True)
    output = learner.predict(learner.adapt(rows), query.X)[0].detach()
    got = output[:, 0] - learner.prior_mean.detach()
    np.testing.assert_allclose(got, mean, rtol=1e-10)
    np.testing.assert_allclose((output[:, 1] / 2).exp(), std, rtol=1e-10)

    value, gradient = gp.log_marginal_likelihood(gp.kernel_.theta, eval_gradient=True)
    evidence = learner.log_marginal_likelihood(features, rows)
    assert evidence.item() == pytest.approx(value, rel=1e-10)
    inputs = [*parameters, learner.log_noise]
    *of_kernel, of_noise = torch.autograd.grad(evidence.sum(), inputs)
    # Theirs is the logarithm of all the noise, ours of what is above the floor.
    of_noise = of_noise * learner.noise_variance() / learner.log_noise.exp()
    if name == "linear":
        of_kernel = [of_kernel[0].sum()]
    got = torch.cat([g.reshape(-1) for g in [*of_kernel, of_noise]]).detach()
    np.testing.assert_allclose(got, gradient, rtol=1e-9)


def test_variance_never_grows_with_another_row():
    learner = make_learner()
    support, query = random_rows("regression", (8,)), random_rows("regression", (5,))
    previous = torch.full((5,), torch.inf, dtype=torch.float64)
    for k in range(9):
        rows = Rows(*(value[:, :k] for value in support[:3]))
        log_variance = learner.predict(learner.adapt(rows), query.X)[0, :, 1].detach()
        assert (log_variance <= previous + 1e-12).all()
        previous = log_variance


def test_of_marginal_likelihood_only_the_temperature_sees_the_query_alone():
    """Where the labels' likelihood is judged, cross-entropy calibrates, no more."""
    learner, (support, query) = make_learner("shared"), ragged_episodes("shared")
    other = query._replace(y=(query.y + 1) % 3 * query.mask.long())
    swapped = learner.meta_loss(Episodes(support, other)).sum()
    loss = learner.meta_loss(Episodes(support, query)).sum()
    assert swapped != loss
    features = learner.features(support.X)
    evidence = learner.log_marginal_likelihood(features, support).sum()
    used = torch.autograd.grad(evidence, list(learner.parameters()), allow_unused=True)
    unused = {
        name
        for (name, _), g in zip(learner.named_parameters(), used, strict=True)
        if g is None
    }
    assert unused == {"log_temperature"}


def test_a_thousand_rows():
    learner = make_learner("regression", kernel="rbf+constant")
    generator = torch.Generator().manual_seed(0)
    X = torch.randn(1, 1000, N_FEATURES, generator=generator)
    y = X[..., 0].sin()
    learner.float()
    state = learner.adapt(Rows(X, y, torch.ones(1, 1000)))
    output = learner.predict(state, X)
    assert output.dtype == torch.float32
    assert (output[0, :, 0] - y[0]).abs().mean() < 0.2


@pytest.mark.parametrize("estimator", [DeepKernelRegressor, DeepKernelClassifier])
@pytest.mark.parametrize("kernel", ["rbf+quadratic", "", "rbf++linear"])
def test_an_unknown_kernel_is_named(estimator, kernel):
    X, y, task = np.ones((8, 2)), np.arange(8) % 2, np.arange(8) // 4
    with pytest.raises(ValueError, match="kernel must be one of 'rbf'"):
        estimator(kernel=kernel, max_iter=1).fit(X, y, task=task)


def test_intervals_cover_and_the_noise_is_found():
    X, y, task = make_linear_tasks(300, n_rows=20, noise=0.5, random_state=0)
    old, support = task < 200, np.arange(len(y)) % 20 < 8
    est = DeepKernelRegressor(hidden_layer_sizes=(), kernel="linear+constant")
    # From its start of about 1 the noise has to travel far.
    est.set_params(max_iter=300, lr=0.05, random_state=0)
    est.fit(X[old], y[old], task=task[old])
    rows, query = ~old & support, ~old & ~support
    est.adapt(X[rows], y[rows], task=task[rows])
    mean, std = est.predict(X[query], task=task[query], return_std=True)
    covered = np.mean(np.abs(mean - y[query]) < 1.645 * std)
    assert covered == pytest.approx(0.9, abs=0.03)
    # The law that drew the tasks has noise of .5; five weights are uncertain as well.
    assert 0.5 < std.mean() < 1.0


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_a_class_that_the_support_lacks_is_predicted(objective):
    """Tasks shift all classes together: two of them tell where the third must be."""
    rng = np.random.default_rng(0)
    task, y = np.repeat(np.arange(60), 24), np.tile(["a", "b", "c"], 60 * 8)
    shift = rng.normal(size=(60, 2))[task]
    centre = np.array([[-3.0, 0.0], [3.0, 0.0], [0.0, 4.0]])[
        np.unique(y, return_inverse=True)[1]
    ]
    X = centre + shift + 0.5 * rng.normal(size=(len(y), 2))
    old = task < 50
    est = DeepKernelClassifier(objective=objective, max_iter=100, random_state=0)
    est.fit(X[old], y[old], task=task[old])
    support = ~old & (y != "c") & (np.arange(len(y)) % 24 < 12)
    est.adapt(X[support], y[support], task=task[support])
    third = ~old & (y == "c")
    assert np.mean(est.predict(X[third], task=task[third]) == "c") > 0.8
