"""Families of a target given its linear predictor, for generalised mixed models.

Every family is that of one row: its log-likelihood in the linear predictor, and what
the Laplace approximation needs of the derivatives. A predictor has `n_outputs` numbers,
one but for several classes. All log-likelihoods here are concave in it.
"""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import ndtri
from scipy.stats.qmc import Sobol
from torch import Tensor

LARGEST_EXPONENT = 200.0
"""Predictors are cut here where they are exponents: squares of e^200 are finite."""

LARGEST_COUNT = 2**53
MANY = 1e9
"""Counts for which the leading term of Stirling's series is exact enough."""

N_POINTS = 32
"""Of the integral over logits, each with either sign."""


class Slopes(NamedTuple):
    """Derivatives of a row's log-likelihood."""

    gradient: Tensor  # shape: (..., n_outputs)
    weight: Tensor  # shape: (..., n_outputs, n_outputs); minus the second derivative


class Family:
    """How a row's target is distributed, given its linear predictor.

    `eta` has the shape (..., n_outputs), `y` the shape (...). `log_dispersion` is a
    number, which only a family with `has_dispersion` looks at.
    """

    name = ""
    n_outputs = 1
    has_dispersion = False

    def log_likelihood(self, eta: Tensor, y: Tensor, log_dispersion: float) -> Tensor:
        """Logarithm of the probability, or density, of every row."""
        raise NotImplementedError

    def slopes(self, eta: Tensor, y: Tensor, log_dispersion: float) -> Slopes:
        """First and second derivatives in the linear predictor."""
        raise NotImplementedError

    def weight_slope(
        self, eta: Tensor, y: Tensor, log_dispersion: float, M: Tensor
    ) -> Tensor:  # shape: (..., n_outputs)
        """Gradient of ``trace(M @ weight)``, for symmetric M of every row."""
        raise NotImplementedError

    def dispersion_slopes(
        self, eta: Tensor, y: Tensor, log_dispersion: float
    ) -> tuple[Tensor, Slopes]:
        """Derivatives in `log_dispersion` of the log-likelihood, and of its slopes."""
        raise NotImplementedError

    def level(self, y: Tensor, weight: Tensor) -> float:
        """Where the linear predictor is when nothing is known but the targets' mean."""
        return 0.0

    def check(self, y: NDArray) -> None:
        """Refuse targets that the family does not have, by a `ValueError`."""

    def predictive(
        self, mean: Tensor, covariance: Tensor, log_dispersion: float
    ) -> Tensor:  # shape: (n_samples, n_classes); or (n_samples, 2)
        """Probabilities of classes, or a number's mean and standard deviation.

        The linear predictor is normal, with `mean` (n_samples, n_outputs) and
        `covariance` (n_samples, n_outputs, n_outputs).
        """
        raise NotImplementedError


class Bernoulli(Family):
    """Two classes, 0 and 1: the predictor is the logit of 1."""

    name = "bernoulli"

    def __init__(self) -> None:
        self.basis = torch.tensor([[-0.5], [0.5]], dtype=torch.float64)

    def logits(self, eta: Tensor) -> Tensor:  # shape: (..., 2)
        """Turn the predictor into logits that add up to zero."""
        return eta @ self.basis.mT

    def log_likelihood(self, eta: Tensor, y: Tensor, log_dispersion: float) -> Tensor:
        """Logarithm of the probability of every row's class."""
        return torch.nn.functional.logsigmoid((2 * y - 1) * eta[..., 0])

    def slopes(self, eta: Tensor, y: Tensor, log_dispersion: float) -> Slopes:
        """First and second derivatives in the linear predictor."""
        p = eta.sigmoid()
        return Slopes(y[..., None] - p, (p * (-eta).sigmoid())[..., None])

    def weight_slope(
        self, eta: Tensor, y: Tensor, log_dispersion: float, M: Tensor
    ) -> Tensor:  # shape: (..., n_outputs)
        """Gradient of ``trace(M @ weight)``."""
        p, q = eta.sigmoid(), (-eta).sigmoid()
        return M[..., 0] * p * q * (q - p)

    def predictive(
        self, mean: Tensor, covariance: Tensor, log_dispersion: float
    ) -> Tensor:  # shape: (n_samples, 2)
        """Probabilities, by MacKay's scaling of the logit."""
        logit = mean[:, 0] / (1 + math.pi / 8 * covariance[:, 0, 0]).sqrt()
        return torch.stack([-logit, logit], -1).sigmoid()


