"""Warnings as a person at a terminal reads them."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import re
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def in_plain_words() -> Iterator[None]:
    """Write warnings without a line of code; those that differ in numbers once."""
    told: set[str] = set()

    def write(message: Any, *about: Any, **more: Any) -> None:
        kind = re.sub(r"\d+", "0", str(message))
        if kind not in told:
            told.add(kind)
            print(f"sklmeta: {message}", file=sys.stderr, flush=True)

    with warnings.catch_warnings():
        warnings.showwarning = write
        yield
