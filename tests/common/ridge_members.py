"""Two quick members of a blend."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from sklearn.linear_model import Ridge

from sklmeta import PerTask, Pooled


def two_ridges():
    return [
        ("own", PerTask(Ridge(alpha=0.1))),
        ("pooled", Pooled(Ridge(), support="offset")),
    ]