class Multinomial(Family):
    """Several classes, 0 to n_classes - 1, all alike.

    The predictor's numbers are coordinates of logits that add up to zero, in an
    orthonormal basis. A prior that does not change under rotations, as all of ours,
    then treats the classes alike, as none is the reference.
    """

    name = "multinomial"

    def __init__(self, n_classes: int):
        self.n_outputs = n_classes - 1
        self.basis = contrasts(n_classes)  # shape: (n_classes, n_outputs)

    def logits(self, eta: Tensor) -> Tensor:  # shape: (..., n_classes)
        """Turn coordinates into logits."""
        return eta @ self.basis.mT

    def log_likelihood(self, eta: Tensor, y: Tensor, log_dispersion: float) -> Tensor:
        """Logarithm of the probability of every row's class."""
        values = self.logits(eta).log_softmax(-1)
        return values.gather(-1, y.long()[..., None])[..., 0]

    def slopes(self, eta: Tensor, y: Tensor, log_dispersion: float) -> Slopes:
        """First and second derivatives in the linear predictor."""
        p = self.logits(eta).softmax(-1)
        mean = p @ self.basis
        weight = self.basis.mT @ (p[..., None] * self.basis)
        weight = weight - mean[..., :, None] * mean[..., None, :]
        return Slopes(self.basis[y.long()] - mean, weight)

    def weight_slope(
        self, eta: Tensor, y: Tensor, log_dispersion: float, M: Tensor
    ) -> Tensor:  # shape: (..., n_outputs)
        """Gradient of ``trace(M @ weight)``."""
        p = self.logits(eta).softmax(-1)
        N = self.basis @ M @ self.basis.mT
        # The trace is that of N with diag(p) - p p'.
        own, cross = N.diagonal(dim1=-2, dim2=-1), (N @ p[..., None])[..., 0]
        slope = own - 2 * cross
        slope = p * (slope - (p * slope).sum(-1, keepdim=True))
        return slope @ self.basis

    def predictive(
        self, mean: Tensor, covariance: Tensor, log_dispersion: float
    ) -> Tensor:  # shape: (n_samples, n_classes)
        """Probabilities, averaged over quasi-random draws of the logits.

        MacKay's scaling, as of one logit, is further from the integral the more
        classes there are. The draws are the same for all rows.
        """
        m = self.n_outputs
        size = covariance.diagonal(dim1=-2, dim2=-1).sum(-1)[:, None, None]
        # It may be singular, and then round to indefinite.
        jitter = 1e-10 * (1 + size) * torch.eye(m, dtype=mean.dtype)
        root = torch.linalg.cholesky_ex(covariance + jitter)[0]
        total = mean.new_zeros(len(mean), m + 1)
        for draw in normal_points(m):
            shift = root @ draw
            for eta in (mean + shift, mean - shift):
                total += self.logits(eta).softmax(-1)
        return total / total.sum(-1, keepdim=True)


class Poisson(Family):
    """Counts: the predictor is the logarithm of the mean."""

    name = "poisson"

    def log_likelihood(self, eta: Tensor, y: Tensor, log_dispersion: float) -> Tensor:
        """Logarithm of the probability of every row's count."""
        eta = eta[..., 0]
        # Relative to the best predictor, so that counts of many digits lose none.
        excess = eta - y.clamp(min=1e-300).log()
        fit = y * (excess - torch.expm1(excess.clamp(max=LARGEST_EXPONENT)))
        return torch.where(y > 0, fit + log_probability_of_the_mean(y), -exp(eta))

    def slopes(self, eta: Tensor, y: Tensor, log_dispersion: float) -> Slopes:
        """First and second derivatives in the linear predictor."""
        mean = exp(eta)
        return Slopes(y[..., None] - mean, mean[..., None])

    def weight_slope(
        self, eta: Tensor, y: Tensor, log_dispersion: float, M: Tensor
    ) -> Tensor:  # shape: (..., n_outputs)
        """Gradient of ``trace(M @ weight)``."""
        return M[..., 0] * exp(eta)

    def predictive(
        self, mean: Tensor, covariance: Tensor, log_dispersion: float
    ) -> Tensor:  # shape: (n_samples, 2)
        """The mean count, which is log-normal, and a count's deviation."""
        return log_normal(mean, covariance, 1.0, self.spread(log_dispersion))

    def spread(self, log_dispersion: float) -> float:
        """Variance of a count beyond Poisson's, in units of its squared mean."""
        return 0.0

    def check(self, y: NDArray) -> None:
        """Refuse what are no counts, by a `ValueError`."""
        wrong = (y < 0) | (y != np.floor(y)) | (y > LARGEST_COUNT)
        if wrong.any():
            raise ValueError(
                f"family={self.name!r} is for counts, 0, 1, 2, ... below 2**53, and y "
                f"has {y[wrong][0]:.6g}. For positive amounts take family='gamma'."
            )

    def level(self, y: Tensor, weight: Tensor) -> float:
        """Logarithm of the mean count."""
        n_rows = float(weight.sum())
        return math.log(max(float(weight @ y) / n_rows, 1 / (n_rows + 1)))


