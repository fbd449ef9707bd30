"""What the generators of synthetic tasks share: checks, sizes, flat arrays.

Rows are drawn as one rectangle of (n_tasks, longest task) and the surplus is dropped,
so that no generator loops over tasks.
"""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.random import Generator, RandomState
from sklearn.utils import check_random_state

Params = dict[str, Any]
"""True parameters: arrays with tasks first, and what all tasks share."""


def make_generator(random_state: int | RandomState | None) -> Generator:
    """Turn scikit-learn's `random_state` into a `Generator`.

    The law is scikit-learn's (None, an int, or a RandomState that moves on), the
    stream NumPy's current one, which draws normals several times faster.
    """
    return np.random.default_rng(
        check_random_state(random_state).randint(2**31, size=4)
    )


def check_count(name: str, value: Any, minimum: int = 1) -> int:
    """Return `value` if it is an int of at least `minimum`."""
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise ValueError(f"{name} must be an int, got {value!r}.")
    if value < minimum:
        raise ValueError(f"{name} must be at least {minimum}, got {value}.")
    return int(value)


def check_scale(name: str, value: Any) -> float:
    """Return `value` if it is a finite number of at least 0."""
    if isinstance(value, bool) or not isinstance(value, Real):
        raise ValueError(f"{name} must be a number of at least 0, got {value!r}.")
    number = float(value)
    if not 0 <= number < np.inf:
        raise ValueError(f"{name} must be finite and at least 0, got {value}.")
    return number


def check_count_range(name: str, value: Any, minimum: int = 1) -> tuple[int, int]:
    """Return (low, high) of an int or of an inclusive range (low, high)."""
    if isinstance(value, tuple | list):
        if len(value) != 2:
            raise ValueError(
                f"{name} must be an int or an inclusive range (low, high), "
                f"got {value!r}."
            )
        low = check_count(f"{name}[0]", value[0], minimum)
        high = check_count(f"{name}[1]", value[1], minimum)
        if low > high:
            raise ValueError(f"{name} must have low <= high, got {value!r}.")
        return low, high
    count = check_count(name, value, minimum)
    return count, count


def check_interval(name: str, value: Any) -> tuple[float, float]:
    """Return (low, high) of a pair of finite numbers with low <= high."""
    try:
        low, high = (float(bound) for bound in value)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"{name} must be a pair of numbers (low, high), got {value!r}."
        ) from error
    if not (np.isfinite(low) and np.isfinite(high) and low <= high):
        raise ValueError(f"{name} must be finite with low <= high, got {value!r}.")
    return low, high


class Layout:
    """Sizes of the tasks, and the way from rectangles to flat rows.

    Parameters
    ----------
    rng : Generator
    n_tasks : int
    n_rows : int or (int, int)
        Rows of every task, or the inclusive range from which each task's number is
        drawn uniformly.
    minimum : int, default=1
        The fewest rows that a task may have.
    """

    def __init__(self, rng: Generator, n_tasks: Any, n_rows: Any, minimum: int = 1):
        self.n_tasks = check_count("n_tasks", n_tasks)
        low, self.n_columns = check_count_range("n_rows", n_rows, minimum)
        self.sizes = rng.integers(low, self.n_columns + 1, size=self.n_tasks)
        self.task = np.repeat(np.arange(self.n_tasks), self.sizes)
        self.is_ragged = low < self.n_columns
        # (n_tasks, n_columns), True where the task has the row
        self.mask = np.arange(self.n_columns) < self.sizes[:, None]

    @property
    def shape(self) -> tuple[int, int]:
        """(n_tasks, rows of the longest task)."""
        return self.n_tasks, self.n_columns

    def flatten(self, values: np.ndarray) -> np.ndarray:
        """Rows (n_samples, ...) of a rectangle (n_tasks, n_columns, ...)."""
        if self.is_ragged:
            return values[self.mask]
        return values.reshape(-1, *values.shape[2:])
