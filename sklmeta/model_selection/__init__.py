"""Splitting, scoring and cross-validating by task."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from sklmeta.model_selection._compare import compare
from sklmeta.model_selection._comparison import Comparison
from sklmeta.model_selection._paired import Harm, PairedDifference
from sklmeta.model_selection._scorer import FewShotScorer
from sklmeta.model_selection._split import LeaveOneTaskOut, TaskKFold, TaskShuffleSplit
from sklmeta.model_selection._validation import few_shot_cross_validate

__all__ = [
    "Comparison",
    "FewShotScorer",
    "Harm",
    "LeaveOneTaskOut",
    "PairedDifference",
    "TaskKFold",
    "TaskShuffleSplit",
    "compare",
    "few_shot_cross_validate",
]
