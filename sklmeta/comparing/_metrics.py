"""What a comparison measures, and which way is better."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from typing import Any, NamedTuple

from sklmeta.evaluation.scorers import Scoring

ERRORS = {
    "rmse": "neg_root_mean_squared_error",
    "mae": "neg_mean_absolute_error",
    "log_loss": "neg_log_loss",
}
"""Short names of errors, of which less is better."""


class Metric(NamedTuple):
    """A name to show, what computes it, and its sign: -1 for an error."""

    name: str
    scoring: Scoring
    sign: int = 1


def metrics_of(scoring: Any, is_regressor: bool) -> list[Metric]:
    """Return the metrics of one scoring, or of a sequence of them."""
    if not isinstance(scoring, (list, tuple)) or len(scoring) == 1:
        one = scoring[0] if isinstance(scoring, (list, tuple)) else scoring
        return [_metric(None if one == "rmse" else one, is_regressor)]
    rmse = "rmse" if is_regressor else None  # None has no name among several
    return [_metric(rmse if one is None else one, is_regressor) for one in scoring]


def _metric(scoring: Scoring, is_regressor: bool) -> Metric:
    if scoring is None:
        return Metric("RMSE", None, -1) if is_regressor else Metric("accuracy", None)
    if isinstance(scoring, str):
        error = ERRORS.get(scoring)
        return Metric(scoring, scoring) if error is None else Metric(scoring, error, -1)
    return Metric(getattr(scoring, "__name__", None) or str(scoring), scoring)
