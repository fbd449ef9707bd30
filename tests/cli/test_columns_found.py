"""Which columns are features: numbers of rows, names of tasks, dates and text."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from sklmeta.cli._files import read_file
from sklmeta.cli._schema import Reading
from sklmeta.cli._table import DataError, make_table, preparation
from tests.cli.tables import sales, table


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("name", [None, "index"])
def test_numbers_of_rows_are_left_out_and_named(name):
    frame = sales()
    frame.rename_axis(name).to_csv("table.csv")
    found = make_table(read_file("table.csv"), target="sales", task="store")
    assert list(found.X) == ["price", "code"]
    assert f"numbers of rows: {name or 'Unnamed: 0'}" in found.notes[0]
    given = {"target": "sales", "task": "store", "features": [name or "Unnamed: 0"]}
    assert make_table(read_file("table.csv"), **given).X.shape == (144, 1)


def test_numbers_that_count_the_rows_are_left_out():
    found = table(sales().assign(person=np.arange(1, 145), year=np.arange(144) // 2))
    assert list(found.X) == ["price", "code", "year"]
    assert "numbers of rows: person" in found.notes[0]
    assert "person" in table(sales().assign(person=range(144)), features=["person"]).X


def test_another_name_of_the_tasks_is_left_out():
    frame = sales()
    frame["town"] = frame.store.map(lambda name: f"town of {name}")
    frame["region"] = frame.store.map(lambda name: "north" if name > "s05" else "south")
    found = table(frame)
    assert list(found.X) == ["price", "code", "region"]
    assert "town (another name of the tasks)" in "".join(found.notes)


@pytest.mark.parametrize("n_days", [30, 144])
@pytest.mark.parametrize("form", ["%Y-%m-%d", "%Y/%m/%d", "%d.%m.%Y", "%d/%m/%Y"])
def test_few_and_many_dates_are_read_alike(n_days, form):
    frame = sales()
    days = pd.Series(np.resize(pd.date_range("2024-01-01", periods=n_days), 144))
    frame["day"] = days.dt.strftime(form)
    found = table(frame)
    np.testing.assert_array_equal(found.X.day, days)
    assert "'day' holds dates" in "".join(found.notes)
    names = preparation().fit(found.X).get_feature_names_out()
    assert "day_weekday" in names and "day_year" not in names  # always the same


def test_text_is_told_from_identifiers():
    frame = sales()
    frame["note"] = [
        f"said {'no' if i % 3 else 'yes'} on visit {i}" for i in range(144)
    ]
    frame["receipt"] = [f"R-{i:06d}" for i in range(144)]
    found = table(frame)
    assert "Read as text, by parts of words: note." in found.notes
    assert "receipt (identifiers, hardly one of them twice)" in "".join(found.notes)
    names = preparation().fit(found.X).get_feature_names_out()
    assert sum(name.startswith("note") for name in names) == 10
    assert "receipt" in table(frame, features=["price", "receipt"]).X


@pytest.mark.parametrize("form", ["%Y-%m-%d", "%d.%m.%Y"])
def test_the_time_of_rows(form):
    frame, n = sales(), np.arange(144)
    frame["day"] = (pd.Timestamp("2024-01-01") + pd.to_timedelta(n, "D")).strftime(form)
    frame.loc[:1, "sales"] = np.nan
    found = table(frame, drop=["day"], time="day")
    assert list(found.X) == ["price", "code"]
    assert (np.argsort(found.time) == np.arange(142)).all()
    with pytest.raises(DataError, match=r"--time code: .* neither dates nor numbers"):
        table(frame, time="code")
    frame.loc[5, "day"] = ""
    with pytest.raises(DataError, match=r"--time day: 1 row\(s\) say nothing"):
        table(frame, time="day")


def test_one_mark_is_not_two():
    with pytest.raises(DataError, match=r"'.' cannot be both --decimal and --thou"):
        table(sales(), reading=Reading(decimal=".", thousands="."))


def test_dates_with_two_readings_are_left_out():
    found = table(sales().assign(day=np.resize(["01/02/2024", "03/04/2024"], 144)))
    assert "day (dates read in two ways, or in none)" in "".join(found.notes)
