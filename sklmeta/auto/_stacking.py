"""Weights of a blend that depend on the number of rows and on the support's losses.

Stacked generalisation (van der Laan, Polley and Hubbard, "Super Learner", 2007): the
weights are those that would have blended best on tasks the members had not seen.
"""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import softmax

from sklmeta.auto._support_losses import CLIP

PENALTY = 0.02
"""Of the squared coefficients, over the number of tasks: draws of one task tell less
than as many tasks. Chosen from .01 to 1 on the sets of `benchmarks.shared.grouped` that
are for tuning, with 12 training tasks and with two thirds of all."""

LEAST_WEIGHT = 0.05
"""That one number of rows at least must give a member of the default portfolio."""

Floats = NDArray[np.float64]
Codes = NDArray[np.intp]


class Evidence(NamedTuple):
    """What the members predicted for rows of tasks that they had not seen.

    A case is a task with one draw of its support.
    """

    predictions: Floats  # shape: (n_rows, n_members); of the true class, if classes
    y: Floats  # shape: (n_rows,); ones for classes
    case: Codes  # shape: (n_rows,)
    shots: Codes  # shape: (n_cases,)
    losses: Floats  # shape: (n_cases, n_members); NaN for fewer than two support rows

    def of(self, members: Any) -> Evidence:
        """What some members say."""
        return self._replace(
            predictions=self.predictions[:, members], losses=self.losses[:, members]
        )


class WeightModel(NamedTuple):
    """Softmax weights, log-linear in the number of rows and the support's losses."""

    coefficients: Floats  # shape: (4, n_members); of `_design`
    trust: Floats  # shape: (2,); in the losses, of `_trust_design`
    centre: float
    scale: float
    is_log_loss: bool
    judged_by: str = "fifths"  # how the losses are measured; files of before say none

    def weights(self, shots: Codes, losses: Floats) -> Floats:
        """Return weights of shape (n_cases, n_members), which sum to one."""
        advantage = relative(losses, self.is_log_loss)
        return softmax(self._logits(shots, advantage), axis=1)

    def of_interest(self, evidence: Evidence) -> NDArray[np.bool_]:
        """Which members weigh enough, on average over cases with some number of rows.

        Those that do not cost time with every new task, and change little.
        """
        weights = self.weights(evidence.shots, evidence.losses)
        means = [
            weights[evidence.shots == k].mean(0) for k in np.unique(evidence.shots)
        ]
        return np.max(means, axis=0) >= LEAST_WEIGHT

    def _design(self, shots: Codes) -> Floats:
        """One, log(1 + rows), and whether there is none or one.

        Without a row no member knows the task, and with one none can be tested on it:
        what holds from two rows on need not hold there.
        """
        k = (np.log1p(shots) - self.centre) / self.scale
        return np.column_stack([np.ones(len(k)), k, shots == 0, shots == 1])

    def _trust_design(self, shots: Codes) -> Floats:
        """One, and how many times more rows there are than the two that can tell.

        With coefficients that are not negative, members are believed the more, the
        better they predict the support and the more rows it has.
        """
        if self.judged_by == "fifths":
            return self._design(shots)[:, :2]
        further = np.maximum(np.log1p(shots) - np.log(3), 0.0)
        return np.column_stack([np.ones(len(shots)), further])

    def _logits(self, shots: Codes, advantage: Floats) -> Floats:
        trust = self._trust_design(shots) @ self.trust
        return self._design(shots) @ self.coefficients + trust[:, None] * advantage


def relative(losses: Floats, is_log_loss: bool) -> Floats:
    """Advantage of each member over the mean of all, zero where nothing is known.

    In logarithms for squared errors, which have a scale; as they are for log losses.
    """
    values = losses if is_log_loss else np.log(np.maximum(losses, 1e-12))
    known = ~np.isnan(values).any(axis=1)
    advantage = np.zeros_like(values)
    mean = values[known].mean(axis=1, keepdims=True)
    advantage[known] = np.clip(mean - values[known], -3.0, 3.0)
    return advantage


def equal_weights(
    n_members: int, is_log_loss: bool, judged_by: str = "rows"
) -> WeightModel:
    nothing = np.zeros((4, n_members))
    return WeightModel(nothing, np.zeros(2), 0.0, 1.0, is_log_loss, judged_by)


