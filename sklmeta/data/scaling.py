"""Standardisation of X and y by the statistics of the training rows."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sklmeta.data.blocks import row_blocks

# Far outliers are cut here: 1e300 must not become infinite in float32.
CLIP = 1e4

LARGEST_UNSCALED = 1e6
"""Past it the squares of unscaled features leave float64 too few digits.

Measured on the closed-form estimators: alone and in bulk the same task's predictions
agree to 1e-7 at 1e5, to 1e-3 at 1e6, and not at all at 1e8.
"""


class Scaling(NamedTuple):
    """Mean and scale of every column, in float64; None leaves the data alone."""

    mean: NDArray[np.float64] | None
    scale: NDArray[np.float64] | None
    directions: NDArray[np.float64] | None = None  # shape: (n_features, n_features)
    length: float = 0.0  # that rows are brought to; 0 leaves them alone
    cuts: bool = True  # far outliers, of rows; what is predicted is not cut

    @classmethod
    def identity(cls) -> Scaling:
        return cls(None, None)

    @property
    def unit(self) -> Any:
        """The scale; 1 where the data are left alone."""
        return 1.0 if self.scale is None else self.scale

    @classmethod
    def of(
        cls, X: NDArray, *, common: bool = False, weight: NDArray | None = None
    ) -> Scaling:
        """Measure the columns of X (n_samples,) or (n_samples, n_features).

        With `common`, all columns have one scale, the root of their mean variance;
        `weight` says how often each row counts.
        """
        n_rows: float = 0
        largest, mean, square = (np.zeros(X.shape[1:]) for _ in range(3))
        for block in row_blocks(X):
            rows = np.asarray(X[block], dtype=np.float64)
            # Dividing by the largest entry keeps squares of 1e300 finite.
            larger = np.maximum(largest, np.abs(rows).max(axis=0))
            unit = np.where(larger > 0, larger, 1.0)
            rows = rows / unit
            counts = None if weight is None else weight[block]
            n_counted = len(rows) if counts is None else counts.sum()
            block_mean = _total(rows, counts) / n_counted
            rows -= block_mean
            # Merging two means and sums of squares (Chan, Golub and LeVeque, 1983)
            # reads the data once, which may be on disk.
            old = largest / unit
            share = n_counted / (n_rows + n_counted)
            step = block_mean - mean * old
            square = square * old**2 + _total(np.square(rows), counts)
            square += step**2 * (n_rows * share)
            mean = mean * old + step * share
            largest, n_rows = larger, n_rows + n_counted
        unit = np.where(largest > 0, largest, 1.0)
        deviation = np.sqrt(square / n_rows)
        # A column of one value has a deviation of rounding errors.
        constant = deviation <= 10 * np.finfo(np.float64).eps * np.maximum(1, abs(mean))
        constant |= deviation * unit < np.finfo(np.float64).tiny / CLIP
        if common:
            deviation = np.where(constant, 0.0, deviation * unit)
            top = deviation.max(initial=0.0) or 1.0
            scale = top * np.sqrt(np.square(deviation / top).mean()) or 1.0
            return cls(mean * unit, np.full_like(deviation, scale))
        return cls(mean * unit, np.where(constant, 1.0, deviation * unit))

    def apply(self, X: NDArray, *, out: NDArray) -> None:
        """Write the scaled rows to `out`, which sets the precision."""
        if self.mean is None or self.scale is None:
            out[...] = X
            return
        for block in row_blocks(X):
            # Halving keeps the difference of two numbers near the largest finite.
            z = np.multiply(X[block], 0.5, dtype=np.float64)
            z -= 0.5 * self.mean
            z /= 0.5 * self.scale
            is_target = X.ndim == 1 or not self.cuts
            out[block] = z if is_target else self._mixed(np.clip(z, -CLIP, CLIP, z))

    def _mixed(self, z: NDArray[np.float64]) -> NDArray[np.float64]:
        if self.directions is not None:
            z = z @ self.directions
        if self.length:
            norm = np.sqrt(np.square(z).sum(axis=1, keepdims=True))
            z *= self.length / np.where(norm > 0, norm, np.inf)
        return z

    def undo(self, z: NDArray) -> NDArray:
        """Turn standardised values back."""
        if self.mean is None or self.scale is None:
            return z
        return z * self.scale + self.mean


def _total(rows: NDArray, weight: NDArray | None) -> Any:
    return rows.sum(axis=0) if weight is None else weight @ rows


def check_features(
    X: NDArray, limit: float, scaling: Scaling, names: Sequence[str] | None = None
) -> None:
    """Refuse features that nothing scales and that are too large to compute with.

    Raises
    ------
    ValueError
        If a value is past the limit; it names the column.
    """
    if scaling.scale is not None:
        return
    largest = np.zeros(X.shape[1:])
    for block in row_blocks(X):
        np.maximum(largest, np.abs(X[block]).max(axis=0), out=largest)
    if largest.max(initial=0.0) <= limit:
        return
    what, remedy = "X", "scale it"
    if X.ndim == 2:
        column = int(largest.argmax())
        what = f"Column {column if names is None else repr(names[column])} of X"
        remedy = "set standardize=True, or scale the column"
    raise ValueError(
        f"{what} reaches {largest.max():.3g}. Unscaled values past {limit:.3g} cannot "
        f"be computed with: {remedy}."
    )


def check_targets(y: NDArray, scaling: Scaling, dtype: Any) -> None:
    """Refuse targets whose squares, in units of the scaling, overflow in the dtype.

    Raises
    ------
    ValueError
        If there is one; it names the largest.
    """
    z = np.empty(y.shape)
    with np.errstate(over="ignore"):
        scaling.apply(y, out=z)
    worst = np.unravel_index(int(np.abs(z).argmax()), z.shape)
    if abs(z[worst]) <= largest_square_root(dtype):
        return
    remedy = "scale y, as standardize=True does."
    if scaling.scale is not None:
        spread = float(np.asarray(scaling.scale)[worst[1:]])
        remedy = f"those of fit vary by {spread:.3g} (standard deviation)."
    raise ValueError(
        f"y has a target of {y[worst]:.3g}, too large to compute with: {remedy}"
    )


def check_precision(y: NDArray, dtype: Any) -> None:
    """Refuse targets that predictions in the dtype cannot hold or tell apart.

    Raises
    ------
    ValueError
        If they overflow, or become one number without being constant.
    """
    if y.ndim == 2:
        for column in y.T:
            check_precision(column, dtype)
        return
    ends = np.array([y.min(), y.max()])
    with np.errstate(over="ignore", under="ignore"):
        spread, (low, high) = np.ptp(ends), ends.astype(dtype)
    lost = low == high and spread > 1e-14 * np.abs(ends).max()
    if lost or not np.isfinite([low, high]).all():
        raise ValueError(
            f"y runs from {ends[0]!s} to {ends[1]!s}, which {np.dtype(dtype)} does not "
            "hold, and predictions have the dtype of X: give X as float64, or scale y."
        )


def largest_square_root(dtype: Any) -> float:
    """What may be squared in a dtype, and summed, without overflow."""
    return float(np.sqrt(np.finfo(dtype).max)) / CLIP
