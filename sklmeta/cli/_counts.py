"""Targets that are counts, or positive amounts, and what they are predicted by."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import skew

from sklmeta.cli._files import DataError
from sklmeta.evaluation.containers import inner_estimator

COUNTS, AMOUNTS = "counts", "amounts"
KINDS = ("regression", COUNTS, AMOUNTS)
"""What a target of numbers may be called."""

SKEWED = 0.5
"""Counts lean to the left, with a tail on the right; scores and grades do not."""

EVEN = 1.2
"""Up to so much variance for each unit of mean within tasks, counts are as even as
those of events that know nothing of each other."""

ROWS_PER_SLOPE = 2
"""Chosen on epilepsy (four rows, four features: 6.5 for 15 before any label, level
afterwards) and on generated shops (twenty rows, two features: with slopes it is a tenth
better after ten labels)."""


def look_like_counts(numbers: NDArray[Any]) -> bool:
    """Whether all are whole, from zero up, with zeros among them and a tail."""
    if not len(numbers) or numbers.min() != 0 or (numbers % 1).any():
        return False
    return bool(numbers.max() > 0) and float(skew(numbers)) > SKEWED


def family_of(
    y: NDArray[Any], task: NDArray[Any], kind: str | None, target: str
) -> str:
    """Name the distribution of a target of numbers.

    Raises
    ------
    DataError
        If it is not what the user says.
    """
    if kind == AMOUNTS:
        if y.min() <= 0:
            raise DataError(
                f"--kind amounts is for numbers above 0; {target!r} has {y.min():.6g}. "
                "Say --kind regression, or counts for whole numbers from 0 up."
            )
        return "gamma"
    if kind == COUNTS:
        wrong = y[(y < 0) | (y % 1 != 0)]
        if len(wrong):
            raise DataError(
                f"--kind counts is for whole numbers from 0 up; {target!r} has "
                f"{wrong[0]:.6g}. Say --kind regression, or amounts if all are above 0."
            )
    elif kind is not None or not look_like_counts(y):
        return "gaussian"
    tasks = pd.Series(y).groupby(task)
    variance, mean = tasks.var(), tasks.mean()
    spread = variance.mean() / mean[variance.notna()].mean()
    return "poisson" if spread <= EVEN else "negative_binomial"


def few_rows(task: NDArray[Any], n_features: int) -> bool:
    """Whether a typical task has too few rows for a slope for each feature.

    A slope that is not known becomes a factor on the logarithmic scale: before any
    label is seen, its mean is far too large.
    """
    _, sizes = np.unique(task, return_counts=True)
    return bool(np.median(sizes) < ROWS_PER_SLOPE * n_features)


def words_for(family: str) -> str:
    if family == "gaussian":
        return "regression"
    what = "amounts" if family == "gamma" else "counts"
    return f"{what} ({family.replace('_', ' ')})"


def distribution_of(model: Any) -> str | None:
    """Name of the parameter that takes a family; None if there is none."""
    params = inner_estimator(model).get_params(deep=False)
    return next((name for name in ("family", "likelihood") if name in params), None)


def notes_on_models(models: Mapping[str, Any], family: str) -> list[str]:
    """Say of which estimators the predictions may be negative."""
    if family == "gaussian":
        return []
    without = {name for name, model in models.items() if distribution_of(model) is None}
    if not without:
        return []
    what = "amounts" if family == "gamma" else "counts"
    names = ", ".join(name for name in models if name in without)
    note = f"Without a distribution of {what}: {names}. Where they say less than 0,"
    return [f"{note} `sklmeta predict` writes 0."]
