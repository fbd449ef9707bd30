"""Quantiles of counts and amounts whose linear predictor is not known exactly.

A target y is at most k where the predictor eta, which is normal, is below a threshold
T(k), which is random: of a Poisson count, say, the logarithm of a gamma variable with
shape k + 1. The distribution function is ``E[F(k | eta)]``, a sum over points; where
eta is spread so widely that F is a step between them, T is as good as normal beside it.
"""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import betainc, digamma, gammainc, gammaincc, ndtr, ndtri, polygamma

from sklmeta.mixed_models.families import LARGEST_COUNT, LARGEST_EXPONENT

Floats = NDArray[np.float64]

POINTS = np.linspace(-6, 6, 61)
WEIGHTS = np.exp(-0.5 * POINTS**2) / np.exp(-0.5 * POINTS**2).sum()
WIDEST = 6.0
"""Deviations of T that one of eta may have before the points see steps."""

ROWS_AT_A_TIME = 2**12


class Distribution(NamedTuple):
    """Of rows' targets: a family, whose predictors are normal."""

    name: str  # of the family
    mean: Floats  # shape: (n_samples, 1); of the predictor, the logarithm of y's mean
    std: Floats  # shape: (n_samples, 1)
    dispersion: Floats  # shape: (n_samples, 1); as of the family

    def below(self, y: Floats) -> Floats:
        """Probability that a target is at most y (n_samples, n_q)."""
        eta = self.mean[..., None] + self.std[..., None] * POINTS
        exact = (self._given(eta, y[..., None]) * WEIGHTS).sum(-1)
        if not self.std.any():
            return exact
        middle, variance = self._threshold(y)
        wide = ndtr((middle - self.mean) / np.sqrt(self.std**2 + variance))
        return np.where(self.std > WIDEST * np.sqrt(variance), wide, exact)

    def _given(self, eta: Floats, y: Floats) -> Floats:
        """Probability that a target is at most y, where the predictor is known."""
        mean = np.exp(np.clip(eta, -LARGEST_EXPONENT, LARGEST_EXPONENT))
        a = self.dispersion[..., None]
        if self.name == "gamma":
            return gammainc(a, a * (y / mean))
        if self.name == "poisson":
            return np.where(y < 0, 0.0, gammaincc(np.maximum(y, 0) + 1, mean))
        count = np.maximum(y, 0) + 1
        return np.where(y < 0, 0.0, betainc(a, count, a / (a + mean)))

    def _threshold(self, y: Floats) -> tuple[Floats, Floats]:
        """Mean and variance of what eta must be below."""
        a = self.dispersion
        if self.name == "gamma":
            tiny = np.maximum(y, np.finfo(np.float64).tiny)
            return np.log(tiny) - digamma(a) + np.log(a), polygamma(1, a) + 0 * y
        count = np.maximum(y, 0) + 1
        mean, variance = digamma(count), polygamma(1, count)
        if self.name == "negative_binomial":
            mean = mean - digamma(a) + np.log(a)
            variance = variance + polygamma(1, a)
        return mean, variance


def family_quantiles(
    name: str, mean: Floats, variance: Floats, dispersion: Floats | float, q: Floats
) -> Floats:  # shape: (n_samples, n_q)
    """Quantiles of targets given normal predictors.

    Parameters
    ----------
    name : {"poisson", "negative_binomial", "gamma"}
        The family.

    mean, variance : ndarray of shape (n_samples,)
        Of the predictors, which are logarithms of the targets' means; 0 is known.

    dispersion : float or ndarray of shape (n_samples,)
        As of the family; that of "poisson" is not looked at.

    q : ndarray of shape (n_q,)
        Probabilities.
    """
    shape = np.asarray(dispersion, dtype=np.float64)
    columns = np.broadcast_arrays(mean, np.sqrt(variance), shape)
    found = np.empty((len(mean), len(q)))
    for start in range(0, len(mean), ROWS_AT_A_TIME):
        block = slice(start, start + ROWS_AT_A_TIME)
        rows = Distribution(name, *(column[block, None] for column in columns))
        found[block] = _amounts(rows, q) if name == "gamma" else _counts(rows, q)
    return found


def _counts(rows: Distribution, q: Floats) -> Floats:
    """The smallest counts with a probability of q or more, by halving."""
    low = np.full((len(rows.mean), len(q)), -1.0)
    guess = rows.mean + rows.std * ndtri(q)
    high = np.ceil(np.exp(np.clip(guess, 0, np.log(LARGEST_COUNT)))) + 1
    while True:
        short = (rows.below(high) < q) & (high < LARGEST_COUNT)
        if not short.any():
            break
        low, high = np.where(short, high, low), np.where(short, 2 * high, high)
    while (high - low > 1).any():
        middle = np.floor(0.5 * (low + high))
        enough = rows.below(middle) >= q
        low, high = np.where(enough, low, middle), np.where(enough, middle, high)
    return high


def _amounts(rows: Distribution, q: Floats) -> Floats:
    """Quantiles by regula falsi (Illinois), on scales where they are nearly linear."""
    a = rows.dispersion
    spread = np.sqrt(rows.std**2 + polygamma(1, a))
    middle = rows.mean + digamma(a) - np.log(a) + spread * ndtri(q)

    def excess(t: Floats) -> Floats:
        with np.errstate(divide="ignore"):
            z = ndtri(rows.below(np.exp(np.clip(t, -LARGEST_EXPONENT * 3, 700.0))))
        return np.clip(z, -40, 40) - ndtri(q)

    low, high = middle - spread, middle + spread
    at_low, at_high = excess(low), excess(high)
    for _ in range(40):
        outside = at_low > 0, at_high < 0
        if not (outside[0].any() or outside[1].any()):
            break
        spread = 2 * spread
        low = np.where(outside[0], low - spread, low)
        high = np.where(outside[1], high + spread, high)
        at_low, at_high = excess(low), excess(high)
    for _ in range(60):
        t = (low * at_high - high * at_low) / np.maximum(at_high - at_low, 1e-300)
        t = np.where((t > low) & (t < high), t, 0.5 * (low + high))
        value = excess(t)
        if (np.abs(value) < 1e-10).all() or (high - low < 1e-12).all():
            break
        up = value > 0
        # Of an end that stays the value is halved, so that it moves in the next step.
        at_low = np.where(up, 0.5 * at_low, value)
        at_high = np.where(up, value, 0.5 * at_high)
        low, high = np.where(up, low, t), np.where(up, t, high)
    return np.exp(t)
