"""Slow, obvious references of generalised mixed models with a random intercept."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import numpy as np
from scipy.optimize import minimize, minimize_scalar
from scipy.special import gammaln, log_softmax, logsumexp

N_NODES = 31


def log_density(name, y, eta, log_dispersion):
    """Of every row; scipy alone."""
    size = np.exp(log_dispersion)
    if name == "bernoulli":
        return -np.logaddexp(0, np.where(y > 0, -eta, eta))
    if name == "poisson":
        return y * eta - np.exp(eta) - gammaln(y + 1)
    if name == "negative_binomial":
        constant = gammaln(y + size) - gammaln(size) - gammaln(y + 1)
        mean = np.exp(eta)
        rest = size * np.log(size / (size + mean)) + y * np.log(mean / (size + mean))
        return constant + rest
    scale = np.exp(eta) / size
    return (size - 1) * np.log(y) - y / scale - size * np.log(scale) - gammaln(size)


def log_integral(log_integrand, n_nodes=N_NODES):
    """Adaptive Gauss-Hermite quadrature about the mode, as `glmer(nAGQ=n_nodes)`."""
    mode = minimize_scalar(lambda u: -log_integrand(u), tol=1e-12).x
    h = 1e-4
    near = [log_integrand(mode + step) for step in (-h, 0.0, h)]
    scale = (-(near[0] - 2 * near[1] + near[2]) / h**2) ** -0.5
    nodes, weights = np.polynomial.hermite.hermgauss(n_nodes)
    values = [log_integrand(mode + np.sqrt(2) * scale * node) for node in nodes]
    return logsumexp(np.array(values) + nodes**2, b=weights * np.sqrt(2) * scale)


def quadrature(name, X, y, codes, coef, deviation, log_dispersion=0.0):
    """Log-likelihood, task by task."""
    fixed, total = X @ coef, 0.0
    for task in np.unique(codes):
        mine = codes == task

        def log_integrand(u, mine=mine):
            eta = fixed[mine] + deviation * u
            rows = log_density(name, y[mine], eta, log_dispersion)
            return rows.sum() - u**2 / 2 - np.log(2 * np.pi) / 2

        total += log_integral(log_integrand)
    return total


def quadrature_of_three_classes(basis, X, y, codes, coef, deviation):
    """The same for two contrasts, by a product of two rules about the mode."""
    logits, total = X @ coef @ basis.T, 0.0
    nodes, weights = np.polynomial.hermite.hermgauss(N_NODES)
    grid = np.array(np.meshgrid(nodes, nodes)).reshape(2, -1).T
    log_weights = np.log(np.outer(weights, weights)).ravel() + (grid**2).sum(axis=1)
    for task in np.unique(codes):
        mine = codes == task

        def loss(u, mine=mine):
            rows = log_softmax(logits[mine] + deviation * basis @ u, axis=1)
            return u @ u / 2 - rows[np.arange(mine.sum()), y[mine].astype(int)].sum()

        mode = minimize(loss, np.zeros(2), tol=1e-10).x
        h = 1e-4 * np.eye(2)
        curvature = np.array(
            [
                [
                    loss(mode + a + b) - loss(mode + a) - loss(mode + b) + loss(mode)
                    for a in h
                ]
                for b in h
            ]
        )
        root = np.linalg.cholesky(np.linalg.inv(curvature / 1e-8))
        values = [-loss(mode + np.sqrt(2) * root @ node) for node in grid]
        total += logsumexp(np.array(values) + log_weights)
        total += np.log(np.linalg.det(root) * 2) - np.log(2 * np.pi)
    return total
