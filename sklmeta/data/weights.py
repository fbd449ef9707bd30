"""How often the rows of a support, or of a table, count."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sklmeta._compat import _check_sample_weight, _safe_indexing
from sklmeta.data.blocks import as_rows

Floats = NDArray[np.float64]


def weigh_rows(
    X: Any, y: Any, task: Any, sample_weight: ArrayLike | None
) -> tuple[Any, Any, Any, Floats | None]:
    """Leave out rows that weigh nothing; weights that are all one become None.

    Raises
    ------
    ValueError
        If a weight is negative or not finite, if there is not one for every row, or if
        all of them are zero.
    """
    if sample_weight is None:
        return X, y, task, None
    weight = _check_sample_weight(
        sample_weight, X, dtype=np.float64, ensure_non_negative=True
    )
    rows = np.flatnonzero(weight)
    if len(weight) and not len(rows):
        # What newer versions of scikit-learn say themselves.
        raise ValueError("Sample weights must contain at least one non-zero number.")
    if len(rows) < len(weight):
        parts = (as_rows(X), y, task)
        X, y, task = (p if p is None else _safe_indexing(p, rows) for p in parts)
        weight = weight[rows]
    return X, y, task, None if (weight == 1).all() else weight


def joined_weights(
    first: Floats | None, n_first: int, second: Floats | None, n_second: int
) -> Floats | None:
    """Weights of rows, and of others after them; None stands for ones."""
    if first is None and second is None:
        return None
    parts = ((first, n_first), (second, n_second))
    return np.concatenate([np.ones(n) if w is None else w for w, n in parts])
