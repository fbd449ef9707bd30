"""Standardisation of X and y by the statistics of the training rows."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

# Far outliers are cut here: 1e300 must not become infinite in float32.
CLIP = 1e4
_BLOCK_BYTES = 2**24


def row_blocks(X: NDArray) -> Iterator[slice]:
    """Cut rows into blocks, so that temporaries stay small beside X itself."""
    step = max(1, _BLOCK_BYTES // max(1, X[:1].size * 8))
    for start in range(0, len(X), step):
        yield slice(start, start + step)


class Scaling(NamedTuple):
    """Mean and scale of every column, in float64; None leaves the data alone."""

    mean: NDArray[np.float64] | None
    scale: NDArray[np.float64] | None

    @classmethod
    def identity(cls) -> Scaling:
        return cls(None, None)

    @classmethod
    def of(cls, X: NDArray) -> Scaling:
        """Measure the columns of X (n_samples,) or (n_samples, n_features)."""
        # Dividing by the largest entry first keeps squares of 1e300 finite.
        largest = np.zeros(X.shape[1:])
        for block in row_blocks(X):
            np.maximum(largest, np.abs(X[block]).max(axis=0), out=largest)
        unit = np.where(largest > 0, largest, 1.0)
        mean = sum((X[block] / unit).sum(axis=0) for block in row_blocks(X)) / len(X)
        square = sum(
            np.square(X[block] / unit - mean).sum(axis=0) for block in row_blocks(X)
        )
        deviation = np.sqrt(square / len(X))
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
            z = (0.5 * X[block] - 0.5 * self.mean) / (0.5 * self.scale)
            # A target is one-dimensional and is not cut: it is what is predicted.
            out[block] = z if X.ndim == 1 else np.clip(z, -CLIP, CLIP)

    def undo(self, z: NDArray) -> NDArray:
        """Turn standardised values back."""
        if self.mean is None or self.scale is None:
            return z
        return z * self.scale + self.mean
