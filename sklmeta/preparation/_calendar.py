"""Dates as parts of the calendar and as days since the first; imports skrub."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from typing import Any

import pandas as pd
from skrub import DatetimeEncoder


class CalendarEncoder(DatetimeEncoder):
    """Skrub's parts of a date, the weekday, and the days since the first of `fit`.

    Seconds since 1970, skrub's own count, are 128 apart in its float32.
    """

    def __init__(self) -> None:
        super().__init__(add_weekday=True, add_total_seconds=False)

    def fit_transform(self, column: pd.Series, y: Any = None) -> pd.DataFrame:
        first = column.min()
        self.first_ = "" if pd.isna(first) else first.isoformat()
        return super().fit_transform(column, y)

    def transform(self, column: pd.Series) -> pd.DataFrame:
        found = super().transform(column)
        since = column - pd.Timestamp(self.first_)
        found[f"{column.name}_days"] = since / pd.Timedelta(days=1)
        self.all_outputs_ = found.columns.to_list()
        return found
