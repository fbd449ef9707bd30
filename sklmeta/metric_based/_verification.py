"""Verification, "same or different?", by a learned distance and a threshold."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import math
import numbers
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit
from sklearn.utils import check_consistent_length
from sklearn.utils.validation import column_or_1d
from torch import Tensor

from sklmeta.estimator.faces import PartOfMetaEstimator
from sklmeta.estimator.state import Fitted

STRATEGIES = ("accuracy", "f_beta", "max_tpr", "max_tnr")


class VerificationMixin(PartOfMetaEstimator):
    """What a learned distance says about pairs of rows.

    The learner has ``embed``, ``paired_distance`` and ``log_odds``.
    """

    threshold_: float

    def pair_distance(self, X1: Any, X2: Any) -> NDArray:
        """Compute the learned distance between the rows of every pair.

        Parameters
        ----------
        X1, X2 : {array-like, data frame} of shape (n_pairs, n_features)
            First and second rows of the pairs.

        Returns
        -------
        ndarray of shape (n_pairs,)
            Zero for equal rows; the smaller, the more alike.
        """
        return self._pairs(X1, X2)[0]

    def pair_score(self, X1: Any, X2: Any) -> NDArray:
        """Compute the probability that the rows of every pair are the same.

        As in training, half of all pairs are taken to be.

        Parameters
        ----------
        X1, X2 : {array-like, data frame} of shape (n_pairs, n_features)
            First and second rows of the pairs.

        Returns
        -------
        ndarray of shape (n_pairs,)
            Of the same class; or task, with ``pairs="task"``.
        """
        return expit(self._pairs(X1, X2)[1])

    def predict_pairs(self, X1: Any, X2: Any) -> NDArray:
        """Tell whether the rows of every pair are the same.

        Parameters
        ----------
        X1, X2 : {array-like, data frame} of shape (n_pairs, n_features)
            First and second rows of the pairs.

        Returns
        -------
        ndarray of bool of shape (n_pairs,)
            Whether their distance is at most `threshold_`.
        """
        return self.pair_distance(X1, X2) <= self.threshold_

    def calibrate_threshold(
        self,
        X1: Any,
        X2: Any,
        same: ArrayLike,
        *,
        strategy: str = "accuracy",
        beta: float = 1.0,
        min_rate: float | None = None,
    ) -> Any:
        """Set `threshold_` to what is best on pairs that `fit` has not seen.

        Parameters
        ----------
        X1, X2 : {array-like, data frame} of shape (n_pairs, n_features)
            First and second rows of the pairs.

        same : array-like of bool of shape (n_pairs,)
            Whether the rows of every pair are the same.

        strategy : {"accuracy", "f_beta", "max_tpr", "max_tnr"}, default="accuracy"
            What to maximise: the accuracy; the F-score of "same"; the rate of same
            pairs that are recognised, with that of different ones at least `min_rate`;
            or that of different pairs, with that of same ones at least `min_rate`.

        beta : float, default=1.0
            Weight of the recall with ``strategy="f_beta"``.

        min_rate : float, default=None
            For "max_tpr" and "max_tnr", which need it.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If no pair is the same, or none is different, or `min_rate` is missing.
        """
        distance = self.pair_distance(X1, X2)
        answers = column_or_1d(same)
        check_consistent_length(distance, answers)
        if not np.isin(answers, (0, 1)).all():
            raise ValueError("same must be True or False for every pair.")
        self.threshold_ = best_threshold(
            distance, answers.astype(bool), strategy, beta, min_rate
        )
        return self

    def _attributes_of_weights(self, fitted: Fitted) -> dict[str, Any]:
        return {"threshold_": even_odds_distance(fitted.weights)}

    def _pairs(self, X1: Any, X2: Any) -> tuple[NDArray, NDArray]:
        """Distances and log-odds."""
        rows = [self._rows_of(X) for X in (X1, X2)]
        check_consistent_length(X1, X2)
        with self._lent_learner() as learner, torch.no_grad():
            first, second = (learner.embed(part[:-1][None])[0] for part in rows)
            distance: Tensor = learner.paired_distance(first, second)
            odds = learner.log_odds(distance, learner.offset)
        return distance.cpu().numpy(), odds.cpu().numpy()


def even_odds_distance(weights: Mapping[str, NDArray]) -> float:
    """Distance at which same and different are equally likely; negative if none is."""
    offset = float(weights["offset"])
    if "log_slope" not in weights:  # the log-odds are linear in the distance
        return offset
    distance = math.sqrt(abs(offset)) * math.exp(-0.5 * float(weights["log_slope"]))
    return math.copysign(distance, offset)


def best_threshold(
    distance: NDArray,  # shape: (n_pairs,)
    same: NDArray,  # shape: (n_pairs,); bool
    strategy: str,
    beta: float = 1.0,
    min_rate: float | None = None,
) -> float:
    """Return the threshold that is best on the given pairs.

    It lies halfway between two distances that occur, so that it does not hang on the
    last digit of one; at the largest, where all pairs are to count as the same.
    """
    _check_calibration(same, strategy, beta, min_rate)
    values, index = np.unique(distance, return_inverse=True)
    # Entry i: the i smallest of the distances that occur count as the same.
    true_positive = np.r_[0, np.bincount(index[same], minlength=len(values)).cumsum()]
    false_positive = np.r_[0, np.bincount(index[~same], minlength=len(values)).cumsum()]
    tpr = true_positive / same.sum()
    tnr = 1 - false_positive / (~same).sum()
    if strategy == "accuracy":
        merit = (true_positive - false_positive).astype(float)
    elif strategy == "f_beta":
        predicted = true_positive + false_positive
        merit = (1 + beta**2) * true_positive / (beta**2 * same.sum() + predicted)
    elif strategy == "max_tpr":
        merit = np.where(tnr >= min_rate, tpr, -1.0)
    else:
        merit = np.where(tpr >= min_rate, tnr, -1.0)
    best = int(np.argmax(merit))
    if best == 0:
        return float(np.nextafter(values[0], -np.inf))
    return float((values[best - 1] + values[min(best, len(values) - 1)]) / 2)


def _check_calibration(
    same: NDArray, strategy: str, beta: float, min_rate: float | None
) -> None:
    if same.all() or not same.any():
        raise ValueError(
            "The threshold needs pairs that are the same and pairs that are not; all "
            f"{len(same)} are {'the same' if same.all() else 'different'}."
        )
    if strategy not in STRATEGIES:
        raise ValueError(f"strategy must be one of {STRATEGIES}, got {strategy!r}.")
    if strategy == "f_beta" and not beta > 0:
        raise ValueError(f"beta must be positive, got {beta!r}.")
    needs_rate = strategy in ("max_tpr", "max_tnr")
    if needs_rate and not (
        isinstance(min_rate, numbers.Real) and 0 <= float(min_rate) <= 1
    ):
        raise ValueError(
            f"strategy={strategy!r} needs min_rate between 0 and 1, got {min_rate!r}."
        )
