"""What the baselines share."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from sklmeta.estimator.base import AdaptableEstimator


class BaselineEstimator(AdaptableEstimator):
    """An estimator that stands for what one would do without meta-learning."""

    shared_classes: bool = True
    _is_baseline = True
