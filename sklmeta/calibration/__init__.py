"""How far to trust predictions: intervals and probabilities from held-out tasks."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from sklmeta.calibration._cross import cross_calibrated
from sklmeta.calibration._models import (
    calibrated,
    few_shot_intervals,
    predict_interval,
    predict_quantiles,
)
from sklmeta.evaluation.conformal import winkler_score

__all__ = [
    "calibrated",
    "cross_calibrated",
    "few_shot_intervals",
    "predict_interval",
    "predict_quantiles",
    "winkler_score",
]