def fit_weights(
    evidence: Evidence, is_log_loss: bool, n_tasks: int, judged_by: str = "rows"
) -> WeightModel:
    """Minimise the loss of the blend over cases, numbers of shots counting alike.

    The loss of a case is its root mean squared error, in units of what the best single
    member has on average with as many rows; or its mean log loss. A penalty, which
    fades with the number of tasks, keeps to equal weights what is not known.
    """
    n_members = evidence.predictions.shape[1]
    start = equal_weights(n_members, is_log_loss, judged_by)
    log_shots = np.log1p(evidence.shots)
    spread = float(log_shots.std())
    scale = spread if spread > 1e-9 else 1.0  # rounding leaves a little of one number
    start = start._replace(centre=float(log_shots.mean()), scale=scale)
    shots = evidence.shots
    design, trust_design = start._design(shots), start._trust_design(shots)
    advantage = relative(evidence.losses, is_log_loss)
    case_weights = _case_weights(evidence, is_log_loss)
    penalty = PENALTY / n_tasks

    def unpack(theta: NDArray[Any]) -> WeightModel:
        coefficients, trust = theta[:-2].reshape(-1, n_members), theta[-2:]
        return start._replace(coefficients=coefficients, trust=trust)

    def objective(theta: NDArray[Any]) -> tuple[float, NDArray[Any]]:
        model = unpack(theta)
        weights = softmax(model._logits(shots, advantage), axis=1)
        loss, gradient = _blend_loss(evidence, weights, case_weights, is_log_loss)
        # Through the softmax: dL/dz_m = w_m (g_m - sum_l w_l g_l).
        inner = np.sum(weights * gradient, axis=1, keepdims=True)
        dlogits = weights * (gradient - inner)
        dtrust = trust_design.T @ np.sum(dlogits * advantage, axis=1)
        slope: NDArray[Any] = np.concatenate([(design.T @ dlogits).ravel(), dtrust])
        penalised = loss + 0.5 * penalty * float(theta @ theta)
        return penalised, slope + penalty * theta

    start_at = np.zeros(start.coefficients.size + 2)
    # A member that predicts the support well is never believed the less for it.
    bounds = [(None, None)] * start.coefficients.size + [(0.0, None)] * 2
    found = minimize(objective, start_at, jac=True, method="L-BFGS-B", bounds=bounds)
    return unpack(found.x)


def _case_weights(evidence: Evidence, is_log_loss: bool) -> Floats:
    """Weight of every case: equal shares for all numbers of shots."""
    _, which, counts = np.unique(
        evidence.shots, return_inverse=True, return_counts=True
    )
    share = 1.0 / (len(counts) * counts[which])
    if is_log_loss:
        return share
    n_cases = len(evidence.shots)
    errors = (evidence.predictions - evidence.y[:, None]) ** 2
    rmse = np.sqrt(_case_means(errors, evidence.case, n_cases))
    by_shots = np.stack([rmse[which == i].mean(axis=0) for i in range(len(counts))])
    unit = np.maximum(by_shots.min(axis=1), 1e-12)
    return share / unit[which]


def _blend_loss(
    evidence: Evidence, weights: Floats, case_weights: Floats, is_log_loss: bool
) -> tuple[float, Floats]:
    """Return the loss, and its gradient in the weights of each case."""
    case, n_cases = evidence.case, len(weights)
    blend = np.sum(weights[case] * evidence.predictions, axis=1)
    counts = np.bincount(case, minlength=n_cases)
    if is_log_loss:
        chance = np.maximum(blend, CLIP)
        loss = np.bincount(case, -np.log(chance), minlength=n_cases) / counts
        slope = np.where(blend > CLIP, -1.0 / chance, 0.0) / counts[case]
        outer = np.ones(n_cases)
    else:
        residual = blend - evidence.y
        mean = np.bincount(case, residual**2, minlength=n_cases) / counts
        loss = np.sqrt(mean + 1e-18)
        slope = 2.0 * residual / counts[case]
        outer = 0.5 / loss
    rows = (slope * (case_weights * outer)[case])[:, None] * evidence.predictions
    return float(case_weights @ loss), _case_sums(rows, case, n_cases)


def _case_means(values: Floats, case: Codes, n_cases: int) -> Floats:
    return _case_sums(values, case, n_cases) / np.bincount(case)[:, None]


def _case_sums(values: Floats, case: Codes, n_cases: int) -> Floats:
    sums = np.zeros((n_cases, values.shape[1]))
    np.add.at(sums, case, values)
    return sums
