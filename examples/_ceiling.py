"""The ceiling of the drug-curve example: what one could do knowing the true law."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import numpy as np

from sklmeta.datasets import pharmacokinetic_curve

LOG_MEDIANS = np.log([1.5, 0.04, 0.45])
LOG_STDS = np.array([0.6, 0.3, 0.2])
NOISE = 0.1


def log_curve(
    theta: np.ndarray,  # shape: (n_tasks, 3), log absorption, clearance, volume
    X: np.ndarray,  # shape: (n_tasks, n_rows, 2), time and dose
) -> np.ndarray:  # shape: (n_tasks, n_rows)
    """Logarithm of the concentration."""
    absorption, clearance, volume = np.exp(theta).T[:, :, None]
    return np.log(
        pharmacokinetic_curve(X[..., 0], X[..., 1], absorption, clearance, volume)
    )


def map_pharmacokinetics(
    X_support: np.ndarray,  # shape: (n_tasks, n_support, 2)
    y_support: np.ndarray,  # shape: (n_tasks, n_support)
    X_query: np.ndarray,  # shape: (n_tasks, n_query, 2)
    n_steps: int = 50,
) -> np.ndarray:  # shape: (n_tasks, n_query)
    """Concentrations at the maximum a posteriori under the true population law.

    Levenberg-Marquardt over the three log-parameters of every patient at once; the
    log-normal noise makes the posterior a nonlinear least-squares problem. The curve
    at the mode is predicted, not the posterior mean.
    """
    theta = np.tile(LOG_MEDIANS, (len(X_support), 1))
    damping = np.full(len(theta), 1e-2)
    eye = np.eye(3)

    def residuals(theta: np.ndarray) -> np.ndarray:
        misfit = (log_curve(theta, X_support) - np.log(y_support)) / NOISE
        return np.concatenate([misfit, (theta - LOG_MEDIANS) / LOG_STDS], axis=1)

    r = residuals(theta)
    for _ in range(n_steps):
        columns = [
            residuals(theta + 1e-6 * e) - residuals(theta - 1e-6 * e) for e in eye
        ]
        J = np.stack(columns, axis=2) / 2e-6  # (n_tasks, n_residuals, 3)
        Jt = np.swapaxes(J, 1, 2)
        A = Jt @ J + damping[:, None, None] * eye
        step = -np.linalg.solve(A, Jt @ r[:, :, None])[..., 0]
        r_new = residuals(theta + step)
        better = (r_new**2).sum(1) <= (r**2).sum(1)
        theta = np.where(better[:, None], theta + step, theta)
        r = np.where(better[:, None], r_new, r)
        damping = np.where(better, damping / 5, damping * 10)
    return np.exp(log_curve(theta, X_query))
