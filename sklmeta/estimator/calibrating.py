"""Estimators whose predictions can be calibrated on held-out tasks."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import is_classifier, is_regressor
from sklearn.exceptions import NotFittedError
from sklearn.utils import check_consistent_length
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from sklmeta.data.codes import IntArray, check_task
from sklmeta.data.labels import positions
from sklmeta.data.targets import check_numbers, n_columns
from sklmeta.estimator.state import Adaptation
from sklmeta.evaluation.conformal import (
    Scores,
    collect_scores,
    conformal_quantile,
    least_tasks,
)
from sklmeta.evaluation.containers import shallow_copy
from sklmeta.evaluation.few_shot import FewShotDraw, few_shot_predictions
from sklmeta.evaluation.shots import SHOTS, read_shots
from sklmeta.evaluation.temperature import fit_temperature
from sklmeta.exceptions import warn
from sklmeta.learners.torch_state import as_if_alone

Evidence = dict[int, tuple[NDArray[Any], ...]]


def _only_regressor(self: Any) -> bool:
    if not is_regressor(self):
        raise AttributeError("Only regressors predict intervals.")
    return True


class CalibrationMixin:
    """Adds `calibrate`, and to regressors `predict_interval`."""

    # By number of support rows: scores as arrays, or a temperature.
    _calibration: dict[int, Any] | None = None
    _adaptation: Adaptation

    @as_if_alone()
    def calibrate(
        self,
        X: Any,
        y: ArrayLike,
        task: ArrayLike,
        *,
        shots: int | Sequence[int] = SHOTS,
        n_draws: int = 5,
        support: Any = "random",
        random_state: Any = 0,
    ) -> Any:
        """Learn how far predictions can be trusted, from tasks that `fit` has not seen.

        For each number of shots, copies are adapted to supports of the tasks and
        predict their other rows. A regressor keeps the errors, for `predict_interval`;
        a classifier learns a temperature for `predict_proba` and `predict_log_proba`,
        by which probabilities p become p^(1/T), normalised. Classes predicted, and
        numbers, stay the same.

        Parameters
        ----------
        X : {array-like, data frame} of shape (n_samples, n_features)
            Rows of the calibration tasks.

        y : array-like of shape (n_samples,)
            Their targets.

        task : array-like of shape (n_samples,)
            Label of every row's task. An interval of coverage c needs c / (1 - c)
            tasks: nine for 90 %.

        shots : int or sequence of int, default=(0, 1, 2, 5, 10, 20, 50)
            Numbers of support rows to calibrate for; those that no task can give are
            passed over. Per class when classes are a task's own, else in total.

        n_draws : int, default=5
            Supports drawn per task.

        support : "random", "stratified", "first" or splitter, default="random"
            How they are chosen, which has to be as in use: intervals for a task of
            which the first rows will be known are calibrated with "first". See
            `FewShotScorer`.

        random_state : int, RandomState instance or None, default=0
            Seed of the draws; None means 0.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If `fit` has seen one of the tasks, or if no task has rows to spare.
        """
        check_is_fitted(self)
        check_consistent_length(X, y, task)
        codes, _ = check_task(task, len(np.asarray(y)))
        own = getattr(self, "shared_classes_", True) is False
        evidence = self._gather_evidence(
            *(X, y, task),
            shots=possible_shots(shots, codes, own=own),
            n_draws=n_draws,
            support=support,
            random_state=random_state,
        )
        self._calibrate_from(evidence)
        return self

    def _calibrate_from(self, evidence: Evidence) -> None:
        self._calibration = {k: self._learn_size(rows) for k, rows in evidence.items()}

    def _gather_evidence(
        self,
        X: Any,
        y: ArrayLike,
        task: ArrayLike,
        *,
        shots: Sequence[int],
        n_draws: int,
        random_state: Any,
        support: Any = "random",
        tell: bool = True,
    ) -> Evidence:
        """Judge uncalibrated predictions of unseen tasks, by number of support rows.

        Numbers that no task can give are passed over.
        """
        if n_columns(y) > 1:
            check_numbers(y, several=False)
        codes, labels = check_task(task, len(np.asarray(y)))
        self._check_unseen(labels)
        sizes = np.bincount(codes)
        uncalibrated = shallow_copy(self)
        uncalibrated._calibration = None
        evidence: Evidence = {}
        for k in shots:
            if k >= sizes.max():
                continue
            draws = few_shot_predictions(
                uncalibrated,
                X,
                y,
                labels[codes],
                shots=k,
                n_draws=n_draws,
                support=support,
                random_state=random_state,
                tell=tell and not evidence,
            )
            evidence[k] = self._judge_size(draws, sizes > k)
        return evidence

    @available_if(_only_regressor)
    @as_if_alone()
    def predict_interval(
        self, X: Any, coverage: float = 0.9, task: ArrayLike | None = None
    ) -> NDArray[Any]:
        """Predict an interval for every row's target, after `calibrate`.

        With K calibration tasks that are exchangeable with the new one, and a support
        of a calibrated size, a row of the new task lies in its interval with
        probability `coverage` or more, on average over tasks, whatever the model: this
        is hierarchical split-conformal prediction [1]_. Scores are absolute errors, in
        units of the predictive standard deviation where the model has one.

        Between calibrated sizes the next smaller one is used, which is approximate, and
        usually too wide.

        Parameters
        ----------
        X : {array-like, data frame} of shape (n_samples, n_features)
            Rows to predict.

        coverage : float, default=0.9
            Probability that a target lies in its interval.

        task : array-like of shape (n_samples,), default=None
            Label of every row's task, after adapting to many tasks.

        Returns
        -------
        ndarray of shape (n_samples, 2)
            Lower and upper ends, in the units of y; infinite, with a warning, if there
            were too few calibration tasks.

        Raises
        ------
        ValueError
            If `coverage` is not between 0 and 1.
        NotFittedError
            If `calibrate` has not been called since `fit`.

        References
        ----------
        .. [1] Y. Lee, R. F. Barber and R. Willett, "Distribution-free inference with
           hierarchical data", Journal of the Royal Statistical Society B, 2025.
        """
        if not 0 < coverage < 1:
            raise ValueError(f"coverage must be between 0 and 1; got {coverage!r}.")
        check_is_fitted(self)
        if self._calibration is None:
            raise NotFittedError(
                f"This {type(self).__name__} is not calibrated. Call calibrate(X, y, "
                "task) with tasks that fit has not seen."
            )
        mean, std = _mean_and_std(self, X, {} if task is None else {"task": task})
        shots = self._adaptation.shots[self._adaptation.codes_of(task, len(mean))]
        sizes, which = np.unique(self._calibrated_size(shots), return_inverse=True)
        quantiles = np.array([self._quantile(int(k), coverage) for k in sizes])
        half = (quantiles[which] * std).astype(mean.dtype)
        # The score of an interval is the same where nothing that can be is cut off.
        least = getattr(self, "_least_target", -np.inf)
        return np.column_stack([np.maximum(mean - half, least), mean + half])

    def _quantile(self, size: int, coverage: float) -> float:
        assert self._calibration is not None, "checked by the callers"
        scores = Scores(*self._calibration[size])
        quantile = conformal_quantile(scores, coverage)
        if not np.isfinite(quantile):
            warn(
                f"Intervals of coverage {coverage:g} are infinite: that needs "
                f"{least_tasks(coverage)} calibration tasks with more than {size} "
                f"row(s), and there were {scores.n_tasks}."
            )
        return quantile

    def _judge_size(
        self, draws: Iterator[FewShotDraw], full: NDArray[np.bool_]
    ) -> tuple[NDArray[Any], ...]:
        """Rows of the tasks that are large enough: scores, or probabilities, and tasks.

        A regressor's are (score, task), a classifier's (probabilities, class, task).
        """
        parts: list[tuple[NDArray[Any], ...]] = []
        for draw in draws:
            rows = full[draw.codes]
            if is_classifier(self):
                values = draw.response("predict_proba")
                target = positions(draw.y_true, draw.model.classes_)
                rows &= target >= 0  # no temperature helps an unknown class
                parts.append((values[rows], target[rows], draw.codes[rows]))
            else:
                mean, std = _mean_and_std(draw.model, draw.X_query, draw.metadata)
                scores = np.abs(np.asarray(draw.y_true, np.float64) - mean) / std
                parts.append((scores[rows], draw.codes[rows]))
        return tuple(np.concatenate(column) for column in zip(*parts, strict=True))

    def _learn_size(self, rows: tuple[NDArray[Any], ...]) -> Any:
        """Learn from what was judged with one number of support rows."""
        if is_classifier(self):
            return fit_temperature(*rows)
        return tuple(collect_scores(*rows))

    def _calibrated_size(self, shots: NDArray[np.intp]) -> NDArray[np.intp]:
        """Return the calibrated size to use for each number of shots."""
        assert self._calibration is not None, "checked by the callers"
        known = np.array(sorted(self._calibration))
        position = np.searchsorted(known, shots, side="right") - 1
        if (position < 0).any() and is_regressor(self):
            warn(
                f"The support has {shots[position < 0].min()} row(s), fewer than any "
                f"size that was calibrated ({known.tolist()}): intervals may be too "
                "narrow. Calibrate for this number of shots."
            )
        return known[np.maximum(position, 0)]

    def _temperature(
        self, codes: IntArray
    ) -> NDArray[np.float64] | None:  # shape: (n_samples,)
        """Temperature of every row, given its model; None without calibration."""
        if self._calibration is None:
            return None
        sizes = self._calibrated_size(self._adaptation.shots[codes])
        return np.array([self._calibration[int(k)] for k in sizes])

    def _check_unseen(self, labels: NDArray[Any]) -> None:
        seen: Any = getattr(self, "tasks_", ())
        known = set(np.asarray(seen).tolist())
        common = [name for name in labels.tolist() if name in known]
        if len(seen) > 1 and common:
            names = ", ".join(repr(name) for name in common[:5])
            raise ValueError(
                f"fit has seen {len(common)} of these tasks ({names}), so errors on "
                "them say nothing about new ones. Hold tasks out: fit on some, "
                "calibrate on others."
            )


def possible_shots(
    shots: int | Sequence[int], codes: NDArray[np.intp], *, own: bool
) -> list[int]:
    """Return the numbers of support rows that leave some task a row to predict.

    Where classes are a task's own nothing can be predicted without a support row.

    Raises
    ------
    ValueError
        If there are none.
    """
    values = read_shots(shots)
    largest = int(np.bincount(codes).max(initial=0))
    if own and not any(values):
        raise ValueError(
            "Where classes are a task's own nothing can be predicted without a support "
            "row: calibrate for shots of 1 or more."
        )
    possible = sorted({k for k in values if k < largest and (k or not own)})
    if not possible:
        raise ValueError(
            f"No task has a row left to predict with shots={values}: the largest has "
            f"{largest} row(s)."
        )
    return possible


def _mean_and_std(
    model: Any, X: Any, metadata: dict[str, Any]
) -> tuple[NDArray[Any], NDArray[Any]]:
    if "return_std" not in inspect.signature(model.predict).parameters:
        mean = np.asarray(model.predict(X, **metadata))
        return mean, np.ones_like(mean)
    mean, std = model.predict(X, return_std=True, **metadata)
    return mean, np.maximum(std, np.finfo(std.dtype).tiny)
