"""Standardisation of X and y by the statistics of the training rows."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sklmeta.data.blocks import row_blocks

# Far outliers are cut here: 1e300 must not become infinite in float32.
CLIP = 1e4


class Scaling(NamedTuple):
    """Mean and scale of every column, in float64; None leaves the data alone."""

    mean: NDArray[np.float64] | None
    scale: NDArray[np.float64] | None

    @classmethod
    def identity(cls) -> Scaling:
        return cls(None, None)

    @property
    def unit(self) -> Any:
        """The scale; 1 where the data are left alone."""
        return 1.0 if self.scale is None else self.scale

    @classmethod
    def of(cls, X: NDArray) -> Scaling:
        """Measure the columns of X (n_samples,) or (n_samples, n_features)."""
        n_rows = 0
        largest, mean, square = (np.zeros(X.shape[1:]) for _ in range(3))
        for block in row_blocks(X):
            rows = np.asarray(X[block], dtype=np.float64)
            # Dividing by the largest entry keeps squares of 1e300 finite.
            larger = np.maximum(largest, np.abs(rows).max(axis=0))
            unit = np.where(larger > 0, larger, 1.0)
            rows = rows / unit
            block_mean = rows.sum(axis=0) / len(rows)
            rows -= block_mean
            # Merging two means and sums of squares (Chan, Golub and LeVeque, 1983)
            # reads the data once, which may be on disk.
            old = largest / unit
            share = len(rows) / (n_rows + len(rows))
            step = block_mean - mean * old
            square = square * old**2 + np.square(rows).sum(axis=0)
            square += step**2 * (n_rows * share)
            mean = mean * old + step * share
            largest, n_rows = larger, n_rows + len(rows)
        unit = np.where(largest > 0, largest, 1.0)
        deviation = np.sqrt(square / n_rows)
        # A column of one value has a deviation of rounding errors.
        constant = deviation <= 10 * np.finfo(np.float64).eps * np.maximum(1, abs(mean))
        constant |= deviation * unit < np.finfo(np.float64).tiny / CLIP
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
            # A target is one-dimensional and is not cut: it is what is predicted.
            out[block] = z if X.ndim == 1 else np.clip(z, -CLIP, CLIP, out=z)

    def undo(self, z: NDArray) -> NDArray:
        """Turn standardised values back."""
        if self.mean is None or self.scale is None:
            return z
        return z * self.scale + self.mean
