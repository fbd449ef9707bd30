"""Classes that are a task's own, numbered within each task."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sklmeta.data.codes import IntArray


class SupportClasses(NamedTuple):
    """Classes of each adapted task, in compressed rows."""

    classes: NDArray  # union over the tasks, sorted
    members: IntArray  # index into `classes` of every (task, class) pair
    first: IntArray  # shape: (n_tasks,); where a task's pairs begin
    ways: IntArray  # shape: (n_tasks,)


def own_classes(
    y: NDArray, codes: IntArray, n_tasks: int
) -> tuple[IntArray, SupportClasses]:
    """Number the classes of each task from 0, all tasks at once."""
    classes, indices = np.unique(y, return_inverse=True)
    pairs, inverse = np.unique(codes * len(classes) + indices, return_inverse=True)
    ways = np.bincount(pairs // len(classes), minlength=n_tasks)
    first = np.cumsum(ways) - ways
    members = SupportClasses(classes, pairs % len(classes), first, ways)
    return inverse - first[codes], members
