"""Files that earlier versions of `sklmeta fit` wrote are still read."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from sklmeta.cli import main

DATES = Path(__file__).parents[1] / "fixtures" / "cli" / "dates.skops"
"""A mixed model behind a preparation of scikit-learn's transformers: of dates it was
given the parts of the calendar."""


def test_parts_of_dates_and_categories_are_read_as_then(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    days = pd.date_range("2024-01-29", periods=10).strftime("%d.%m.%Y")
    words = ["", "leaf", "1", "none", "leaf", "1", "none", "", "1", "none"]
    prices = ["?", "2.87", "3.64", "3.1", "2.46", "3.36", "4.3", "3.95", "2.3", "1.73"]
    rows = pd.DataFrame({"store": "new", "day": days, "promo": words, "price": prices})
    sales = [9.87, 10.13, 10.37, 11.31, 14.22, 15.7]
    rows[:6].assign(sales=sales).to_csv("support.csv", index=False)
    rows[6:].to_csv("query.csv", index=False)
    flags = ["--support", "support.csv", "--out", "out.csv", "--digits", "6"]
    assert main(["predict", str(DATES), "query.csv", *flags]) == 0
    found = pd.read_csv("out.csv").prediction
    expected = [15.562184, 16.721068, 17.444708, 18.300438]  # that version's
    np.testing.assert_allclose(found, expected, rtol=1e-5)
