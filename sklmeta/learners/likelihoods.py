"""Distributions of a number about its prediction, other than the normal one.

Counts and amounts reach a learner in units of their training mean. Its first output is
then the logarithm of a row's mean in this unit, and its second, where there is one, the
logarithm of r: the variance of a row about its mean m is ``m + r * m**2`` of a negative
binomial count, and ``r * m**2`` of a gamma amount. Of Student's t they are the mean and
the logarithm of the variance, as of the normal.
"""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sklmeta.data.kinds import TaskKind
from sklmeta.episodes.rows import Rows
from sklmeta.learners.losses import masked_mean, of_targets, row_loss, summed
from sklmeta.learners.task_spec import TaskSpec

LOG_LINKS = ("poisson", "negative_binomial", "gamma")
LIKELIHOODS = ("gaussian", "student_t", *LOG_LINKS)

LARGEST_LOG = 30.0
"""Of a mean in units of the training mean: squares of e^30 are finite in float32."""

LEAST = 1e-12
"""An amount's smallest, in the same units: padding is zero, and has no logarithm."""


class Likelihood(nn.Module):
    """Losses of rows under another distribution than the normal.

    Parameters
    ----------
    spec : TaskSpec
        Of regression, with the name of the likelihood.

    predicts_spread : bool
        Whether the learner's output has a second part. If not, spread is a parameter
        that all rows share.
    """

    log_unit: Tensor

    def __init__(self, spec: TaskSpec, *, predicts_spread: bool):
        super().__init__()
        self.name = spec.likelihood
        self.has_log_link = self.name in LOG_LINKS
        if self.has_log_link:
            self.register_buffer("log_unit", torch.zeros(spec.target_shape))
        else:
            self.log_excess = nn.Parameter(torch.tensor(math.log(2.0)))
        if not predicts_spread and self.name != "poisson":
            self.log_spread = nn.Parameter(torch.zeros(spec.target_shape))

    def degrees(self) -> Tensor:
        """Degrees of freedom of Student's t; more than two, so that it has variance."""
        return 2 + self.log_excess.exp()

    def set_unit(self, unit: Tensor) -> None:
        """Remember the training mean, in units of which counts and amounts come."""
        if self.has_log_link:
            self.log_unit.copy_(unit.expand_as(self.log_unit).log())

    def as_seen(self, y: Tensor) -> Tensor:
        """Targets as a network reads them: counts and amounts as logarithms."""
        if not self.has_log_link:
            return y
        if self.name == "gamma":
            return y.clamp(min=1e-6).log()
        half = 0.5 * (-self.log_unit).exp()
        return ((y + half) / (1 + half)).log()

    def loss(
        self,
        output: Tensor,  # shape: (n_tasks, n_rows, n_outputs)
        rows: Rows,
    ) -> Tensor:  # shape: (n_tasks,)
        """Negative log-likelihood, without what no parameter changes."""
        center, spread = self._parts(output, rows.y)
        loss = getattr(self, f"_{self.name}")(center, spread, rows.y)
        return masked_mean(summed(loss), rows.mask)

    def deviance(
        self,
        output: Tensor,  # shape: (n_tasks, n_rows, n_outputs)
        rows: Rows,
    ) -> Tensor:  # shape: (n_tasks,)
        """What a support is adapted by: at least zero, and flat as a squared error.

        It has the minimum of `loss` in the means, in units in which a step size that
        fits standardised targets fits it as well.
        """
        center, spread = self._parts(output, rows.y)
        y = rows.y
        if self.name == "student_t":
            df, variance = self.degrees(), spread.exp()
            square = (y - center).square() / (variance * (df - 2))
            value = variance * (df - 2) * torch.log1p(square)
        elif self.name == "gamma":
            x = y.clamp(min=LEAST).log() - center
            value = 2 * (x.exp() - 1 - x)
        elif self.name == "poisson":
            value = 2 * (center.exp() - y - y * center + torch.xlogy(y, y))
        else:
            share = (-self.log_unit).exp()  # of the variance at the mean, Poisson's own
            size = (-spread - self.log_unit).exp()
            both = (y + size) * (torch.log(center.exp() + size) - torch.log(y + size))
            value = torch.xlogy(y, y) - y * center + both
            value = 2 * (1 + spread.exp() / share) * value
        return masked_mean(summed(value), rows.mask)

    def _parts(self, output: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        center, spread = of_targets(output, y)
        if spread is None:
            spread = getattr(self, "log_spread", center.new_zeros(()))
        if self.has_log_link:
            center = center.clamp(-LARGEST_LOG, LARGEST_LOG)
        return center, spread

    def _student_t(self, mean: Tensor, log_variance: Tensor, y: Tensor) -> Tensor:
        df = self.degrees()
        log_scale = log_variance + ((df - 2) / df).log()  # of the square
        square = (y - mean).square() * (-log_scale).exp() / df
        constant = torch.lgamma(df / 2) - torch.lgamma((df + 1) / 2) + 0.5 * df.log()
        return constant + 0.5 * log_scale + 0.5 * (df + 1) * torch.log1p(square)

    def _poisson(self, log_mean: Tensor, _: Tensor, y: Tensor) -> Tensor:
        # Divided by the unit, so that steps need not be the smaller the larger counts.
        return log_mean.exp() - y * log_mean

    def _negative_binomial(self, log_mean: Tensor, log_r: Tensor, y: Tensor) -> Tensor:
        count, size = y * self.log_unit.exp(), (-log_r).exp()
        x = log_mean + self.log_unit + log_r
        ratio = torch.lgamma(size) - torch.lgamma(count + size)
        return ratio + count * F.softplus(-x) + size * F.softplus(x)

    def _gamma(self, log_mean: Tensor, log_r: Tensor, y: Tensor) -> Tensor:
        shape, x = (-log_r).exp(), y.clamp(min=LEAST).log() - log_mean
        return torch.lgamma(shape) + shape * (log_r + x.exp() - x)


def likelihood_of(spec: TaskSpec, *, predicts_spread: bool) -> Likelihood | None:
    """The likelihood of the specification; None for the normal one, and for classes."""
    if spec.kind != TaskKind.REGRESSION or spec.likelihood == "gaussian":
        return None
    return Likelihood(spec, predicts_spread=predicts_spread)


def loss_of(
    learner: nn.Module,
    output: Tensor,  # shape: (n_tasks, n_rows, n_outputs)
    rows: Rows,
) -> Tensor:  # shape: (n_tasks,)
    """`row_loss`, or that of the learner's likelihood."""
    likelihood = getattr(learner, "likelihood", None)
    return (
        row_loss(output, rows) if likelihood is None else likelihood.loss(output, rows)
    )


def support_loss_of(
    learner: nn.Module,
    output: Tensor,  # shape: (n_tasks, n_rows, n_outputs)
    rows: Rows,
) -> Tensor:  # shape: (n_tasks,)
    """What gradient steps on a support lower; never below zero."""
    likelihood = getattr(learner, "likelihood", None)
    return (
        row_loss(output, rows)
        if likelihood is None
        else likelihood.deviance(output, rows)
    )
