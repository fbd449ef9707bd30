"""Pictures: scores by shots, paired differences, adaptation, embeddings, training."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from sklmeta.inspection._adaptation import AdaptationDisplay
from sklmeta.inspection._embedding import EmbeddingDisplay
from sklmeta.inspection._shot_curve import ShotCurveDisplay
from sklmeta.inspection._task_difference import TaskDifferenceDisplay
from sklmeta.inspection._training import MetaTrainingDisplay

__all__ = [
    "AdaptationDisplay",
    "EmbeddingDisplay",
    "MetaTrainingDisplay",
    "ShotCurveDisplay",
    "TaskDifferenceDisplay",
]
