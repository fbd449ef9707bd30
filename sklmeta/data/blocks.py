"""Reading large arrays, which may be files, block by block."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import scipy.sparse
from numpy.typing import NDArray

_BLOCK_BYTES = 2**20


def row_blocks(X: NDArray) -> Iterator[slice]:
    """Cut rows into blocks, so that temporaries stay small, and in the cache."""
    step = max(1, _BLOCK_BYTES // max(1, X[:1].size * 8))
    for start in range(0, len(X), step):
        yield slice(start, start + step)


def as_rows(X: Any) -> Any:
    """Return X, or a sparse matrix in the form whose rows can be picked."""
    return X.tocsr() if scipy.sparse.issparse(X) else X


def is_mapped(values: Any) -> bool:
    """Whether an array is a memory-mapped file, or a view of one."""
    while isinstance(values, np.ndarray):
        if isinstance(values, np.memmap):
            return True
        values = values.base
    return False
