"""What a model says of rows, as columns to be written."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from collections.abc import Container, Iterable
from typing import Any

import numpy as np
import pandas as pd
import sklearn

from sklmeta.calibration import predict_interval
from sklmeta.cli._files import DataError


def predicted(
    model: Any, X: pd.DataFrame, task: Any, meta: dict[str, Any], coverage: float
) -> dict[str, Any]:
    """Predictions, and probabilities or intervals where the model has them."""
    metadata = {} if task is None else {"task": task}
    with sklearn.config_context(enable_metadata_routing=True):
        found = {"prediction": model.predict(X, **metadata)}
        if meta["classification"]:
            found["prediction"] = found["prediction"].astype(str)
        if meta["classification"] and hasattr(model, "predict_proba"):
            values = model.predict_proba(X, **metadata)
            for label, column in zip(model.classes_, values.T, strict=True):
                found[f"probability_{label}"] = column
    if meta["calibrated"] and not meta["classification"]:
        ends = predict_interval(model, X, coverage, task=task)
        found["low"], found["high"] = ends.T
    if meta.get("family", "gaussian") != "gaussian":
        found = {name: np.maximum(values, 0) for name, values in found.items()}
    return found


def check_new(names: Iterable[str], there: Container[str], path: str) -> None:
    clash = [name for name in names if name in there]
    if clash:
        raise DataError(
            f"{path} has a column {clash[0]!r}, which would be written over: say "
            "--prefix, such as --prefix new_."
        )