class NegativeBinomial(Poisson):
    """Counts that spread more: the variance is ``mean + mean^2 / dispersion``.

    The dispersion k, also called size, is that of R's `glmer.nb`: a Poisson count whose
    mean is multiplied by a gamma variable of mean 1 and variance 1 / k.
    """

    name = "negative_binomial"
    has_dispersion = True

    def spread(self, log_dispersion: float) -> float:
        """Variance of a count beyond Poisson's, in units of its squared mean."""
        return math.exp(-log_dispersion)

    def log_likelihood(self, eta: Tensor, y: Tensor, log_dispersion: float) -> Tensor:
        """Logarithm of the probability of every row's count."""
        size, x = math.exp(log_dispersion), eta[..., 0] - log_dispersion
        # Sums of terms of one sign, so that counts of many digits lose none.
        softplus = torch.nn.functional.softplus
        constant = torch.lgamma(y + size) - torch.lgamma(y + 1)
        constant = torch.where(y > MANY, (size - 1) * (y + size / 2).log(), constant)
        return constant - math.lgamma(size) - y * softplus(-x) - size * softplus(x)

    def slopes(self, eta: Tensor, y: Tensor, log_dispersion: float) -> Slopes:
        """First and second derivatives in the linear predictor."""
        size, x = math.exp(log_dispersion), eta - log_dispersion
        y, p, q = y[..., None], x.sigmoid(), (-x).sigmoid()
        return Slopes(y * q - size * p, ((y + size) * p * q)[..., None])

    def weight_slope(
        self, eta: Tensor, y: Tensor, log_dispersion: float, M: Tensor
    ) -> Tensor:  # shape: (..., n_outputs)
        """Gradient of ``trace(M @ weight)``."""
        size, x = math.exp(log_dispersion), eta - log_dispersion
        p, q = x.sigmoid(), (-x).sigmoid()
        return M[..., 0] * (y[..., None] + size) * p * q * (q - p)

    def dispersion_slopes(
        self, eta: Tensor, y: Tensor, log_dispersion: float
    ) -> tuple[Tensor, Slopes]:
        """Derivatives in the logarithm of the dispersion."""
        size, x = math.exp(log_dispersion), eta - log_dispersion
        count, p, q = y[..., None], x.sigmoid(), (-x).sigmoid()
        excess = (count + size) * p
        digamma = torch.digamma(y + size) - torch.digamma(y.new_tensor(size))
        value = size * (digamma + torch.nn.functional.logsigmoid(-x[..., 0]))
        value = value - (count * q - size * p)[..., 0]
        gradient = excess * q - size * p
        weight = size * p * q - excess * q * (q - p)
        return value, Slopes(gradient, weight[..., None])


