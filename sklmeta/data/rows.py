"""Rows as episodes and adaptation read them: a tensor, or an array left on disk."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sklmeta.data.blocks import is_mapped
from sklmeta.data.scaling import Scaling

LEAVE_ON_DISK = 2**26
"""An array of fewer bytes is made a tensor, which is faster to read."""

_BLOCK_BYTES = 2**20


class MappedRows:
    """A large array that reads like the tensor `row_table` makes of others.

    Rows are fetched, scaled and cast when they are asked for, and never kept.

    Parameters
    ----------
    values : ndarray of shape (n_samples, *input)
        The array, in memory or on disk.

    device : str
    dtype : torch.dtype
        Of the tensors that come out.

    scaling : Scaling
    """

    def __init__(
        self, values: NDArray, device: str, dtype: torch.dtype, scaling: Scaling
    ):
        self.values = np.asarray(values)  # a plain view: maps are slower to index
        self.device = torch.device(device)
        self.dtype = dtype
        self.scaling = scaling

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self), *self.values.shape[1:])

    def __len__(self) -> int:
        """Count the rows, and the row of zeros at the end."""
        return len(self.values) + 1

    def __getitem__(self, index: Any) -> Tensor:
        """Fetch the rows at `index`, of any shape; -1 reads the row of zeros."""
        if isinstance(index, slice):
            index = np.arange(len(self))[index]
        elif isinstance(index, Tensor):
            index = index.cpu().numpy()
        index = np.asarray(index)
        flat = index.ravel()
        rows = np.zeros((flat.size, *self.values.shape[1:]), _numpy_dtype(self.dtype))
        # In the order of the file, which is the order in which disks are fast.
        order = np.argsort(flat)
        ranked = flat[order]
        first, last = np.searchsorted(ranked, [0, len(self.values)])
        step = max(1, _BLOCK_BYTES // max(1, rows[:1].nbytes))
        for start in range(first, last, step):
            block = slice(start, min(start + step, last))
            fetched = np.asarray(self.values[ranked[block]])
            scaled = np.empty(fetched.shape, rows.dtype)
            self.scaling.apply(fetched, out=scaled)
            rows[order[block]] = scaled
        tensor = torch.from_numpy(rows.reshape(*index.shape, *self.values.shape[1:]))
        return to_device(tensor, self.device)


RowTable = Tensor | MappedRows


def row_table(
    values: NDArray,
    device: str,
    dtype: torch.dtype,
    scaling: Scaling,
    *,
    read_once: bool = False,
) -> RowTable:
    """Make a table of scaled rows, with the row of zeros that padding reads.

    A large memory-mapped array stays on disk, behind an object that reads alike. So
    does a large array in memory where every row is `read_once`: no copy of it is made.
    """
    lone = read_once and torch.device(device).type == "cpu"
    if values.nbytes >= LEAVE_ON_DISK and (lone or is_mapped(values)):
        return MappedRows(values, device, dtype, scaling)
    return with_zero_row(values, device, dtype, scaling)


def with_zero_row(
    values: NDArray,
    device: str,
    dtype: torch.dtype = torch.long,
    scaling: Scaling | None = None,
) -> Tensor:
    """Make a tensor of (scaled) rows, with the row of zeros that padding reads."""
    tensor = torch.zeros((len(values) + 1, *values.shape[1:]), dtype=dtype)
    target = tensor.numpy()[:-1]
    if scaling is None:
        target[...] = values
    else:
        scaling.apply(values, out=target)
    return tensor.to(device)


def fetch_rows(X: RowTable, index: Tensor) -> Tensor:  # shape: (*index, *input)
    """Read rows of a table; `index` is on the table's device and has no -1."""
    if not isinstance(X, Tensor):
        return X[index]
    if X.ndim == 2:  # one call, where every other way is two or three
        return torch.embedding(X, index)
    return X.index_select(0, index.view(-1)).view(*index.shape, *X.shape[1:])


def to_device(tensor: Tensor, device: torch.device) -> Tensor:
    """Move a tensor without waiting for the device."""
    if device.type != "cuda":
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)


def _numpy_dtype(dtype: torch.dtype) -> Any:
    return torch.empty(0, dtype=dtype).numpy().dtype
