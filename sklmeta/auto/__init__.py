"""A learner that chooses: a blend of meta-learners and baselines."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from sklmeta.auto.auto_meta import AutoMetaClassifier, AutoMetaRegressor

__all__ = ["AutoMetaClassifier", "AutoMetaRegressor"]