class Gamma(Family):
    """Positive amounts: the predictor is the logarithm of the mean.

    The dispersion is the shape a: the variance is ``mean^2 / a``.
    """

    name = "gamma"
    has_dispersion = True

    def log_likelihood(self, eta: Tensor, y: Tensor, log_dispersion: float) -> Tensor:
        """Logarithm of the density of every row's amount."""
        shape, x = math.exp(log_dispersion), y.log() - eta[..., 0]
        constant = shape * log_dispersion - math.lgamma(shape)
        return constant + shape * (x - exp(x)) - y.log()

    def slopes(self, eta: Tensor, y: Tensor, log_dispersion: float) -> Slopes:
        """First and second derivatives in the linear predictor."""
        shape, ratio = math.exp(log_dispersion), exp(y.log()[..., None] - eta)
        return Slopes(shape * (ratio - 1), (shape * ratio)[..., None])

    def weight_slope(
        self, eta: Tensor, y: Tensor, log_dispersion: float, M: Tensor
    ) -> Tensor:  # shape: (..., n_outputs)
        """Gradient of ``trace(M @ weight)``."""
        ratio = exp(y.log()[..., None] - eta)
        return -math.exp(log_dispersion) * M[..., 0] * ratio

    def dispersion_slopes(
        self, eta: Tensor, y: Tensor, log_dispersion: float
    ) -> tuple[Tensor, Slopes]:
        """Derivatives in the logarithm of the dispersion."""
        shape, x = math.exp(log_dispersion), y.log() - eta[..., 0]
        digamma = float(torch.digamma(torch.tensor(shape, dtype=torch.float64)))
        value = shape * (log_dispersion + 1 - digamma + x - exp(x))
        return value, self.slopes(eta, y, log_dispersion)

    def predictive(
        self, mean: Tensor, covariance: Tensor, log_dispersion: float
    ) -> Tensor:  # shape: (n_samples, 2)
        """The mean amount, which is log-normal, and an amount's deviation."""
        return log_normal(mean, covariance, 0.0, math.exp(-log_dispersion))

    def check(self, y: NDArray) -> None:
        """Refuse what are no positive amounts, by a `ValueError`."""
        wrong = (y <= 0) | (np.abs(np.log(np.where(y > 0, y, 1.0))) > LARGEST_EXPONENT)
        if wrong.any():
            raise ValueError(
                f"family='gamma' is for positive amounts, and y has {y[wrong][0]:.6g}. "
                "Drop or shift such rows, or take family='gaussian'."
            )

    def level(self, y: Tensor, weight: Tensor) -> float:
        """Logarithm of the mean amount."""
        total = float((y.log() + weight.log()).logsumexp(0))
        return total - math.log(float(weight.sum()))


def family_of_classes(n_classes: int, device: Any = None) -> Bernoulli | Multinomial:
    """Two classes or several; what is computed with is on the device."""
    family = Bernoulli() if n_classes == 2 else Multinomial(n_classes)
    family.basis = family.basis.to(device)
    return family


FAMILIES = {family.name: family for family in (Poisson, NegativeBinomial, Gamma)}
"""Of numbers, by the name that users give."""


def contrasts(n_classes: int) -> Tensor:  # shape: (n_classes, n_classes - 1)
    """An orthonormal basis of vectors that add up to zero (Helmert's)."""
    basis = torch.zeros(n_classes, n_classes - 1, dtype=torch.float64)
    for k in range(1, n_classes):
        basis[:k, k - 1] = 1.0
        basis[k, k - 1] = -float(k)
    return basis / basis.norm(dim=0)


def log_normal(
    mean: Tensor, covariance: Tensor, own: float, relative: float
) -> Tensor:  # shape: (n_samples, 2)
    """Mean and deviation of y, of variance ``own * mu + relative * mu^2``.

    The mean mu itself is log-normal.
    """
    variance = covariance[:, 0, 0]
    level = exp(mean[:, 0] + 0.5 * variance)
    # mu has the variance level^2 (e^v - 1), and the mean square level^2 e^v.
    squares = torch.expm1(variance.clamp(max=LARGEST_EXPONENT))
    relative_variance = squares + relative * (1 + squares)
    std = (own * level + level.square() * relative_variance).sqrt()
    return torch.stack([level, std], dim=-1)


def log_probability_of_the_mean(y: Tensor) -> Tensor:
    """Of a Poisson count that is its mean; Stirling's where the digits run out."""
    exact = torch.xlogy(y, y) - y - torch.lgamma(y + 1)
    return torch.where(y > MANY, -0.5 * (2 * math.pi * y).log(), exact)


def normal_points(n_columns: int) -> Tensor:  # shape: (N_POINTS, n_columns)
    """Sobol's points as normal draws, to be taken with either sign."""
    if not n_columns:
        return torch.zeros(1, 0, dtype=torch.float64)
    points = Sobol(n_columns, scramble=False).random(2 * N_POINTS)[N_POINTS:]
    return torch.from_numpy(ndtri(points))


def exp(x: Tensor) -> Tensor:
    """The exponential, cut where squares would overflow."""
    return x.clamp(max=LARGEST_EXPONENT).exp()
