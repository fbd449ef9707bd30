"""What a user would do without meta-learning, under the same interface."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from sklmeta.baselines.fine_tune import FineTuneClassifier, FineTuneRegressor
from sklmeta.baselines.lda import LDABaseline
from sklmeta.baselines.nearest_centroid import NearestCentroidBaseline
from sklmeta.baselines.per_task import PerTask
from sklmeta.baselines.pooled import Pooled

__all__ = [
    "FineTuneClassifier",
    "FineTuneRegressor",
    "LDABaseline",
    "NearestCentroidBaseline",
    "PerTask",
    "Pooled",
]
