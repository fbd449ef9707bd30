"""The distribution of a target about its prediction, as users name it and read it."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri, stdtrit

from sklmeta._compat import StrOptions
from sklmeta.data.scaling import Scaling
from sklmeta.learners.likelihoods import LARGEST_LOG, LIKELIHOODS, LOG_LINKS
from sklmeta.mixed_models.families import FAMILIES
from sklmeta.mixed_models.quantiles import family_quantiles

Floats = NDArray[np.float64]


@dataclass(kw_only=True, eq=False, repr=False)
class LikelihoodMixin:
    """Lets a regressor take counts, amounts, and targets with outliers.

    Parameters
    ----------
    likelihood : str, default="gaussian"
        Distribution of a target about its prediction: "gaussian"; "student_t" for
        targets with outliers; "poisson" for counts, 0, 1, 2, ...; "negative_binomial"
        for counts that spread more; or "gamma" for positive amounts. Of the last three
        the network says the logarithm of the mean, nothing below zero is predicted,
        and training does not start from a mixed model.
    """

    likelihood: str = "gaussian"

    _parameter_constraints = {"likelihood": [StrOptions(set(LIKELIHOODS))]}


def check_family(name: str, y: NDArray) -> None:
    """Refuse targets that the likelihood does not have, in the words of the family.

    Raises
    ------
    ValueError
        If there is one.
    """
    if name not in LOG_LINKS:
        return
    try:
        FAMILIES[name]().check(np.asarray(y, dtype=np.float64))
    except ValueError as error:
        raise ValueError(str(error).replace("family=", "likelihood=")) from None


def mean_scaling(y: NDArray) -> Scaling:
    """Counts and amounts in units of their mean, which is a count of 1 at least."""
    mean = np.asarray(y.mean(axis=0), dtype=np.float64)
    least = 1 / (1 + len(y)) if (y == np.floor(y)).all() else np.finfo(float).tiny
    return Scaling(np.zeros_like(mean), np.maximum(mean, least), cuts=False)


def means(name: str, scaling: Scaling, values: NDArray) -> NDArray:
    """What a learner says of rows' means, in the user's units."""
    if name in LOG_LINKS:
        values = np.exp(np.clip(values, -LARGEST_LOG, LARGEST_LOG))
    return scaling.undo(values)


def deviations(name: str, scaling: Scaling, mean: NDArray, spread: NDArray) -> NDArray:
    """Standard deviations of rows' targets about their means."""
    if name == "poisson":
        return np.sqrt(mean)
    if name == "negative_binomial":
        return np.sqrt(mean + np.exp(spread) * mean**2)
    relative = np.exp(0.5 * spread)
    return mean * relative if name == "gamma" else relative * scaling.unit


def quantiles(
    name: str,
    mean: NDArray,
    std: NDArray,
    spread: NDArray,
    df: float | None,
    q: Floats,
) -> NDArray:  # shape: (*mean.shape, n_q)
    """Quantiles of rows' targets; `df` is that of Student's t."""
    if name in LOG_LINKS:
        logarithm, r = np.log(np.ravel(mean)), np.exp(np.ravel(spread))
        known = np.zeros(len(logarithm))
        found = family_quantiles(name, logarithm, known, 1 / r, q)
        return found.reshape(*mean.shape, len(q)).astype(mean.dtype)
    units = ndtri(q) if df is None else stdtrit(df, q) * np.sqrt(1 - 2 / df)
    return mean[..., None] + std[..., None] * units.astype(mean.dtype)
