"""Bayesian linear regression on learned features, with a learned prior (ALPaCA)."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import math
import numbers

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sklmeta._compat import Interval, StrOptions
from sklmeta.closed_form._cholesky import eye_like, stable_cholesky
from sklmeta.episodes.rows import Episodes, Rows
from sklmeta.estimator.faces import PredictiveStdMixin
from sklmeta.estimator.meta import BaseMetaEstimator
from sklmeta.learners.learner import Learner, State, TaskSpec
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
        self.prior_mean = nn.Parameter(torch.zeros(n_features))
        # The features together, and the constant alone, each explain a variance of
        # about 1, that of the standardised target.
        log_diagonal = torch.full((n_features,), -math.log(n_features))
        log_diagonal[-1] = 0.0
        self.log_diagonal = nn.Parameter(log_diagonal)
        if starts:  # beside those of the mixed model
            rank += min(self.n_raw + 1, MOST_STARTED)
        rank = min(rank, n_features)
        low_rank = 0.1 * torch.randn(n_features, rank) / math.sqrt(n_features)
        self.low_rank = nn.Parameter(low_rank)
        self.log_noise = nn.Parameter(torch.tensor(-2.0))

    def start_from(self, start: MixedStart) -> None:
        """Take the mixed model's prior for the raw features, and little for others."""
        raw = slice(self.n_encoded, None)
        values, vectors = np.linalg.eigh(start.covariance)
        kept = min(self.low_rank.shape[1], MOST_STARTED, len(values))
        values, vectors = values[::-1][:kept], vectors[:, ::-1][:, :kept]
        factors = vectors * np.sqrt(np.maximum(values, 0.0))
        rest = np.diag(start.covariance) - np.square(factors).sum(1)
        rest = np.maximum(rest, LEAST_VARIANCE)
        with torch.no_grad():
            self.prior_mean[raw] = torch.as_tensor(start.mean).float()
            self.low_rank[raw] = 0.0
            self.low_rank[:, :kept] = 0.0  # other features do not vary with these
            self.low_rank[raw, :kept] = torch.as_tensor(factors.copy()).float()
            self.log_diagonal[raw] = torch.as_tensor(rest).log().float()
            if self.n_encoded:
                self.log_diagonal[: self.n_encoded] = math.log(ENCODED_VARIANCE)
            noise = max(start.noise_variance - self.min_noise**2, 1e-8)
            self.log_noise.fill_(math.log(noise))

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

    def noise_variance(self) -> Tensor:  # shape: ()
        """Variance of a target about its task's linear function."""
        return self.log_noise.to(torch.float64).exp() + self.min_noise**2

    def prior_state(self) -> State:
        """State of one task without any row."""
        mean = self.prior_mean[None].to(torch.float64)
        return {"mean": mean, "reduction": mean.new_zeros(1, mean.shape[1], 0)}

    def adapt(self, support: Rows) -> State:
        """Posterior of the head, in row space or feature space, whichever is smaller.

        Returns
        -------
        state : dict
            In float64: ``mean`` (n_tasks, n_features), and of the covariance either
            ``reduction`` (n_tasks, n_features, n_rows), R in prior covariance -
            R @ R.T, or ``factor`` (n_tasks, n_features, n_features), F in F @ F.T.
        """
        return self._posterior(self.features(support.X), support)

    def predict(
        self,
        state: State,
        X: Tensor,  # shape: (n_tasks, n_rows, *input)
    ) -> Tensor:  # shape: (n_tasks, n_rows, 2)
        """Mean and logarithm of the variance of the predictive distribution."""
        return self._predictive(state, self.features(X)).to(X.dtype)

    def leave_one_out(
        self, state: State, support: Rows
    ) -> Tensor:  # shape: (n_tasks, n_rows, 2)
        """Mean and logarithm of the variance, of each row from its task's others."""
        output = self._predictive(state, self.features(support.X))
        mean, variance = output[..., 0], output[..., 1].exp()
        noise = self.noise_variance()
        # The posterior variance of the function at a row is its leverage times noise.
        remaining = 2 - variance / noise
        mean = support.y - (support.y - mean) / remaining
        return torch.stack([mean, (noise / remaining).log()], dim=-1)

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
        # Rows of zeros with residual zero add nothing to any of the sums below.
        mask = support.mask.to(features.dtype).sqrt()
        features = features * mask[..., None]
        residual = support.y * mask - features @ self.prior_mean.to(features.dtype)
        if features.shape[1] < features.shape[2]:
            return self._posterior_in_row_space(features, residual)
        return self._posterior_in_feature_space(features, residual)

    def _posterior_in_row_space(
        self,
        features: Tensor,  # shape: (n_tasks, n_rows, n_features)
        residual: Tensor,  # shape: (n_tasks, n_rows)
    ) -> State:
        diagonal, low_rank = self._prior_covariance()
        cross = features * diagonal + features @ low_rank @ low_rank.mT
        gram = cross @ features.mT
        factor = stable_cholesky(gram + self.noise_variance() * eye_like(gram))
        # One triangular solve serves the mean and the covariance.
        right = torch.cat([cross, residual[..., None]], dim=-1)
        solved = torch.linalg.solve_triangular(factor, right, upper=False)
        reduction = solved[..., :-1].mT
        shift = (reduction @ solved[..., -1:])[..., 0]
        return {"mean": self.prior_mean + shift, "reduction": reduction}

    def _posterior_in_feature_space(
        self,
        features: Tensor,  # shape: (n_tasks, n_rows, n_features)
        residual: Tensor,  # shape: (n_tasks, n_rows)
    ) -> State:
        # In coordinates where the prior is N(0, I) the precision is at least I.
        diagonal, low_rank = self._prior_covariance()
        root = stable_cholesky((low_rank @ low_rank.mT + diagonal.diag())[None])[0]
        noise = self.noise_variance().sqrt()
        white = features @ root / noise
        precision = white.mT @ white
        factor = stable_cholesky(precision + eye_like(precision))
        moment = white.mT @ (residual[..., None] / noise)
        right = torch.cat([root.mT.expand_as(precision), moment], dim=-1)
        solved = torch.linalg.solve_triangular(factor, right, upper=False)
        posterior = solved[..., :-1].mT
        shift = (posterior @ solved[..., -1:])[..., 0]
        return {"mean": self.prior_mean + shift, "factor": posterior}

    def _predictive(
        self,
        state: State,
        features: Tensor,  # shape: (n_tasks, n_rows, n_features)
    ) -> Tensor:  # shape: (n_tasks, n_rows, 2)
        state = {name: value.to(features.dtype) for name, value in state.items()}
        mean = features @ state["mean"][..., None]
        if "factor" in state:
            variance = (features @ state["factor"]).square().sum(-1)
        else:
            diagonal, low_rank = self._prior_covariance()
            prior = features.square() @ diagonal
            prior = prior + (features @ low_rank).square().sum(-1)
            reduction = (features @ state["reduction"]).square().sum(-1)
            # The difference of two large numbers may round to below zero.
            variance = (prior - reduction).clamp(min=0)
        log_variance = (variance + self.noise_variance()).log()
        return torch.cat([mean, log_variance[..., None]], dim=-1)

    def prior_covariance(self) -> Tensor:  # shape: (n_features, n_features)
        """Covariance of a task's weights."""
        diagonal, low_rank = self._prior_covariance()
        return diagonal.diag() + low_rank @ low_rank.mT

    def _prior_covariance(self) -> tuple[Tensor, Tensor]:
        """Diagonal (n_features,) and low-rank factor (n_features, rank)."""
        dtype = torch.float64
        return self.log_diagonal.to(dtype).exp(), self.low_rank.to(dtype)


