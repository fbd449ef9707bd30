"""What Bayesian linear regression learns: features, and a prior over their weights."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from sklmeta.closed_form._linear_prior import LinearPrior
from sklmeta.episodes.rows import Episodes, Rows
from sklmeta.learners.learner import State, TaskSpec
from sklmeta.learners.losses import row_loss
from sklmeta.learners.raw_features import RawFeaturesLearner
from sklmeta.mixed_models.start import MixedStart

ENCODED_VARIANCE = 1e-4
"""What the encoder's features may explain at the start, beside a mixed model."""

LEAST_VARIANCE = 1e-6

MOST_STARTED = 64
"""Factors of the mixed model's covariance that are taken over one by one."""


class BayesianLinearLearner(RawFeaturesLearner):
    """Gaussian posterior over a linear head, given a prior learned across tasks.

    The model of one task is ``y = phi(x) @ w + noise`` with
    ``w ~ N(w0, diag(d) + L @ L.T)``; ``phi`` holds the encoder's features, the raw
    ones and a constant. Meta-training lowers the negative log predictive density of
    the query, by gradients through the posterior, in ``phi``, ``w0``, ``d``, ``L``
    and the variance of the noise.

    Parameters
    ----------
    spec : TaskSpec
        The tasks: ``kind="regression"``.

    encoder : nn.Module or None
        Maps (n, *input) to (n, spec.n_features_out). None leaves the raw features and
        the constant: the empirical-Bayes linear mixed model.

    rank : int, default=16
        Rank of the low-rank part of the prior covariance; 0 makes it diagonal.

    min_noise : float, default=1e-2
        Smallest standard deviation of the noise, in units of the standardised target;
        it bounds the condition number of the systems to be solved.

    starts : bool, default=False
        Whether training starts from a mixed model.

    References
    ----------
    Harrison, Sharma and Pavone, "Meta-Learning Priors for Efficient Online Bayesian
    Regression", WAFR 2018.
    """

    takes_weights = True

    def __init__(
        self,
        spec: TaskSpec,
        encoder: nn.Module | None,
        *,
        rank: int = 16,
        min_noise: float = 1e-2,
        starts: bool = False,
    ):
        super().__init__(spec, encoder)
        # Beside a mixed model a step of all the encoded features' weights at once must
        # not be larger than one of a raw feature's.
        self.encoded_scale = max(1, self.n_encoded) ** -0.5 if starts else 1.0
        n_features = self.n_encoded + self.n_raw + 1
        self.min_noise = min_noise
        each = spec.target_shape  # a prior for each
        self.prior_mean = nn.Parameter(torch.zeros(*each, n_features))
        # The features together, and the constant alone, each explain a variance of
        # about 1, that of the standardised target.
        log_diagonal = torch.full((*each, n_features), -math.log(n_features))
        log_diagonal[..., -1] = 0.0
        self.log_diagonal = nn.Parameter(log_diagonal)
        if starts:  # beside those of the mixed model
            rank += min(self.n_raw + 1, MOST_STARTED)
        rank = min(rank, n_features)
        low_rank = 0.1 * torch.randn(*each, n_features, rank) / math.sqrt(n_features)
        self.low_rank = nn.Parameter(low_rank)
        self.log_noise = nn.Parameter(torch.full(each, -2.0))

    @property
    def is_one(self) -> bool:
        """Whether there is one target; parameters of several have an axis for them."""
        return self.spec.n_targets == 1

    def start_from(self, start: MixedStart | Sequence[MixedStart]) -> None:
        """Take the mixed model's prior for the raw features, and little for others."""
        each = [start] if isinstance(start, MixedStart) else start
        with torch.no_grad():
            for prior, own in zip(self.priors(), each, strict=True):
                self._start_target(prior, own)

    def _start_target(self, prior: LinearPrior, start: MixedStart) -> None:
        mean, log_diagonal, low_rank, log_noise, _ = prior
        raw = slice(self.n_encoded, None)
        values, vectors = np.linalg.eigh(start.covariance)
        kept = min(low_rank.shape[1], MOST_STARTED, len(values))
        values, vectors = values[::-1][:kept], vectors[:, ::-1][:, :kept]
        factors = vectors * np.sqrt(np.maximum(values, 0.0))
        rest = np.diag(start.covariance) - np.square(factors).sum(1)
        rest = np.maximum(rest, LEAST_VARIANCE)
        mean[raw] = torch.as_tensor(start.mean).float()
        low_rank[raw] = 0.0
        low_rank[:, :kept] = 0.0  # other features do not vary with these
        low_rank[raw, :kept] = torch.as_tensor(factors.copy()).float()
        log_diagonal[raw] = torch.as_tensor(rest).log().float()
        if self.n_encoded:
            log_diagonal[: self.n_encoded] = math.log(ENCODED_VARIANCE)
        noise = max(start.noise_variance - self.min_noise**2, 1e-8)
        log_noise.fill_(math.log(noise))

    def priors(self) -> list[LinearPrior]:
        """Prior and noise of each target."""
        own = self.prior_mean, self.log_diagonal, self.low_rank, self.log_noise
        if self.is_one:
            return [LinearPrior(*own, self.min_noise)]
        each = zip(*(values.unbind() for values in own), strict=True)
        return [LinearPrior(m, d, low, s, self.min_noise) for m, d, low, s in each]

    def features(
        self,
        X: Tensor,  # shape: (n_tasks, n_rows, *input)
    ) -> Tensor:  # shape: (n_tasks, n_rows, n_features)
        """Encoder's features, raw features and a constant, in float64."""
        blocks = [*self.feature_blocks(X), X.new_ones(*X.shape[:2], 1)]
        if self.n_encoded:
            blocks[0] = blocks[0] * self.encoded_scale
        # Noise far below the signal makes the systems too ill-conditioned for float32:
        # pivots round to zero and a single episode's loss reaches 1e17.
        return torch.cat(blocks, dim=-1).to(torch.float64)

    def noise_variance(self) -> Tensor:  # shape: () or (n_targets,)
        """Variance of a target about its task's linear function."""
        return self.log_noise.to(torch.float64).exp() + self.min_noise**2

    def prior_state(self) -> State:
        """State of one task without any row."""
        mean = self.prior_mean[None].to(torch.float64)
        return {"mean": mean, "reduction": mean.new_zeros(*mean.shape, 0)}

    def adapt(self, support: Rows) -> State:
        """Posterior of the head, in row space or feature space, whichever is smaller.

        Returns
        -------
        state : dict
            In float64: ``mean`` (n_tasks, n_features), and of the covariance either
            ``reduction`` (n_tasks, n_features, n_rows), R in prior covariance -
            R @ R.T, or ``factor`` (n_tasks, n_features, n_features), F in F @ F.T.
            With several targets, an axis for them comes after that of the tasks.
        """
        return self._posterior(self.features(support.X), support)

    def predict(
        self,
        state: State,
        X: Tensor,  # shape: (n_tasks, n_rows, *input)
    ) -> Tensor:  # shape: (n_tasks, n_rows, 2 * n_targets)
        """Mean and logarithm of the variance of the predictive distribution."""
        return self._predictive(state, self.features(X)).to(X.dtype)

    def leave_one_out(
        self, state: State, support: Rows
    ) -> Tensor:  # shape: (n_tasks, n_rows, 2 * n_targets)
        """Mean and logarithm of the variance, of each row from its task's others."""
        output = self._predictive(state, self.features(support.X))
        n, y = self.spec.n_targets, support.y.reshape(*output.shape[:2], -1)
        mean, variance = output[..., :n], output[..., n:].exp()
        noise = self.noise_variance()
        # The posterior variance of the function at a row is its leverage times noise.
        remaining = 2 - variance / noise
        mean = y - (y - mean) / remaining
        return torch.cat([mean, (noise / remaining).log()], dim=-1)

    def meta_loss(self, episodes: Episodes) -> Tensor:  # shape: (n_tasks,)
        """Negative log predictive density of the query; both sets encoded at once."""
        support, query = episodes
        features = self.of_both(episodes, self.features)
        n_support = support.X.shape[1]
        state = self._posterior(features[:, :n_support], support)
        output = self._predictive(state, features[:, n_support:])
        return row_loss(output.to(query.y.dtype), query)

    def _posterior(
        self,
        features: Tensor,  # shape: (n_tasks, n_rows, n_features)
        support: Rows,
    ) -> State:
        # Rows of zeros with residual zero add nothing to the posterior; a row of weight
        # w has the noise's variance divided by w.
        mask = support.mask.to(features.dtype).sqrt()
        features = features * mask[..., None]
        each = [support.y] if self.is_one else support.y.unbind(-1)
        states = [
            prior.posterior(features, y * mask - features @ prior.mean.to(mask))
            for prior, y in zip(self.priors(), each, strict=True)
        ]
        if self.is_one:
            return states[0]
        return {name: torch.stack([s[name] for s in states], 1) for name in states[0]}

    def _predictive(
        self,
        state: State,
        features: Tensor,  # shape: (n_tasks, n_rows, n_features)
    ) -> Tensor:  # shape: (n_tasks, n_rows, 2 * n_targets)
        priors = self.priors()
        if self.is_one:
            return torch.cat(priors[0].predictive(state, features), dim=-1)
        found = [
            prior.predictive({name: v[:, k] for name, v in state.items()}, features)
            for k, prior in enumerate(priors)
        ]
        means, log_variances = zip(*found, strict=True)
        return torch.cat([*means, *log_variances], dim=-1)

    def prior_covariance(
        self,
    ) -> Tensor:  # shape: ([n_targets,] n_features, n_features)
        """Covariance of a task's weights."""
        found = [prior.covariance() for prior in self.priors()]
        return found[0] if self.is_one else torch.stack(found)
