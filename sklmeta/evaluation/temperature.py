"""A temperature for class probabilities, learned over held-out tasks."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import logsumexp

BOUNDS = (0.05, 20.0)


def fit_temperature(
    probabilities: NDArray[np.floating],  # shape: (n_samples, n_classes)
    target: NDArray[np.intp],  # shape: (n_samples,); column of the true class
    codes: NDArray[np.intp],  # shape: (n_samples,); task of every row
) -> float:
    """Return the T that minimises the log loss of p^(1/T), tasks counting alike.

    Guo et al., "On Calibration of Modern Neural Networks", ICML 2017. Rows whose true
    class has probability zero are left out: no temperature helps them.
    """
    rows = np.arange(len(target))
    usable = probabilities[rows, target] > 0
    if not usable.any():
        return 1.0
    with np.errstate(divide="ignore"):
        logs = np.log(np.asarray(probabilities[usable], dtype=np.float64))
    own = logs[np.arange(len(logs)), target[usable]]
    _, codes, counts = np.unique(codes[usable], return_inverse=True, return_counts=True)
    weights = 1.0 / (len(counts) * counts[codes])

    def loss(log_temperature: float) -> float:
        beta = np.exp(-log_temperature)
        return float(weights @ (logsumexp(beta * logs, axis=1) - beta * own))

    bounds = tuple(np.log(BOUNDS))
    return float(np.exp(minimize_scalar(loss, bounds=bounds, method="bounded").x))
