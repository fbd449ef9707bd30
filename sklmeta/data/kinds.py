"""What the targets of a collection of tasks are."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from enum import StrEnum
from typing import Any

from sklearn.base import BaseEstimator, is_regressor


class TaskKind(StrEnum):
    """Numbers, classes of which all tasks speak, or classes of each task's own."""

    REGRESSION = "regression"
    SHARED = "shared"
    OWN = "own"

    @classmethod
    def of_classes(cls, shared: bool | None) -> TaskKind:
        """Kind by whether classes are shared; None is for no classes at all."""
        if shared is None:
            return cls.REGRESSION
        return cls.SHARED if shared else cls.OWN


def shares_classes(estimator: BaseEstimator) -> bool:
    """Whether all tasks speak of the same classes; never guessed from the labels.

    Raises
    ------
    ValueError
        If the estimator's parameters contradict each other.
    """
    params = estimator.get_params(deep=False)
    shared, n_way = params.get("shared_classes"), params.get("n_way")
    if shared and n_way is not None:
        raise ValueError(
            f"n_way={n_way} draws classes of a task's own, which "
            "shared_classes=True excludes; set one of the two to None."
        )
    return n_way is None if shared is None else bool(shared)


def kind_of(estimator: BaseEstimator) -> TaskKind:
    """Kind that an estimator's parameters ask for, before `fit` as after it."""
    return TaskKind.of_classes(
        None if is_regressor(estimator) else shares_classes(estimator)
    )


def fitted_kind(model: Any) -> TaskKind:
    """Kind that a fitted estimator took the targets to be."""
    return TaskKind.of_classes(getattr(model, "shared_classes_", None))
