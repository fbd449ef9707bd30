"""What to do about columns that are not numbers."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sklearn.base import BaseEstimator


@contextmanager
def hints_on_columns(estimator: BaseEstimator) -> Iterator[None]:
    """Name the cause, and the line that goes in front of the estimator."""
    try:
        yield
    except (ValueError, TypeError) as error:
        cause = _cause(str(error))
        if not cause:
            raise
        raise ValueError(f"{cause} {_remedy(estimator)}") from error


def _cause(problem: str) -> str:
    if "string to float" in problem:
        return (
            f"X has a column of text ({problem}). If it is the task's label, drop it "
            "and pass it as task; else make numbers of it."
        )
    if "NAType" in problem or "value of NA" in problem:
        return (
            "X or y has missing values (pd.NA). Drop the rows without a target, and "
            "fill in the gaps of X."
        )
    if "Input X contains NaN" in problem:
        return "Input X contains NaN, and this estimator takes no gaps."
    if "DType" in problem or "'Timestamp'" in problem:
        return "X has columns that are not numbers, such as dates."
    return ""


def _remedy(estimator: BaseEstimator) -> str:
    name = type(estimator).__name__
    # By parameter rather than by class: those are further up.
    if hasattr(estimator, "preparation"):
        return (
            f"Let the estimator do it: {name}(preparation=TablePreparation()), of "
            "sklmeta.preparation; with preparation='auto' it does so for data frames."
        )
    return (
        f"Put a preparation in front: pipe = make_pipeline(TablePreparation(), {name}"
        f"()), of sklmeta.preparation; pipe.fit(X, y, {name.lower()}__task=task), and "
        "then sklmeta.adapted(pipe, X, y)."
    )
