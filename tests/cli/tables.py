"""A table of sales as people keep them, and what the command line reads of it."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import numpy as np
import pandas as pd

from sklmeta.cli._files import read_file
from sklmeta.cli._table import make_table


def sales(n_stores=12, n_rows=12, seed=0):
    rng = np.random.default_rng(seed)
    n = n_stores * n_rows
    level, slope = (
        rng.normal(m, s, n_stores).repeat(n_rows) for m, s in ((10, 3), (2, 0.5))
    )
    price, code = rng.uniform(1, 5, n).round(2), rng.choice(["1", "2", "X"], n)
    noise = rng.normal(0, 0.2, n)
    return pd.DataFrame(
        {
            "store": [f"s{i:02d}" for i in np.arange(n_stores).repeat(n_rows)],
            "price": price,
            "code": code,
            "sales": (level - slope * price + 5 * (code == "2") + noise).round(2),
        }
    )


def table(frame, target="sales", **settings):
    frame.to_csv("table.csv", index=False)
    return make_table(read_file("table.csv"), target=target, task="store", **settings)
