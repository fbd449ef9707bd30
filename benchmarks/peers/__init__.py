"""What a user would otherwise run, each behind the same two functions.

``importable()`` says whether the peer can be imported here, and
``updates(workload)`` returns a function that makes n whole meta-updates: drawing the
rows, the meta-gradient and Adam; or None for a workload that the peer has no way to do.
"""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import time
from collections.abc import Callable

Updates = Callable[[int], None]


def seconds_per_update(updates: Updates, n: int) -> float:
    """Seconds that one of `n` meta-updates takes."""
    start = time.perf_counter()
    updates(n)
    return (time.perf_counter() - start) / n
