"""Likelihoods of counts, amounts and outliers, beside SciPy's and by differences."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from scipy import stats
from torch import nn

from sklmeta.episodes.rows import Episodes, Rows
from sklmeta.gradient_based.anil import ANILLearner
from sklmeta.gradient_based.maml import MAMLLearner
from sklmeta.learners.likelihoods import LIKELIHOODS, likelihood_of
from sklmeta.learners.task_spec import TaskSpec
from sklmeta.model_based.neural_process import NeuralProcessLearner
from sklmeta.model_based.transformer import TransformerNeuralProcessLearner

UNIT = 3.5
OTHERS = LIKELIHOODS[1:]


def spec_of(name):
    return TaskSpec("regression", (2,), 4, 0, 1, name)


def draw(name, shape, rng):
    if name == "student_t":
        return torch.from_numpy(rng.normal(size=shape))
    y = rng.gamma(2, 2, shape)
    return torch.from_numpy((y if name == "gamma" else np.floor(y)) / UNIT)


def with_unit(module):
    if module.likelihood.has_log_link:
        module.likelihood.set_unit(torch.tensor(UNIT))
    return module.double()


def log_density(name, likelihood, center, spread, y):
    """SciPy's, of y in the user's units; parameters of all rows are arrays."""
    if name == "student_t":
        df = float(likelihood.degrees().detach())
        scale = np.exp(0.5 * spread) * np.sqrt((df - 2) / df)
        return stats.t.logpdf(y, df, center, scale)
    mean, y = UNIT * np.exp(center), UNIT * y
    if name == "poisson":
        return stats.poisson.logpmf(np.round(y), mean)
    size = np.exp(-spread)
    if name == "gamma":
        return stats.gamma.logpdf(y, size, scale=mean / size)
    return stats.nbinom.logpmf(np.round(y), size, size / (size + mean))


@pytest.mark.parametrize("name", OTHERS)
def test_the_loss_is_the_density_but_for_what_no_parameter_changes(name):
    rng = np.random.default_rng(0)
    likelihood = likelihood_of(spec_of(name), predicts_spread=True).double()
    if likelihood.has_log_link:
        likelihood.set_unit(torch.tensor(UNIT, dtype=torch.float64))
    y = draw(name, (3, 5), rng)
    mask = torch.ones(3, 5, dtype=torch.float64)
    mask[1, 3:] = 0
    y = y * mask  # padding is zero
    rows = Rows(y.clone(), y, mask, 0)
    losses, expected = [], []
    for seed in (1, 2):
        output = 0.7 * np.random.default_rng(seed).normal(size=(3, 5, 2))
        losses.append(likelihood.loss(torch.from_numpy(output), rows).detach().numpy())
        density = log_density(name, likelihood, *output.transpose(2, 0, 1), y.numpy())
        density[1, 3:] = 0
        weight = (mask / mask.sum(1, keepdim=True)).numpy()
        expected.append(-(density * weight).sum(axis=1))
    unit = UNIT if name == "poisson" else 1
    assert_allclose(unit * (losses[0] - losses[1]), expected[0] - expected[1])


@pytest.mark.parametrize("name", OTHERS)
def test_the_deviance_has_the_same_minimum_which_is_zero(name):
    rng = np.random.default_rng(0)
    likelihood = likelihood_of(spec_of(name), predicts_spread=False).double()
    if likelihood.has_log_link:
        likelihood.set_unit(torch.tensor(UNIT, dtype=torch.float64))
    y = draw(name, (4, 1), rng) + 1 / UNIT
    best = y if name == "student_t" else y.log()
    rows = Rows(y, y, torch.ones_like(y), 0)
    output = best[..., None].clone().requires_grad_()
    deviance, loss = likelihood.deviance(output, rows), likelihood.loss(output, rows)
    assert_allclose(deviance.detach(), 0, atol=1e-12)
    for value in (deviance, loss):
        assert_allclose(torch.autograd.grad(value.sum(), output)[0], 0, atol=1e-9)
    assert (likelihood.deviance(output.detach() + 0.3, rows) > 0.01).all()


def build(kind, name):
    torch.manual_seed(0)
    encoder = nn.Sequential(nn.Linear(2, 4), nn.Tanh())
    if kind is NeuralProcessLearner:
        return kind(spec_of(name), None, d_model=8, n_layers=2, n_heads=2)
    if kind is TransformerNeuralProcessLearner:
        return kind(spec_of(name), None, d_model=8, n_layers=1, n_heads=2)
    return kind(spec_of(name), encoder, inner_steps=2)


@pytest.mark.parametrize("name", OTHERS)
@pytest.mark.parametrize(
    "kind",
    [MAMLLearner, ANILLearner, NeuralProcessLearner, TransformerNeuralProcessLearner],
)
def test_the_meta_gradient_is_that_of_differences(kind, name):
    rng = np.random.default_rng(1)
    learner = with_unit(build(kind, name))
    rows = []
    for n in (4, 6):
        X = torch.from_numpy(rng.normal(size=(3, n, 2)))
        rows.append(Rows(X, draw(name, (3, n), rng), torch.ones(3, n).double(), 0))
    episodes = Episodes(*rows)
    learner.meta_loss(episodes).sum().backward()
    with_gradient = [p for p in learner.parameters() if p.grad is not None]
    direction = [torch.from_numpy(rng.normal(size=p.shape)) for p in with_gradient]
    slope = sum(
        (p.grad * d).sum() for p, d in zip(with_gradient, direction, strict=True)
    )
    values, step = [], 1e-5
    for sign in (1, -2):
        with torch.no_grad():
            for p, d in zip(with_gradient, direction, strict=True):
                p += sign * step * d
        values.append(float(learner.meta_loss(episodes).sum().detach()))
    assert_allclose((values[0] - values[1]) / (2 * step), float(slope), rtol=1e-5)


def test_the_normal_likelihood_is_none():
    assert likelihood_of(spec_of("gaussian"), predicts_spread=True) is None
