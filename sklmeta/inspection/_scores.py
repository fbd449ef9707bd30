"""A comparison out of predictions that were made already."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.utils import check_consistent_length, column_or_1d

from sklmeta.comparing import Comparison
from sklmeta.data.labels import as_labels


def scores_of_predictions(
    y_true: ArrayLike,
    predictions: Mapping[str, ArrayLike],
    task: ArrayLike,
    shots: ArrayLike,
) -> Comparison:
    """Score each task: by the RMSE for floating-point targets, else the accuracy."""
    truth = column_or_1d(np.asarray(y_true))
    check_consistent_length(truth, task, shots, *predictions.values())
    regression = truth.dtype.kind == "f"
    frames = []
    for name, values in predictions.items():
        predicted = column_or_1d(np.asarray(values))
        if regression:
            each = (predicted - truth) ** 2
        else:
            each = np.asarray(predicted == truth, dtype=float)
        rows = pd.DataFrame(
            {
                "task": as_labels(task, "task"),
                "shots": column_or_1d(shots),
                "score": each,
            }
        )
        scores = rows.groupby(["shots", "task"]).score.agg(["mean", "size"])
        frame = scores.reset_index().assign(estimator=name, fold=0, draw=0)
        frame = frame.rename(columns={"mean": "score", "size": "n_query"})
        if regression:
            frame["score"] = np.sqrt(frame.score)
        frames.append(frame)
    return Comparison(
        pd.concat(frames, ignore_index=True),
        metric="RMSE" if regression else "accuracy",
        greater_is_better=not regression,
    )
