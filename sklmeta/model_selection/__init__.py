"""Splitting, scoring and cross-validating by task."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from typing import TYPE_CHECKING

from sklmeta._lazy import attach

if TYPE_CHECKING:  # what editors and type checkers read; the names below are the same
    from sklmeta.model_selection._scorer import FewShotScorer as FewShotScorer
    from sklmeta.model_selection._split import LeaveOneTaskOut as LeaveOneTaskOut
    from sklmeta.model_selection._split import TaskKFold as TaskKFold
    from sklmeta.model_selection._split import TaskShuffleSplit as TaskShuffleSplit
    from sklmeta.model_selection.validation import (
        few_shot_cross_validate as few_shot_cross_validate,
    )

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "sklmeta.model_selection._scorer": ["FewShotScorer"],
        "sklmeta.model_selection._split": [
            "LeaveOneTaskOut",
            "TaskKFold",
            "TaskShuffleSplit",
        ],
        "sklmeta.model_selection.validation": ["few_shot_cross_validate"],
    },
    moved={"sklmeta.comparing": ["Comparison", "Harm", "PairedDifference", "compare"]},
)
