"""Uncertainty over tasks: the bootstrap, paired differences and their tests."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

N_RESAMPLES = 4000
N_FLIPS = 10_000
EXACT_TASKS = 13
"""So many tasks have few enough sign patterns to try all of them."""
_CELLS = 4_000_000  # of one block of random numbers: 32 MB


def bootstrap_means(
    values: Floats,  # shape: (n_tasks, n_columns); NaN where there is none
    *,
    n_resamples: int = N_RESAMPLES,
    random_state: int = 0,
) -> Floats:  # shape: (n_resamples, n_columns)
    """Mean of each column over resampled tasks, the same tasks for all columns."""
    n_tasks = len(values)
    known = ~np.isnan(values)
    filled = np.where(known, values, 0.0)
    rng = np.random.default_rng(random_state)
    block = max(1, _CELLS // n_tasks)
    means = []
    for start in range(0, n_resamples, block):
        size = min(block, n_resamples - start)
        counts = rng.multinomial(n_tasks, np.full(n_tasks, 1 / n_tasks), size=size)
        with np.errstate(invalid="ignore", divide="ignore"):
            means.append((counts @ filled) / (counts @ known))
    return np.concatenate(means)


def bootstrap_interval(
    values: Floats,  # shape: (n_tasks, n_columns)
    *,
    confidence: float = 0.95,
    random_state: int = 0,
) -> tuple[Floats, Floats]:  # each of shape (n_columns,)
    """Percentile interval of the mean over tasks; NaN for fewer than two tasks."""
    if len(values) < 2:
        missing = np.full(values.shape[1], np.nan)
        return missing, missing.copy()
    means = bootstrap_means(values, random_state=random_state)
    tail = (1 - confidence) / 2
    low, high = np.nanquantile(means, [tail, 1 - tail], axis=0)
    return low, high


def sign_flip_p_value(differences: Floats, *, random_state: int = 0) -> float:
    """Two-sided p-value of a mean difference of zero, by flipping signs of tasks.

    Under the hypothesis that the two models are exchangeable on every task, each
    difference is as likely as its negative. All patterns of signs are tried for up to
    13 tasks, else 10,000 random ones and the one observed.
    """
    n_tasks = len(differences)
    if not n_tasks:
        return float("nan")
    observed = abs(differences.sum())
    # Sums of the same numbers in another order must count as equal.
    least = observed - 1e-12 * np.abs(differences).sum()
    if n_tasks <= EXACT_TASKS:
        signs = np.array(list(itertools.product([-1.0, 1.0], repeat=n_tasks)))
        return float(np.mean(np.abs(signs @ differences) >= least))
    rng = np.random.default_rng(random_state)
    block = max(1, _CELLS // n_tasks)
    hits = 0
    for start in range(0, N_FLIPS, block):
        size = min(block, N_FLIPS - start)
        signs = rng.integers(0, 2, (size, n_tasks)) * 2.0 - 1.0
        hits += int(np.sum(np.abs(signs @ differences) >= least))
    return (hits + 1) / (N_FLIPS + 1)


def standard_error(differences: Floats) -> float:
    """Of the mean over tasks; infinite for fewer than two tasks."""
    if len(differences) < 2:
        return float("inf")
    return float(differences.std(ddof=1) / np.sqrt(len(differences)))
