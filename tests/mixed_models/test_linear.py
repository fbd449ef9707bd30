"""The linear mixed model's mathematics against dense matrices in float64."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import math

import numpy as np
import pytest
import slow_mixed
import torch
from scipy.stats import multivariate_t

from sklmeta.data.scaling import Scaling
from sklmeta.mixed_models.covariance import coordinates_of, structure_of
from sklmeta.mixed_models.linear import Likelihood, _objective, fit_linear
from sklmeta.mixed_models.moments import moments_of
from sklmeta.mixed_models.own_noise import StudentLikelihood, fit_own_noise
from sklmeta.mixed_models.posterior import posterior
from sklmeta.mixed_models.start import mixed_start
from sklmeta.mixed_models.units import Units

COVARIANCES = ("full", "shrunk", "diagonal", "low_rank")

Problem = slow_mixed.Problem


def units_of(n_features):
    """Units in which nothing is changed."""
    x = Scaling(np.zeros(n_features), np.ones(n_features))
    return Units(x, Scaling.identity())


def moments(problem):
    X = problem.design[:, :-1]
    n_tasks = problem.codes.max() + 1
    return moments_of(units_of(X.shape[1]), X, problem.y, problem.codes, n_tasks)


def differences(function, theta, step=1e-5):
    steps = step * np.eye(len(theta))
    return [(function(theta + h) - function(theta - h)) / (2 * step) for h in steps]


@pytest.fixture(params=[(0, 1, 2), (2,), (1, 2)], ids=["all", "intercept", "one_slope"])
def problem(request):
    return Problem.draw(random=request.param)


# The likelihood -----------------------------------------------------------------------


@pytest.mark.parametrize("reml", [True, False], ids=["reml", "ml"])
def test_value_and_gradient_are_those_of_dense_matrices(problem, reml):
    likelihood = Likelihood(moments(problem), problem.random, reml)
    n_random, n_free = len(problem.random), len(problem.y) - 3 * reml
    rng = np.random.default_rng(0)
    for n_factors in (n_random, n_random + 1):
        root = rng.normal(size=(n_random, n_factors))
        leaf = torch.from_numpy(root.copy()).requires_grad_()
        expected = slow_mixed.deviance(problem, leaf, reml)
        expected.backward()
        value, gradient = likelihood.deviance(root)
        constant = n_free * (1 + math.log(2 * math.pi / n_free))
        np.testing.assert_allclose(value + constant, expected.item(), rtol=1e-10)
        np.testing.assert_allclose(gradient, leaf.grad, rtol=1e-8, atol=1e-8)
        model = likelihood.model(root, 1, True)
        np.testing.assert_allclose(model.log_likelihood, -expected.item() / 2)
        D = torch.from_numpy(model.covariance)
        dense = slow_mixed.least_squares(
            problem, problem.covariance(D, model.noise_variance)
        )
        np.testing.assert_allclose(model.coef, dense.coef)
        np.testing.assert_allclose(model.coef_covariance, dense.coef_covariance)


@pytest.mark.parametrize("reml", [True, False], ids=["reml", "ml"])
@pytest.mark.parametrize("covariance", COVARIANCES)
def test_gradient_in_the_free_entries_agrees_with_differences(covariance, reml):
    problem = Problem.draw(n_features=3)
    likelihood = Likelihood(moments(problem), problem.random, reml)
    where = coordinates_of(structure_of(covariance, 4, 7, rank=2))
    size = len(where.structure.rows)
    theta = np.random.default_rng(1).normal(size=size)
    _, gradient = _objective(theta, likelihood, where)
    found = differences(lambda t: _objective(t, likelihood, where)[0], theta)
    np.testing.assert_allclose(gradient, found, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("reml", [True, False], ids=["reml", "ml"])
def test_no_root_is_better_than_the_one_that_is_found(problem, reml):
    model = fit_linear(moments(problem), problem.random, covariance="full", reml=reml)
    assert model.converged
    rng = np.random.default_rng(0)
    for _ in range(20):
        root = torch.from_numpy(model.root + 0.1 * rng.normal(size=model.root.shape))
        other = -slow_mixed.deviance(problem, root, reml) / 2
        assert other <= model.log_likelihood + 1e-8


def test_low_rank_is_diagonal_plus_factors_and_lies_between():
    problem = Problem.draw(n_tasks=30, n_features=3, seed=3)
    sums = moments(problem)
    found = {
        name: fit_linear(sums, problem.random, covariance=name, rank=1)
        for name in ("diagonal", "low_rank", "full")
    }
    root = found["low_rank"].root
    assert root.shape == (4, 5)
    assert not (root[:, :4] - np.diag(np.diag(root[:, :4]))).any()
    values = [model.log_likelihood for model in found.values()]
    assert values == sorted(values)
    D = found["diagonal"].covariance
    np.testing.assert_array_equal(D, np.diag(np.diag(D)))


def test_shrinking_lowers_correlations():
    problem = Problem.draw(n_tasks=8, n_features=3, seed=3)
    largest = []
    for name in ("full", "shrunk"):
        D = fit_linear(moments(problem), problem.random, covariance=name).covariance
        scale = np.sqrt(np.diag(D))
        largest.append(np.abs(D / np.outer(scale, scale) - np.eye(4)).max())
    assert largest[1] < largest[0] <= 1 + 1e-9


@pytest.mark.parametrize("covariance", COVARIANCES)
def test_coordinates_lead_to_a_root_and_back(covariance):
    where = coordinates_of(structure_of(covariance, 4, 7, rank=2))
    theta = np.random.default_rng(1).normal(size=len(where.structure.rows))
    theta[:4] = np.abs(theta[:4])
    root = where.root(theta)
    np.testing.assert_allclose(where.of_root(root), theta)


@pytest.mark.parametrize(
    ("n_random", "n_tasks", "kind"),
    [(3, 15, "full"), (3, 14, "shrunk"), (4, 999, "shrunk"), (65, 999, "diagonal")],
)
def test_auto_frees_as_much_as_the_tasks_allow(n_random, n_tasks, kind):
    chosen = structure_of("auto", n_random, n_tasks)
    expected = structure_of(kind, n_random, n_tasks)
    assert chosen.shrinkage == expected.shrinkage
    np.testing.assert_array_equal(chosen.rows, expected.rows)


# Conditioning -------------------------------------------------------------------------


def of_task(problem, t):
    keep = problem.codes == t
    return Problem(
        problem.design[keep],
        problem.y[keep],
        problem.codes[keep],
        problem.random,
    )


def test_posterior_is_the_textbooks_blup(problem):
    sums = moments(problem)
    model = fit_linear(sums, problem.random, covariance="full")
    known = posterior(model, sums)
    new = np.c_[np.random.default_rng(1).normal(size=(4, 2)), np.ones(4)]
    for t in range(len(sums.products)):
        expected = slow_mixed.blup(
            of_task(problem, t),
            new,
            model.coef,
            model.coef_covariance,
            model.covariance,
            model.noise_variance,
        )
        np.testing.assert_allclose(new @ known.coef[t].numpy(), expected.mean)
        rows, own = torch.from_numpy(new), torch.full((4,), t)
        variance = known.variance(model, rows, own)
        np.testing.assert_allclose(variance.sqrt(), expected.std)


def test_leverage_leaves_a_row_out(problem):
    sums = moments(problem)
    model = fit_linear(sums, problem.random, covariance="full")
    known = posterior(model, sums)
    row, t = problem.design[:1], problem.codes[0]
    others = Problem(*(part[1:] for part in problem[:3]), problem.random)
    coef = posterior(model, moments(others)).coef[t].numpy()
    pull = known.leverage(torch.from_numpy(row), torch.tensor([t])).item()
    residual = problem.y[0] - row[0] @ known.coef[t].numpy()
    np.testing.assert_allclose(problem.y[0] - row[0] @ coef, residual / (1 - pull))


# Own noise ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def with_own_noise():
    """Tasks whose noise has deviations from .1 to 2."""
    problem = Problem.draw(n_tasks=60, n_rows=8, n_features=1, seed=2)
    deviation = np.random.default_rng(0).permutation(np.linspace(0.1, 2, 60))
    rng = np.random.default_rng(1)
    noise = deviation[problem.codes] * rng.normal(size=len(problem.y))
    problem = problem._replace(y=problem.y + noise)
    sums = moments(problem)
    shared = fit_linear(sums, problem.random, covariance="full", reml=False)
    return problem, sums, shared, fit_own_noise(sums, shared, covariance="full")


def test_own_noise_has_the_likelihood_of_students_t(with_own_noise):
    problem, sums, shared, model = with_own_noise
    assert 2 < model.noise_df < 20
    assert model.log_likelihood > shared.log_likelihood + 3
    total = 0.0
    for t in range(len(sums.products)):
        own = of_task(problem, t)
        D = torch.from_numpy(model.covariance)
        shape = own.covariance(D, model.noise_variance).numpy()
        density = multivariate_t(own.design @ model.coef, shape, df=model.noise_df)
        total += density.logpdf(own.y)
    np.testing.assert_allclose(model.log_likelihood, total)


@pytest.mark.parametrize("covariance", COVARIANCES)
def test_gradient_of_own_noise_agrees_with_differences(covariance, with_own_noise):
    sums, random = with_own_noise[1], np.arange(2)
    shared = fit_linear(sums, random, covariance=covariance, reml=False)
    where = coordinates_of(structure_of(covariance, 2, 60))
    likelihood = StudentLikelihood(sums, shared, where)
    theta = likelihood.start()
    theta = theta + 0.3 * np.random.default_rng(0).normal(size=len(theta))
    found = differences(lambda t: likelihood(t)[0], theta)
    np.testing.assert_allclose(likelihood(theta)[1], found, rtol=1e-5, atol=1e-4)


def test_posterior_of_own_noise_is_normal_inverse_gamma(with_own_noise):
    problem, sums, _, model = with_own_noise
    known = posterior(model, sums)
    new = np.c_[np.linspace(-1, 1, 3), np.ones(3)]
    for t in range(3):
        own, df = of_task(problem, t), model.noise_df
        scale = own.covariance(torch.from_numpy(model.root @ model.root.T)).numpy()
        residual = own.y - own.design @ model.coef
        square = residual @ np.linalg.solve(scale, residual)
        degrees = df + len(own.y)
        noise = (df * model.noise_variance + square) / degrees
        np.testing.assert_allclose(known.noise_df[t], degrees)
        np.testing.assert_allclose(known.noise_variance[t], noise)
        # The random effects' variance is in proportion to the task's noise.
        of_t = noise * degrees / (degrees - 2)
        D = of_t * model.root @ model.root.T
        expected = slow_mixed.blup(own, new, model.coef, model.coef_covariance, D, of_t)
        np.testing.assert_allclose(new @ known.coef[t].numpy(), expected.mean)
        rows = torch.from_numpy(new)
        variance = known.variance(model, rows, torch.full((3,), t))
        np.testing.assert_allclose(variance.sqrt(), expected.std)


def test_own_noise_of_one_task_is_the_shared_one():
    problem = Problem.draw(n_tasks=1, n_rows=20)
    sums = moments(problem)
    shared = fit_linear(sums, problem.random)
    assert fit_own_noise(sums, shared) is shared


# Units and sums -----------------------------------------------------------------------


def test_sums_of_products_take_weights_for_copies_and_tasks_without_rows():
    problem = Problem.draw()
    X, weights = problem.design[:, :-1], np.arange(len(problem.y)) % 3
    units = Units.of(X, problem.y)
    found = moments_of(units, X, problem.y, problem.codes, 9, weights)
    copied = np.repeat(np.arange(len(X)), weights)
    expected = moments_of(units, X[copied], problem.y[copied], problem.codes[copied], 9)
    torch.testing.assert_close(found.products, expected.products)
    assert not found.products[7:].any()


def test_sums_of_products_do_not_depend_on_the_blocks(monkeypatch):
    problem = Problem.draw()
    expected = moments(problem)
    monkeypatch.setattr("sklmeta.mixed_models.moments.BLOCK_NUMBERS", 60)
    model = fit_linear(moments(problem), problem.random)
    torch.testing.assert_close(moments(problem).products, expected.products)
    monkeypatch.undo()
    again = fit_linear(expected, problem.random)
    np.testing.assert_allclose(model.coef, again.coef)
    np.testing.assert_allclose(model.log_likelihood, again.log_likelihood)


def test_wide_tables_are_reduced_to_components_of_rows():
    X = np.random.default_rng(0).normal(size=(40, 100)) * np.r_[10, np.ones(99)]
    y = X[:, 0]
    units = Units.of(X, y)
    assert units.n_columns == 1 + 40 // 5
    linear, shift = units.to_user()
    coef = np.random.default_rng(1).normal(size=units.n_columns)
    rows = np.c_[units.rows(X), np.ones(40)] @ coef
    in_user_units = linear @ coef + shift
    np.testing.assert_allclose(
        units.y.undo(rows), X @ in_user_units[:-1] + in_user_units[-1]
    )
    assert Units.of(X, y, reduce=False).n_columns == 101


def test_a_start_is_the_model_in_the_units_that_it_was_given():
    problem = Problem.draw(n_tasks=30)
    X, y, codes = problem.design[:, :-1], 3 * problem.y + 5, problem.codes
    start = mixed_start(2 * X - 1, y, codes, 30)
    model = fit_linear(moments(problem), problem.random, tol=1e-12)
    np.testing.assert_allclose(start.noise_variance, 9 * model.noise_variance, 1e-4)
    rows = np.c_[2 * X - 1, np.ones(len(X))]
    np.testing.assert_allclose(
        rows @ start.mean, 3 * problem.design @ model.coef + 5, 1e-3, 1e-3
    )
    found = rows[:5] @ start.covariance @ rows[:5].T
    D = problem.design[:5] @ model.covariance @ problem.design[:5].T
    np.testing.assert_allclose(found, 9 * D, rtol=1e-2, atol=1e-2)


def test_fewer_than_three_tasks_start_nothing():
    problem = Problem.draw(n_tasks=2, n_rows=20)
    assert mixed_start(problem.design[:, :-1], problem.y, problem.codes, 2) is None
