"""Quantiles, where there is a predictive distribution."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sklmeta.data.codes import IntArray
from sklmeta.estimator.naming import says_what_it_takes
from sklmeta.learners.torch_state import as_if_alone

Floats = NDArray[np.float64]


class QuantilesMixin:
    """Adds `predict_quantiles` to a regressor that has a predictive distribution."""

    _select: Callable[..., tuple[Any, IntArray, Any]]
    _shaped: Callable[[NDArray[Any]], NDArray[Any]]

    @says_what_it_takes
    @as_if_alone()
    def predict_quantiles(
        self, X: Any, q: ArrayLike, task: ArrayLike | None = None
    ) -> NDArray[Any]:
        """Predict quantiles of every row's target.

        They are those of the model's own predictive distribution, and as right as it
        is; what `predict_interval` promises comes from held-out tasks instead.

        Parameters
        ----------
        X : {array-like, data frame} of shape (n_samples, n_features)
            Rows to predict.

        q : float or array-like of shape (n_q,)
            Probabilities between 0 and 1: 0.5 is the median.

        task : array-like of shape (n_samples,), default=None
            Label of every row's task, after adapting to many tasks.

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_q)
            In the units of y; with several targets (n_samples, n_targets) or
            (n_samples, n_targets, n_q). Of a count the smallest number that the count
            does not exceed with probability q.

        Raises
        ------
        ValueError
            If `q` is not between 0 and 1; or as `predict`.
        """
        levels = check_levels(q)
        rows, codes, model = self._select(X, task)
        values = self._shaped(self._quantiles(rows, codes, model, np.ravel(levels)))
        return values if levels.ndim else values[..., 0]

    def _quantiles(
        self, X: Any, codes: IntArray, model: Any, levels: Floats
    ) -> NDArray[Any]:  # shape: (n_samples, n_q) or (n_samples, n_targets, n_q)
        # `predict_quantiles` is the same for all estimators but for this.
        raise NotImplementedError(f"{type(self).__name__} lacks _quantiles.")


def check_levels(q: ArrayLike) -> Floats:  # shape: () or (n_q,)
    """Return the probabilities, or say what is wrong with them."""
    try:
        levels = np.asarray(q, dtype=np.float64)
    except (TypeError, ValueError):
        levels = np.full(1, np.nan)
    if levels.ndim > 1 or not levels.size or not ((levels > 0) & (levels < 1)).all():
        raise ValueError(
            "q must be a probability between 0 and 1, both excluded, or a list of "
            f"them, such as 0.5 or [0.1, 0.5, 0.9]; got {q!r}."
        )
    return levels
