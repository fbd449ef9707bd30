"""The torch side: learners, encoders, losses and engines."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from typing import TYPE_CHECKING

from sklmeta._lazy import attach

if TYPE_CHECKING:  # what editors and type checkers read; the names below are the same
    from sklmeta.episodes.rows import Episodes as Episodes
    from sklmeta.episodes.rows import Rows as Rows
    from sklmeta.learners.encoders import MLP as MLP
    from sklmeta.learners.encoders import Conv4 as Conv4
    from sklmeta.learners.learner import Learner as Learner
    from sklmeta.learners.learner import State as State
    from sklmeta.learners.learner import TaskSpec as TaskSpec
    from sklmeta.learners.losses import masked_mean as masked_mean
    from sklmeta.learners.losses import row_loss as row_loss

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "sklmeta.episodes.rows": ["Episodes", "Rows"],
        "sklmeta.learners.encoders": ["MLP", "Conv4"],
        "sklmeta.learners.learner": ["Learner", "State", "TaskSpec"],
        "sklmeta.learners.losses": ["masked_mean", "row_loss"],
    },
)
