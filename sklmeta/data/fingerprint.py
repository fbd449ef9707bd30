"""What tells data and parameters apart from others, as short words."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

MOST = 60
"""Letters of a value that are shown as they are."""


def of_rows(values: Any) -> str:
    """Return shape, type and a digest of rows: an array, or a data frame.

    Parameters
    ----------
    values : array-like or data frame

    Returns
    -------
    str
    """
    if values is None:
        return "None"
    if hasattr(values, "to_pandas"):  # a frame of another library
        values = values.to_pandas()
    if isinstance(values, pd.DataFrame | pd.Series):
        hashed = pd.util.hash_pandas_object(values, index=False).to_numpy()
        names = list(map(str, getattr(values, "columns", ())))
        return f"{values.shape} {_digest(hashed.tobytes(), repr(names).encode())}"
    array: NDArray[Any] = np.asarray(values)
    data = array.tobytes()
    if array.dtype.kind in "OUT":
        data = repr(array.tolist()).encode()
    return f"{array.shape} {array.dtype} {_digest(data)}"


def of_value(value: Any) -> str:
    """Return a word for a parameter's value, the same in every process.

    Parameters
    ----------
    value : object

    Returns
    -------
    str
    """
    text = _described(value)
    return text if len(text) <= MOST else f"{text[:MOST]}... {_digest(text.encode())}"


def _described(value: Any) -> str:
    if isinstance(value, type):
        return f"{value.__module__}.{value.__qualname__}"
    if isinstance(value, np.ndarray):
        return of_rows(value)
    if isinstance(value, Mapping):
        items = ", ".join(f"{k!r}: {_described(v)}" for k, v in value.items())
        return f"{{{items}}}"
    if isinstance(value, list | tuple):
        inside = ", ".join(map(_described, value))
        return f"[{inside}]" if isinstance(value, list) else f"({inside})"
    if hasattr(value, "state_dict"):  # a module: its weights count
        weights = {n: np.asarray(t.cpu()) for n, t in value.state_dict().items()}
        return f"{type(value).__qualname__} {_described(weights)}"
    if hasattr(value, "get_params"):
        return f"{type(value).__qualname__}({_described(value.get_params(deep=False))})"
    if callable(value):
        return f"{value.__module__}.{getattr(value, '__qualname__', type(value))}"
    return re.sub(r" at 0x[0-9a-f]+", "", repr(value))


def _digest(*parts: bytes) -> str:
    found = hashlib.sha256()
    for part in parts:
        found.update(part)
    return found.hexdigest()[:16]
