"""Numbers of support rows, as users ask for them."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from collections.abc import Iterable
from numbers import Integral
from typing import Any

import numpy as np

SHOTS = (0, 1, 2, 5, 10, 20, 50)
"""As far as the tasks have rows."""

SUPPORTS = ("random", "stratified", "first")
"""Ways of choosing a support by name."""


def read_shots(shots: Any) -> list[int]:
    """Return the numbers asked for, in their order, of one number or several.

    Raises
    ------
    ValueError
        If one of them is no int of at least 0, or if there are none.
    """
    if isinstance(shots, np.ndarray):
        shots = shots.tolist()  # one number where it has no dimension
    values = list(shots) if isinstance(shots, Iterable) else [shots]
    if not values:
        raise ValueError(f"shots must hold a number of support rows; got {shots!r}.")
    for value in values:
        check_count("shots", value, 0)
    return [int(value) for value in values]


def check_support(support: Any) -> None:
    if isinstance(support, str) and support not in SUPPORTS:
        raise ValueError(
            f"support must be one of {', '.join(map(repr, SUPPORTS))} or a splitter; "
            f"got {support!r}."
        )


def named_support(support: Any) -> str:
    return support if isinstance(support, str) else f"splitter {support}"


def check_count(name: str, value: Any, least: int) -> None:
    if not isinstance(value, Integral) or isinstance(value, bool) or value < least:
        raise ValueError(f"{name} must be an int of at least {least}; got {value!r}.")
