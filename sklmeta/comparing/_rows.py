"""The rows of a comparison: their order in time, and as numbers."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sklmeta.evaluation.shots import check_support
from sklmeta.preparation import rows_in_time
from sklmeta.preparation.automatic import chosen_preparation, prepares_itself
from sklmeta.preparation.folds import prepared_by

Fold = tuple[NDArray[np.intp], NDArray[np.intp]]


def support_of(support: Any, time: Any) -> Any:
    """Return how supports are chosen: with a time, a task's first rows."""
    if support is None:
        return "random" if time is None else "first"
    check_support(support)
    if time is not None and support in ("random", "stratified"):
        raise ValueError(
            f"time= orders the rows of support='first', and support={support!r} takes "
            "them in any order: drop one of the two."
        )
    return support


def in_time(folds: Sequence[Fold], time: Any, X: Any) -> list[Fold]:
    """Put the rows of every fold in the order of time, if there is one."""
    if time is None:
        return list(folds)
    rows = rows_in_time(time, X)
    place = np.empty(len(rows), dtype=np.intp)
    place[rows] = np.arange(len(rows))
    return [(tr[np.argsort(place[tr])], te[np.argsort(place[te])]) for tr, te in folds]


def tables_of(
    models: Mapping[str, Any],
    table: tuple[Any, ...],
    folds: Sequence[Fold],
    preparation: Any,
) -> dict[str, list[tuple[Any, ...]]]:
    """Return the table that each estimator gets in every fold.

    Rows are prepared once for all estimators of a fold, by its training rows.
    """
    X, y, *rest = table
    chosen = chosen_preparation(preparation, X)
    raw = [table] * len(folds)
    if chosen is None:
        return dict.fromkeys(models, raw)
    # One that prepares for itself may want columns by name.
    own = isinstance(preparation, str)
    left = {name for name, model in models.items() if own and prepares_itself(model)}
    prepared = raw
    if left != {*models}:
        prepared = [(prepared_by(chosen, X, y, tr), y, *rest) for tr, _ in folds]
    return {name: raw if name in left else prepared for name in models}
