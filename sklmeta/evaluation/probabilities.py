"""Class probabilities: softened by a temperature, spread over more classes."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def soften(
    probabilities: NDArray[np.floating], temperature: NDArray[np.float64]
) -> NDArray[np.floating]:
    """Return p^(1/T), normalised; `temperature` is that of every row."""
    power = (1.0 / temperature)[:, None].astype(probabilities.dtype)
    largest = probabilities.max(axis=1, keepdims=True)
    raised = (probabilities / largest) ** power
    return raised / raised.sum(axis=1, keepdims=True)


def spread(
    values: NDArray[Any], known: NDArray[Any], classes: NDArray[Any]
) -> NDArray[Any]:  # shape: (n_samples, n_classes)
    """Put a model's probabilities into the columns of `classes`, zeros in others."""
    if np.array_equal(known, classes):
        return values
    columns = np.zeros((len(values), len(classes)), dtype=values.dtype)
    columns[:, np.searchsorted(classes, known)] = values
    return columns
