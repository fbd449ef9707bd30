"""A Gaussian process on learned features for every task, with a prior of all tasks."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sklmeta.closed_form._cholesky import eye_like, jittered_cholesky
from sklmeta.closed_form._kernels import make_kernel
from sklmeta.closed_form._mixed_prior import MixedPrior
from sklmeta.data.kinds import TaskKind
from sklmeta.episodes.rows import Episodes, Rows
from sklmeta.learners.learner import ACTIVATION_BYTES, Learner, State, TaskSpec
from sklmeta.learners.losses import row_loss
from sklmeta.mixed_models.start import MixedStart

OBJECTIVES = ("marginal", "predictive")
MEANS = ("constant", "linear")

LEARNED_VARIANCE = 0.05
"""Of the learned kernel at the start, beside a mixed model's."""


class DeepKernelLearner(Learner):
    """Gaussian process of every task, whose kernel and mean are shared by all tasks.

    The model of one task is ``y = f(phi(x)) + noise`` with ``f ~ GP(m, k)``; ``phi``
    are the encoder's features. Meta-training learns the encoder, the parameters of the
    kernel, the mean and the variance of the noise.

    Classes are one-against-rest regressions on labels of plus and minus one (the
    paper's section 3.2), which share the kernel and so the factorisation. By the model
    the label of class c is normal with mean mu_c and variance ``v + noise``, where v is
    the same for all classes; that exactly one of the labels is plus one gives class c
    the logit ``2 mu_c / (v + noise)``, which is multiplied by a learned inverse
    temperature.

    Parameters
    ----------
    spec : TaskSpec
        The tasks, of any kind.

    encoder : nn.Module
        Maps (n, *input) to (n, spec.n_features_out).

    kernel : str, default="rbf"
        Name of a kernel, or several joined by "+".

    mean : {"constant", "linear"}, default="constant"
        Prior mean: constant, or linear in the features. With classes of each task's
        own it is constant, being the same for all classes.

    objective : {"marginal", "predictive"}, default="marginal"
        Loss of an episode: of its rows' marginal likelihood, or of the query's
        predictions.

    raw : bool, default=False
        Whether the raw features stand beside the encoder's.

    starts : bool, default=False
        Whether a mixed model is part of the prior; in regression on tables alone.

    min_noise : float, default=1e-2
        Smallest standard deviation of the noise, in units of the standardised target;
        it bounds the condition number of the systems to be solved.

    References
    ----------
    Patacchiola et al., "Bayesian Meta-Learning for the Few-Shot Setting via Deep
    Kernels", NeurIPS 2020.
    """

    encoder: nn.Module
    takes_weights = True
    decayed = r"encoder\."  # a mean, a noise and a kernel are not to shrink

    def __init__(
        self,
        spec: TaskSpec,
        encoder: nn.Module,
        *,
        kernel: str = "rbf",
        mean: str = "constant",
        objective: str = "marginal",
        raw: bool = False,
        starts: bool = False,
        min_noise: float = 1e-2,
    ):
        super().__init__(spec)
        self.encoder = encoder
        self.objective = objective
        self.min_noise = min_noise
        self.uses_raw = raw and len(spec.input_shape) == 1
        n_raw = spec.input_shape[0] if self.uses_raw else 0
        n_features = spec.n_features_out + n_raw
        self.n_learned = n_features
        self.kernel = make_kernel(kernel, n_features)
        self.log_noise = nn.Parameter(torch.tensor(-2.0))
        n_outputs = max(1, spec.n_classes)
        self.prior_mean = nn.Parameter(torch.zeros(n_outputs))
        if mean == "linear" and spec.kind != TaskKind.OWN:
            self.mean_weights = nn.Parameter(torch.zeros(n_features, n_outputs))
        else:
            self.register_parameter("mean_weights", None)
        if spec.kind != TaskKind.REGRESSION:
            self.log_temperature = nn.Parameter(torch.tensor(0.0))
        is_table = spec.kind == TaskKind.REGRESSION and len(spec.input_shape) == 1
        self.mixed: MixedPrior | None = None
        if starts and is_table:
            self.mixed = MixedPrior(spec.input_shape[0])

    def start_from(self, start: MixedStart) -> None:
        """Put the mixed model into the prior, and little of the kernel beside it."""
        if self.mixed is None:
            return
        self.mixed.start_from(start)
        noise = max(start.noise_variance - self.min_noise**2, 1e-8)
        with torch.no_grad():
            self.log_noise.fill_(math.log(noise))
            for term in self.kernel.parts():
                term.log_variance.fill_(math.log(LEARNED_VARIANCE))

    def features(
        self,
        X: Tensor,  # shape: (n_tasks, n_rows, *input)
    ) -> Tensor:  # shape: (n_tasks, n_rows, n_features)
        """The encoder's features, and perhaps the raw ones, in float64.

        Where there is a mixed model, its design follows: X and a constant.
        """
        blocks = [self.encode(X)]
        if self.uses_raw:
            blocks.append(X)
        if self.mixed is not None:
            blocks += [X, X.new_ones(*X.shape[:2], 1)]
        # Noise far below the signal makes the systems too ill-conditioned for float32.
        return torch.cat(blocks, dim=-1).to(torch.float64)

    def covariance(
        self,
        left: Tensor,  # shape: (n_tasks, n_left, n_features)
        right: Tensor,  # shape: (n_tasks, n_right, n_features)
    ) -> Tensor:  # shape: (n_tasks, n_left, n_right)
        """Prior covariances of the functions' values at all pairs of rows."""
        n = self.n_learned
        learned = self.kernel(left[..., :n], right[..., :n])
        if self.mixed is None:
            return learned
        return learned + self.mixed.covariance(left[..., n:], right[..., n:])

    def variances(
        self,
        rows: Tensor,  # shape: (n_tasks, n_rows, n_features)
    ) -> Tensor:  # shape: (n_tasks, n_rows)
        """Prior variances of the functions' values."""
        n = self.n_learned
        learned = self.kernel.diagonal(rows[..., :n])
        return (
            learned
            if self.mixed is None
            else learned + self.mixed.variance(rows[..., n:])
        )

    def noise_variance(self) -> Tensor:  # shape: ()
        """Variance of a target about its task's function."""
        return self.log_noise.to(torch.float64).exp() + self.min_noise**2

    def prior_state(self) -> State | None:
        """State of one task without any row; None with classes of a task's own."""
        return self.state_without_rows()

    def adapt(self, support: Rows) -> State:
        """Condition on the support.

        Returns
        -------
        state : dict
            In float64: ``features`` (n_tasks, n_rows, n_features), ``mask`` (n_tasks,
            n_rows) of ones and zeros, ``factor`` (n_tasks, n_rows, n_rows) the Cholesky
            factor of the covariance K of the targets, ``alpha`` (n_tasks, n_rows,
            n_outputs) the product of K^-1 and the targets' deviations from ``level``
            (n_tasks, n_outputs) and the linear part of the mean. With classes of a
            task's own, ``absent`` (n_tasks, n_classes) tells those without a row.
        """
        return self._posterior(self.features(support.X), support)

    def predict(
        self,
        state: State,
        X: Tensor,  # shape: (n_tasks, n_rows, *input)
    ) -> Tensor:  # shape: (n_tasks, n_rows, 2 or n_classes)
        """Mean and logarithm of the variance of a target; or logits."""
        return self._predictive(state, self.features(X)).to(X.dtype)

    def leave_one_out(
        self, state: State, support: Rows
    ) -> Tensor | None:  # shape: (n_tasks, n_rows, 2 or n_classes)
        """Predict each row from its task's others; None with classes of its own.

        There a class that has no other row would change the prior of all others.
        """
        if self.spec.kind == TaskKind.OWN:
            return None
        factor, alpha = state["factor"], state["alpha"]
        # Rasmussen and Williams, "Gaussian Processes for Machine Learning", 5.12.
        root = torch.linalg.solve_triangular(
            factor, eye_like(factor).expand_as(factor), upper=False
        )
        variance = 1 / root.square().sum(1)[..., None]
        residual = self._residual(state["features"], support, state["level"])
        prior = self._prior(state["features"], state["level"])
        return self._output(prior + residual - alpha * variance, variance, None)

    def meta_loss(self, episodes: Episodes) -> Tensor:  # shape: (n_tasks,)
        """Loss of each episode, a mean over its rows; both sets encoded at once."""
        support, query = episodes
        n_support = support.X.shape[1]
        features = self.of_both(episodes, self.features)
        of_support, of_query = features[:, :n_support], features[:, n_support:]
        dtype = query.X.dtype
        if self.objective == "predictive":
            state = self._posterior(of_support, support)
            return row_loss(self._predictive(state, of_query).to(dtype), query)
        rows = _joined(support, query)
        evidence, factor, white = self._evidence(features, rows)
        loss = -evidence / rows.mask.sum(1).clamp(min=1)
        if self.spec.kind != TaskKind.REGRESSION:
            # The marginal likelihood says nothing of the temperature. The factor of all
            # rows begins with the support's, and beside that stands the query.
            with torch.no_grad():
                beside = factor[:, n_support:, :n_support]
                prior = self._prior(of_query, self._level(support))
                mean = prior + beside @ white[:, :n_support]
                variance = self._variance(of_query, beside.mT)
            absent = _is_absent(support) if self.spec.kind == TaskKind.OWN else None
            loss = loss + row_loss(self._output(mean, variance, absent), query)
        return loss.to(dtype)

    def log_marginal_likelihood(
        self,
        features: Tensor,  # shape: (n_tasks, n_rows, n_features)
        rows: Rows,
    ) -> Tensor:  # shape: (n_tasks,)
        """Log-density of all targets of each task; of classes, the mean over them."""
        return self._evidence(features, rows)[0]

    def _evidence(
        self,
        features: Tensor,  # shape: (n_tasks, n_rows, n_features)
        rows: Rows,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Log-density (n_tasks,), the factor, and its solution of the deviations."""
        residual = self._residual(features, rows, self._level(rows))
        factor = self._factor(features, rows.mask)
        white = torch.linalg.solve_triangular(factor, residual, upper=False)
        fit = white.square().sum(1)  # (n_tasks, n_outputs)
        log_determinant = 2 * factor.diagonal(dim1=-2, dim2=-1).log().sum(-1)
        constant = rows.mask.sum(1) * math.log(2 * math.pi)
        of_outputs = -0.5 * (fit + (log_determinant + constant)[:, None])
        has = torch.ones_like(of_outputs)
        if rows.ways is not None:
            index = torch.arange(rows.n_classes, device=rows.ways.device)
            has = (index < rows.ways[:, None]).to(has.dtype)
        return (of_outputs * has).sum(1) / has.sum(1), factor, white

    def _posterior(
        self,
        features: Tensor,  # shape: (n_tasks, n_rows, n_features)
        support: Rows,
    ) -> State:
        level = self._level(support)
        factor = self._factor(features, support.mask)
        residual = self._residual(features, support, level)
        state = {
            "features": features,
            "mask": (support.mask > 0).to(features.dtype),
            "factor": factor,
            "alpha": torch.cholesky_solve(residual, factor),
            "level": level,
        }
        if self.spec.kind == TaskKind.OWN:
            state["absent"] = _is_absent(support)
        return state

    def _predictive(
        self,
        state: State,
        features: Tensor,  # shape: (n_tasks, n_rows, n_features)
    ) -> Tensor:  # shape: (n_tasks, n_rows, 2 or n_classes)
        cross = self.covariance(features, state["features"]) * state["mask"][:, None]
        mean = self._prior(features, state["level"]) + cross @ state["alpha"]
        white = torch.linalg.solve_triangular(state["factor"], cross.mT, upper=False)
        return self._output(mean, self._variance(features, white), state.get("absent"))

    def _variance(
        self,
        features: Tensor,  # shape: (n_tasks, n_rows, n_features)
        white: Tensor,  # shape: (n_tasks, n_support, n_rows)
    ) -> Tensor:  # shape: (n_tasks, n_rows, 1)
        # The difference of two large numbers may round to below zero.
        latent = (self.variances(features) - white.square().sum(1)).clamp(min=0)
        return (latent + self.noise_variance())[..., None]

    def _output(
        self, mean: Tensor, variance: Tensor, absent: Tensor | None
    ) -> Tensor:  # shape: (n_tasks, n_rows, 2 or n_classes)
        if self.spec.kind == TaskKind.REGRESSION:
            return torch.cat([mean, variance.log()], dim=-1)
        temperature = self.log_temperature.to(mean.dtype).exp()
        logits = temperature * 2 * mean / variance
        if absent is not None:
            logits = logits.masked_fill(absent[:, None], -torch.inf)
        return logits

    def _level(self, rows: Rows) -> Tensor:  # shape: (n_tasks, n_outputs)
        """The constant part of the prior mean."""
        level = self.prior_mean.to(torch.float64).expand(len(rows.X), -1)
        if self.spec.kind == TaskKind.REGRESSION:
            return level
        ways = level.new_full((len(rows.X),), rows.n_classes)
        if rows.ways is not None:
            ways = rows.ways.to(level.dtype)
        # The mean of a label where all classes are equally likely.
        return (level + (2 / ways - 1)[:, None]).expand(-1, rows.n_classes)

    def _prior(
        self,
        features: Tensor,  # shape: (n_tasks, n_rows, n_features)
        level: Tensor,  # shape: (n_tasks, n_outputs)
    ) -> Tensor:  # shape: (n_tasks, 1 or n_rows, n_outputs)
        mean, n = level[:, None], self.n_learned
        if self.mean_weights is not None:
            mean = mean + features[..., :n] @ self.mean_weights.to(features.dtype)
        if self.mixed is not None:
            mean = mean + self.mixed.mean(features[..., n:])
        return mean

    def _residual(
        self,
        features: Tensor,  # shape: (n_tasks, n_rows, n_features)
        rows: Rows,
        level: Tensor,  # shape: (n_tasks, n_outputs)
    ) -> Tensor:  # shape: (n_tasks, n_rows, n_outputs)
        """Deviations of the targets from the prior mean; 0 for padding."""
        if self.spec.kind == TaskKind.REGRESSION:
            targets = rows.y.to(features.dtype)[..., None]
        else:
            targets = 2 * F.one_hot(rows.y, rows.n_classes).to(features.dtype) - 1
        return (targets - self._prior(features, level)) * (rows.mask > 0)[..., None]

    def _factor(
        self,
        features: Tensor,  # shape: (n_tasks, n_rows, n_features)
        mask: Tensor,  # shape: (n_tasks, n_rows)
    ) -> Tensor:  # shape: (n_tasks, n_rows, n_rows)
        """Cholesky factor of the targets' covariance; padding has the unit matrix's.

        A row of weight w has the noise's variance divided by w.
        """
        mask, weight = (mask > 0).to(features.dtype), mask.to(features.dtype)
        gram = self.covariance(features, features) * mask[:, :, None] * mask[:, None]
        noise = self.noise_variance() * mask / torch.where(mask > 0, weight, 1)
        noise = noise + (1 - mask)
        return jittered_cholesky(gram + noise.diag_embed(), mask)

    def auto_chunk_size(self, episodes: Episodes) -> int:
        """As many tasks as keep the encoder's activations and the kernel small."""
        n_tasks = super().auto_chunk_size(episodes)
        if episodes.query.X.device.type != "cpu":
            return n_tasks
        n_rows = sum(rows.X.shape[1] for rows in episodes)
        return max(1, min(n_tasks, ACTIVATION_BYTES // (8 * n_rows**2)))


def _is_absent(support: Rows) -> Tensor:  # shape: (n_tasks, n_classes)
    members = F.one_hot(support.y, support.n_classes) * support.mask[..., None]
    return members.sum(1) == 0


def _joined(support: Rows, query: Rows) -> Rows:
    """The rows of both sets, side by side."""
    X, y, mask = (
        torch.cat([getattr(rows, name) for rows in (support, query)], dim=1)
        for name in ("X", "y", "mask")
    )
    return support._replace(X=X, y=y, mask=mask)