def _prior_mean(learner: BayesianLinearLearner) -> Tensor:  # shape: (n_features,)
    return learner.prior_mean


class BayesianLinearRegressor(PredictiveStdMixin, BaseMetaEstimator):
    """Bayesian linear regression with a prior learned across tasks (ALPaCA).

    A task's target is linear in the features of a meta-learned encoder and in the raw
    features; the weights have a normal prior whose mean and covariance are learned.
    Adaptation is the closed-form posterior: it takes no step size, cannot diverge, and
    comes with a predictive standard deviation. With ``hidden_layer_sizes=()`` there is
    no encoder, and it is the empirical-Bayes linear mixed model.

    Parameters
    ----------
    rank : int, default=16
        Rank of the low-rank part of the prior covariance, beside what the mixed model
        brings; 0 makes it diagonal where there is none.

    start : {"mixed_model"} or None, default="mixed_model"
        What meta-training starts from: a linear mixed model of the training tasks, as
        of `MixedModelRegressor`. Before the first update tasks are predicted nearly as
        by it, and the network learns what it lacks. One table, fewer than three tasks,
        and inputs other than rows of numbers start from nothing, as all do with None.

    See `sklmeta.estimator.Parameters` for the encoder's `module`, `module_params`,
    `hidden_layer_sizes` and `activation`; the episodes' ``n_shots=(1, 20)``,
    ``n_query=32`` and `support`; the training's ``meta_batch_size=4``,
    ``max_iter=2000``, ``lr=0.01``, `lr_schedule`, ``optimizer="AdamW"``,
    `optimizer_params`, ``weight_decay=0.01``, `max_grad_norm`, `chunk_size`,
    ``early_stopping="folds"``, `validation_fraction`, `n_iter_no_change` and
    `callbacks`; and for `standardize`, `transductive`, `device`, `compile`,
    `n_threads`, `random_state`, `verbose` and `warm_start`.

    Attributes
    ----------
    prior_mean_ : ndarray of shape (n_coefficients,)
        Mean of a task's coefficients by the learned prior, in the units of X and y:
        those of the encoder's features, of the features of X, and the intercept.

    prior_covariance_ : ndarray of shape (n_coefficients, n_coefficients)
        Their covariance. Without an encoder it says how much tasks differ, and in what.

    noise_std_ : float
        Standard deviation of a target about its task's function, in the units of y.

    See `sklmeta.estimator.Parameters` for `tasks_`, `engine_`, `n_features_in_`,
    `feature_names_in_`, `n_iter_`, `history_`, `compile_time_` and `n_guarded_`.

    See Also
    --------
    TransformerNeuralProcessRegressor : Adapts by a forward pass over the support.
    MAMLRegressor : Adapts by gradient steps.

    Notes
    -----
    Adapting costs the cube of the number of support rows or of features, whichever is
    smaller. Do not use it where a task has thousands of features and rows.

    With few tasks to learn from, keep `meta_batch_size` small: in larger meta-batches
    the meta-gradient is less noisy, and the features fit those tasks alone.

    References
    ----------
    Harrison, Sharma and Pavone, "Meta-Learning Priors for Efficient Online Bayesian
    Regression", WAFR 2018.

    Examples
    --------
    >>> from sklmeta import BayesianLinearRegressor
    >>> from sklmeta.datasets import make_linear_tasks
    >>> X, y, task = make_linear_tasks(40, random_state=0)
    >>> old = task < 39
    >>> est = BayesianLinearRegressor(max_iter=100, random_state=0)
    >>> est = est.fit(X[old], y[old], task=task[old])
    >>> est = est.adapt(X[~old][:5], y[~old][:5])
    >>> y_mean, y_std = est.predict(X[~old][5:], return_std=True)
    >>> y_mean.shape, y_std.shape
    ((15,), (15,))
    """

    rank: int = 16
    start: str | None = "mixed_model"
    n_shots: int | tuple[int, int] = (1, 20)
    n_query: int = 32
    # Many small meta-batches: with few tasks to learn from, the noise of the
    # meta-gradient keeps the features from fitting those tasks alone.
    meta_batch_size: int = 4
    max_iter: int = 2000
    early_stopping: bool | str = "folds"
    lr: float = 1e-2
    optimizer: str | type[torch.optim.Optimizer] = "AdamW"
    weight_decay: float = 0.01

    _parameter_constraints = {
        "rank": [Interval(numbers.Integral, 0, None, closed="left")],
        "start": [StrOptions({"mixed_model"}), None],
    }

    @property
    def prior_mean_(self) -> NDArray[np.float64]:
        """Mean of a task's coefficients, by the learned prior."""
        linear, shift = self._to_user_units()
        return linear @ self._of_learner(_prior_mean) + shift

    @property
    def prior_covariance_(self) -> NDArray[np.float64]:
        """Covariance of a task's coefficients, by the learned prior."""
        linear, _ = self._to_user_units()
        covariance = self._of_learner(BayesianLinearLearner.prior_covariance)
        return linear @ covariance @ linear.T

    @property
    def noise_std_(self) -> float:
        """Standard deviation of a target about its task's linear function."""
        variance = self._of_learner(BayesianLinearLearner.noise_variance)
        return float(np.sqrt(variance) * self._fitted.y_scaling.unit)

    def _to_user_units(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The linear map of coefficients from standardised units, and its shift."""
        size = len(self._of_learner(_prior_mean))
        x_scaling, y_scaling = self._fitted.x_scaling, self._fitted.y_scaling
        linear, shift = np.eye(size) * y_scaling.unit, np.zeros(size)
        if x_scaling.scale is not None and x_scaling.mean is not None:
            raw = slice(size - 1 - len(x_scaling.scale), size - 1)
            linear[raw, raw] /= x_scaling.scale
            linear[-1, raw] = -y_scaling.unit * x_scaling.mean / x_scaling.scale
        shift[-1] = 0.0 if y_scaling.mean is None else float(y_scaling.mean)
        return linear, shift

    def _make_learner(self, spec: TaskSpec, encoder: nn.Module) -> Learner:
        encoder_or_none = self._unless_empty(encoder)
        starts = self.start is not None
        return BayesianLinearLearner(
            spec, encoder_or_none, rank=self.rank, starts=starts
        )
