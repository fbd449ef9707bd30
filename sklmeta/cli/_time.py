"""The column that says when a row was."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sklmeta.cli._files import DataError, File
from sklmeta.cli._schema import (
    Column,
    Reading,
    describe,
    features_of,
    find_formats,
)


def times_of(
    file: File, name: str, kept: NDArray[np.bool_], reading: Reading
) -> NDArray[Any]:
    """Dates or numbers of the rows that are kept, each of which has one."""
    column = Column(file, name, reading.na)
    found = describe(column, find_formats([column], reading)[name])
    if found.get("why") == "one date":
        return np.zeros(kept.sum())
    if found["kind"] not in ("date", "number"):
        why = f" ({found['why']})" if "why" in found else ""
        shown = column.named(~column.empty)
        raise DataError(
            f"--time {name}: the column holds neither dates nor numbers{why}: {shown}."
        )
    values = features_of({name: column}, {name: found})[0][name][kept]
    missing = pd.isna(values).to_numpy()
    if missing.any():
        raise DataError(
            f"--time {name}: {missing.sum()} row(s) say nothing. Leave them out of the "
            "file, or write down when they were."
        )
    return np.asarray(values)
