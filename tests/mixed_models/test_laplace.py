"""Generalised mixed models against finite differences, quadrature, other packages."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import numpy as np
import pytest
import statsmodels.api as sm
import torch
from scipy.optimize import minimize
from slow_laplace import log_density, quadrature, quadrature_of_three_classes

from sklmeta.mixed_models.families import (
    FAMILIES,
    Bernoulli,
    Gamma,
    Multinomial,
    NegativeBinomial,
    Poisson,
    contrasts,
)
from sklmeta.mixed_models.generalised import (
    PRIOR_SCALE,
    GeneralisedMixedModel,
    LaplaceProblem,
    Parameters,
    as_rows,
    fit_generalised,
)
from sklmeta.mixed_models.laplace_posterior import (
    posterior_of,
    predictor_of,
    prior_of,
)

NUMBERS = {
    family.name: family for family in (Bernoulli(), *(f() for f in FAMILIES.values()))
}
ALL = {**NUMBERS, "multinomial": Multinomial(3)}


def draw(name, n_tasks=30, n_rows=8, seed=0, n_features=1):
    """Tasks with a random intercept of deviation .7, their rows scattered."""
    rng = np.random.default_rng(seed)
    codes = rng.permutation(np.repeat(np.arange(n_tasks), n_rows))
    n = len(codes)
    X = np.c_[rng.normal(size=(n, n_features)), np.ones(n)]
    shift = 0.7 * rng.normal(size=(n_tasks, 2))[codes]
    eta = X.sum(axis=1) * 0.45 + shift[:, 0]
    if name == "multinomial":
        logits = np.c_[eta, shift[:, 1] - 0.5 * X[:, 0]] @ contrasts(3).numpy().T
        return X, (logits + rng.gumbel(size=logits.shape)).argmax(axis=1), codes
    if name == "bernoulli":
        return X, (rng.random(n) < 1 / (1 + np.exp(-eta))).astype(float), codes
    if name == "gamma":
        return X, rng.gamma(2, np.exp(eta) / 2), codes
    spread = rng.gamma(2, 1 / 2, n) if name == "negative_binomial" else 1
    return X, rng.poisson(np.exp(eta) * spread).astype(float), codes


def fitted(name, random=(1,), **options):
    X, y, codes = draw(name, **options)
    rows = as_rows(X, y, codes, codes.max() + 1)
    return fit_generalised(rows, ALL[name], np.array(random)), (X, y, codes), rows


# The wing alone -----------------------------------------------------------------------


@pytest.mark.parametrize("n_rows", [2, 9], ids=["in_row_space", "in_factor_space"])
@pytest.mark.parametrize("name", ALL)
def test_gradient_agrees_with_finite_differences(name, n_rows):
    X, y, codes = draw(name, n_tasks=6, n_rows=n_rows, n_features=2)
    rng = np.random.default_rng(1)
    keep = rng.random(len(y)) < 0.8  # tasks of unequal sizes
    weight = rng.random(keep.sum()) + 0.5
    rows = as_rows(X[keep], y[keep], codes[keep], 6, weight)
    family, random = ALL[name], np.array([0, 2])
    problem = LaplaceProblem(rows, family, random, 3)
    sizes = [3 * family.n_outputs, 6, 1]
    theta = 0.5 * rng.normal(size=sum(sizes))

    def at(theta):
        coef, root, last = torch.from_numpy(theta).split(sizes)
        return problem.value_and_slopes(
            Parameters(coef.view(3, -1), root.view(2, 3), float(last))
        )

    slopes = at(theta)[1]
    found = np.r_[slopes.coef.ravel(), slopes.root.ravel(), slopes.log_dispersion]
    steps = 1e-5 * np.eye(len(theta))
    expected = [(at(theta + h)[0] - at(theta - h)[0]) / 2e-5 for h in steps]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ALL)
def test_weight_is_minus_the_derivative_of_the_gradient(name):
    _, y, _ = draw(name, n_tasks=3)
    family, target = ALL[name], torch.tensor(y, dtype=torch.float64)
    eta = torch.randn(len(y), family.n_outputs, dtype=torch.float64)
    leaf = eta.clone().requires_grad_()
    value = family.log_likelihood(leaf, target, 0.3)
    (expected,) = torch.autograd.grad(value.sum(), leaf, create_graph=True)
    gradient, weight = family.slopes(eta, target, 0.3)
    torch.testing.assert_close(gradient, expected.detach())
    for k in range(family.n_outputs):
        (row,) = torch.autograd.grad(expected[:, k].sum(), leaf, retain_graph=True)
        torch.testing.assert_close(weight[:, k], -row)


@pytest.mark.parametrize("name", NUMBERS)
def test_laplace_is_near_adaptive_quadrature(name):
    # With eight rows a task Laplace's log-likelihood is lower by .006 a task at most,
    # and the deviation of the random intercepts by 5 % (Bernoulli; others by .5 %).
    # Fixed effects agree to a hundredth of a standard error.
    model, (X, y, codes), _ = fitted(name)
    has_dispersion = NUMBERS[name].has_dispersion

    def penalised(v):
        fit = quadrature(name, X, y, codes, v[:2], v[2], v[-1] * has_dispersion)
        return (v[:3] ** 2).sum() / (2 * PRIOR_SCALE**2) - fit

    deviation = abs(model.root[0, 0])
    last = [model.log_dispersion] * has_dispersion
    found = np.r_[model.coef[:, 0], deviation, last]
    exact = quadrature(name, X, y, codes, found[:2], deviation, model.log_dispersion)
    assert 0 < exact - model.log_likelihood < 0.006 * 30
    best = minimize(penalised, found, method="L-BFGS-B", options={"maxiter": 10}).x
    error = np.sqrt(np.diag(model.coef_covariance))
    assert (np.abs(found - best)[:2] < 0.01 * error).all()
    assert abs(found[2] / best[2] - 1) < (0.06 if name == "bernoulli" else 0.01)
    np.testing.assert_allclose(found[3:], best[3:], atol=0.005)


def test_laplace_is_near_quadrature_for_three_classes():
    model, (X, y, codes), _ = fitted("multinomial")
    basis, deviation = ALL["multinomial"].basis.numpy(), abs(model.root[0, 0])
    exact = quadrature_of_three_classes(basis, X, y, codes, model.coef, deviation)
    assert 0 < exact - model.log_likelihood < 0.02 * 30


def test_two_classes_have_the_bernoulli_model_as_contrasts():
    one, (X, y, codes), _ = fitted("bernoulli")
    rows = as_rows(X, y, codes, codes.max() + 1)
    two = fit_generalised(rows, Multinomial(2), np.array([1]))
    np.testing.assert_allclose(two.log_likelihood, one.log_likelihood, rtol=1e-6)
    np.testing.assert_allclose(-np.sqrt(2) * two.coef, one.coef, atol=1e-3)
    np.testing.assert_allclose(2 * two.covariance, one.covariance, atol=1e-3)


def test_classes_are_treated_alike():
    X, y, codes = draw("multinomial")
    coefs = []
    for order in ([0, 1, 2], [2, 0, 1]):
        rows = as_rows(X, np.array(order)[y], codes, codes.max() + 1)
        model = fit_generalised(rows, ALL["multinomial"], np.array([0, 1]))
        coefs.append((model.coef @ ALL["multinomial"].basis.numpy().T)[:, order])
    np.testing.assert_allclose(coefs[1], coefs[0], atol=1e-3)


@pytest.mark.parametrize("name", NUMBERS)
def test_without_random_effects_it_is_a_generalised_linear_model(name):
    X, y, _ = draw(name, n_tasks=40, n_rows=50)
    rng = np.random.default_rng(3)
    mean = np.exp(0.3 * X[:, 0])
    y = {
        "bernoulli": lambda: (rng.random(len(X)) < mean / (1 + mean)).astype(float),
        "poisson": lambda: rng.poisson(mean).astype(float),
        "negative_binomial": lambda: rng.poisson(mean * rng.gamma(2, 1 / 2, len(X))),
        "gamma": lambda: rng.gamma(2, mean / 2),
    }[name]()
    # Every row has a task of its own, but for one: nothing is left to vary together.
    codes = np.arange(len(X)) % 40
    model = fit_generalised(as_rows(X, y, codes, 40), NUMBERS[name], np.array([1]))
    size = np.exp(model.log_dispersion)
    family = {
        "bernoulli": sm.families.Binomial(),
        "poisson": sm.families.Poisson(),
        "negative_binomial": sm.families.NegativeBinomial(alpha=1 / size),
        "gamma": sm.families.Gamma(sm.families.links.Log()),
    }[name]
    expected = sm.GLM(y, X, family=family).fit()
    assert abs(model.root[0, 0]) < 0.15
    np.testing.assert_allclose(model.coef[:, 0], expected.params, atol=5e-3)
    scale = {"gamma": np.sqrt(1 / size / expected.scale)}.get(name, 1)
    np.testing.assert_allclose(
        np.sqrt(np.diag(model.coef_covariance)), expected.bse * scale, rtol=0.15
    )


# Adaptation ---------------------------------------------------------------------------


@pytest.mark.parametrize("n_rows", [2, 9], ids=["in_row_space", "in_factor_space"])
@pytest.mark.parametrize("name", NUMBERS)
def test_adapting_is_the_optimum_of_every_task(name, n_rows):
    rng = np.random.default_rng(5)
    X, y, codes = draw(name, n_tasks=5, n_rows=n_rows, n_features=2)
    root = rng.normal(size=(3, 3))
    model = GeneralisedMixedModel(
        rng.normal(size=(3, 1)), np.eye(3), np.arange(3), root, 0.4, 0.0, 1, True
    )
    family = NUMBERS[name]
    known = posterior_of(model, family, as_rows(X, y, codes, 5))
    found = predictor_of(model, known, X, codes)
    for task in range(5):
        mine = codes == task

        def loss(u, mine=mine):
            eta = X[mine] @ (model.coef[:, 0] + root @ u)
            return u @ u / 2 - log_density(name, y[mine], eta, 0.4).sum()

        best = minimize(loss, np.zeros(3), method="BFGS", options={"gtol": 1e-7}).x
        eta = X[mine] @ (model.coef[:, 0] + root @ best)
        np.testing.assert_allclose(found.mean[mine, 0], eta, atol=1e-4)
        weight = (
            family.slopes(torch.tensor(eta[:, None]), torch.tensor(y[mine]), 0.4)
            .weight[:, 0, 0]
            .numpy()
        )
        A = X[mine] @ root
        covariance = np.linalg.inv(np.eye(3) + (A.T * weight) @ A)
        variance = np.einsum("ij,jk,ik->i", A, covariance, A)
        np.testing.assert_allclose(found.covariance[mine, 0, 0], variance, rtol=1e-3)


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("size", [1e-12, 1e4, 1e9, 1e15])
def test_adapting_to_extreme_rows_stays_finite(name, size):
    y = {"bernoulli": [1.0, 0.0, 1.0], "gamma": [size, 1 / size, 1.0]}.get(
        name, [np.ceil(size), 0.0, 1.0]
    )
    X = np.array([[1e4, 1.0], [-1e4, 1.0], [1e4, 1.0]])
    root = 3.0 * np.eye(2)
    model = GeneralisedMixedModel(
        np.zeros((2, 1)), np.eye(2), np.arange(2), root, 0.0, 0.0, 1, True
    )
    family, codes = NUMBERS[name], np.zeros(3, dtype=np.intp)
    known = posterior_of(model, family, as_rows(X, np.array(y), codes, 1))
    for posterior in (known, prior_of(model, 1)):
        predictor = predictor_of(model, posterior, X, codes)
        for values in (*predictor, family.predictive(*predictor, 0.0)):
            assert values.isfinite().all()


@pytest.mark.parametrize(
    "family", [Bernoulli(), Multinomial(2), Multinomial(4)], ids=["one", "two", "four"]
)
def test_probabilities_are_near_the_integral(family):
    rng = np.random.default_rng(0)
    m = family.n_outputs
    mean = torch.tensor(rng.normal(size=(6, m)))
    root = torch.tensor(rng.normal(size=(6, m, m)))
    found = family.predictive(mean, root @ root.mT, 0.0)
    eta = mean + (root @ torch.tensor(rng.normal(size=(20000, 6, m, 1))))[..., 0]
    if m == 1 and family.name == "bernoulli":
        p = eta.sigmoid()
        expected = torch.cat([1 - p, p], dim=-1).mean(0)
    else:
        expected = family.logits(eta).softmax(-1).mean(0)
    np.testing.assert_allclose(found.sum(1), 1)
    np.testing.assert_allclose(found, expected, atol=0.03)


@pytest.mark.parametrize("family", [Poisson(), NegativeBinomial(), Gamma()])
def test_moments_of_a_new_target_are_those_of_draws(family):
    rng = np.random.default_rng(0)
    mean, variance, size = 0.5, 0.3, np.exp(0.7)
    found = family.predictive(torch.tensor([[mean]]), torch.tensor([[[variance]]]), 0.7)
    mu = np.exp(mean + np.sqrt(variance) * rng.normal(size=10**6))
    y = {
        "poisson": lambda: rng.poisson(mu),
        "negative_binomial": lambda: rng.poisson(mu * rng.gamma(size, 1 / size, 10**6)),
        "gamma": lambda: rng.gamma(size, mu / size),
    }[family.name]()
    np.testing.assert_allclose(found[0], [y.mean(), y.std()], rtol=0.02)
