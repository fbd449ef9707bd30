"""As many digits as a model knows."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import inspect
import math
from typing import Any

import numpy as np
import pandas as pd
import sklearn

from sklmeta.evaluation.containers import inner_estimator

WIDTH_OF_INTERVAL = 3.3
"""Of one of 90 %, in standard deviations; others are near enough for digits."""

OF_PROBABILITIES = 4


def rounded(
    found: dict[str, Any], model: Any, X: pd.DataFrame, task: Any, digits: int | None
) -> dict[str, Any]:
    """Round numbers to two digits of their uncertainty, or to `digits` decimals.

    Where a model does not say how sure it is, nothing is rounded unless asked for.
    """
    kept = dict(found)
    for name, values in found.items():
        if name.startswith("probability_"):
            kept[name] = np.round(
                values, OF_PROBABILITIES if digits is None else digits
            )
    numbers = [n for n in ("prediction", "low", "high") if n in found]
    if np.asarray(found["prediction"]).dtype.kind != "f":
        return kept
    if digits is None:
        spread = _spread(found, model, X, task)
        if not 0 < spread < math.inf:
            return kept
        digits = 1 - math.floor(math.log10(spread))
    for name in numbers:
        kept[name] = np.round(np.asarray(found[name], np.float64), digits)
    return kept


def _spread(found: dict[str, Any], model: Any, X: pd.DataFrame, task: Any) -> float:
    """Standard deviation of a typical prediction; NaN where it is not known."""
    if "low" in found:
        return float(np.median(found["high"] - found["low"])) / WIDTH_OF_INTERVAL
    if "return_std" not in inspect.signature(inner_estimator(model).predict).parameters:
        return math.nan
    metadata = {} if task is None else {"task": task}
    with sklearn.config_context(enable_metadata_routing=True):
        _, std = model.predict(X, return_std=True, **metadata)
    return float(np.median(std))
