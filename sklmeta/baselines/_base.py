"""What the baselines share."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sklmeta.data.codes import IntArray, group_rows
from sklmeta.estimator.base import AdaptableEstimator


class BaselineEstimator(AdaptableEstimator):
    """An estimator that stands for what one would do without meta-learning."""

    shared_classes: bool = True
    _is_baseline = True


def group_means(
    values: NDArray[Any], codes: IntArray, n_groups: int
) -> NDArray[np.float64]:  # shape: (n_groups, ...); no group may be empty
    order, offsets = group_rows(codes, n_groups)
    totals = np.add.reduceat(values[order].astype(np.float64), offsets[:-1], axis=0)
    sizes = np.diff(offsets)
    return totals / sizes.reshape(-1, *[1] * (totals.ndim - 1))
