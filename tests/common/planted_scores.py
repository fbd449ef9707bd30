"""Comparisons with scores that are known."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import numpy as np
import pandas as pd

from sklmeta import BayesianLinearRegressor
from sklmeta.comparing import Comparison


def planted(scores, *, shots=5, **params):
    """Build a comparison of given scores: a dict of estimator to one score per task."""
    frames = [
        pd.DataFrame(
            {
                "estimator": name,
                "fold": 0,
                "task": np.arange(len(values)),
                "draw": 0,
                "shots": k,
                "score": values,
            }
        )
        for name, by_shots in scores.items()
        for k, values in (
            by_shots.items() if isinstance(by_shots, dict) else [(shots, by_shots)]
        )
    ]
    return Comparison(pd.concat(frames, ignore_index=True), **params)


def linear():
    return BayesianLinearRegressor(
        hidden_layer_sizes=(), max_iter=60, meta_batch_size=4, random_state=0
    )
