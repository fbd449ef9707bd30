"""Bayesian linear regression on learned features, with a learned prior (ALPaCA)."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import numbers
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sklmeta._compat import Interval, StrOptions
from sklmeta.closed_form.bayesian_linear_learner import BayesianLinearLearner
from sklmeta.estimator.faces import PredictiveStdMixin
from sklmeta.estimator.meta import BaseMetaEstimator
from sklmeta.learners.learner import Learner, TaskSpec

Units = tuple[NDArray[np.float64], NDArray[np.float64]]
"""A linear map of coefficients, and its shift."""


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
    `n_threads`, `random_state`, `verbose`, `max_time`, `checkpoint_dir`,
    `accelerator` and `warm_start`.

    Attributes
    ----------
    prior_mean_ : ndarray of shape (n_coefficients,)
        Mean of a task's coefficients by the learned prior, in the units of X and y:
        those of the encoder's features, of the features of X, and the intercept.

    prior_covariance_ : ndarray of shape (n_coefficients, n_coefficients)
        Their covariance. Without an encoder it says how much tasks differ, and in what.

    noise_std_ : float
        Standard deviation of a target about its task's function, in the units of y.
        With several targets, here and in the two above, the first axis is theirs.

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

    _several_targets = True

    @property
    def prior_mean_(self) -> NDArray[np.float64]:
        """Mean of a task's coefficients, by the learned prior."""

        def in_units(mean: NDArray, units: Units) -> NDArray:
            return units[0] @ mean + units[1]

        return self._in_user_units(_prior_mean, in_units)

    @property
    def prior_covariance_(self) -> NDArray[np.float64]:
        """Covariance of a task's coefficients, by the learned prior."""

        def in_units(covariance: NDArray, units: Units) -> NDArray:
            return units[0] @ covariance @ units[0].T

        return self._in_user_units(BayesianLinearLearner.prior_covariance, in_units)

    @property
    def noise_std_(self) -> Any:
        """Standard deviation of a target about its task's linear function."""
        variance = self._of_learner(BayesianLinearLearner.noise_variance)
        std = np.sqrt(variance) * self._fitted.y_scaling.unit
        return float(std) if self._fitted.n_targets == 1 else std

    def _in_user_units(
        self,
        quantity: Callable[[BayesianLinearLearner], Tensor],
        convert: Callable[[NDArray, Units], NDArray],
    ) -> NDArray[np.float64]:
        values = self._of_learner(quantity)
        if self._fitted.n_targets == 1:
            return convert(values, self._to_user_units(0))
        return np.stack(
            [convert(v, self._to_user_units(k)) for k, v in enumerate(values)]
        )

    def _to_user_units(self, k: int) -> Units:
        """The linear map of coefficients from standardised units, and its shift."""
        size = self._of_learner(_prior_mean).shape[-1]
        x_scaling, y_scaling = self._fitted.x_scaling, self._fitted.y_scaling
        unit = np.ravel(y_scaling.unit)[min(k, np.size(y_scaling.unit) - 1)]
        linear, shift = np.eye(size) * unit, np.zeros(size)
        if x_scaling.scale is not None and x_scaling.mean is not None:
            raw = slice(size - 1 - len(x_scaling.scale), size - 1)
            linear[raw, raw] /= x_scaling.scale
            linear[-1, raw] = -unit * x_scaling.mean / x_scaling.scale
        shift[-1] = 0.0 if y_scaling.mean is None else np.ravel(y_scaling.mean)[k]
        return linear, shift

    def _make_learner(self, spec: TaskSpec, encoder: nn.Module) -> Learner:
        encoder_or_none = self._unless_empty(encoder)
        starts = self.start is not None
        return BayesianLinearLearner(
            spec, encoder_or_none, rank=self.rank, starts=starts
        )
