"""Files that real people have: read alike, or refused in a sentence."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import datetime
import decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from sklmeta.cli._files import DataError, read_file, without_formula
from sklmeta.cli._table import make_table


@pytest.fixture
def frame(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    store = np.arange(12).repeat(5)
    return pd.DataFrame(
        {
            "store": [f"s{i}" for i in store],
            "größe": rng.uniform(0, 9, 60).round(2),
            "sales": rng.normal(size=60).round(3),
        }
    )


def table(path, **settings):
    return make_table(read_file(path, **settings), target="sales", task="store")


def write(frame, path, **settings):
    frame.to_csv(path, index=False, **settings)


@pytest.mark.parametrize(
    ("path", "settings"),
    [
        ("a.csv", {}),
        ("a.csv", {"sep": ";"}),
        ("a.csv", {"sep": ";", "decimal": ","}),
        ("a.csv", {"decimal": ","}),
        ("a.txt", {"sep": "\t"}),
        ("a.tsv.gz", {"sep": "\t"}),
        ("a.csv.zip", {"sep": "|"}),
        ("a.csv.xz", {}),
        ("a.csv", {"encoding": "utf-16"}),
        ("a.csv", {"encoding": "utf-8-sig"}),
        ("a.csv", {"lineterminator": "\r\n"}),
    ],
)
def test_what_is_certain_is_found(frame, path, settings):
    write(frame, path, **settings)
    found = table(path)
    np.testing.assert_array_equal(found.X["größe"], frame["größe"])
    np.testing.assert_array_equal(found.y, frame.sales)


def test_what_is_not_certain_is_named(frame):
    write(frame, "latin.csv", encoding="latin-1")
    with pytest.raises(DataError, match=r"latin.csv cannot .* Say --encoding"):
        table("latin.csv")
    assert len(table("latin.csv", encoding="latin-1").y) == 60
    Path("blind.csv").write_bytes(frame.to_csv().encode("utf-16-le"))
    with pytest.raises(DataError, match="--encoding"):
        table("blind.csv")
    Path("both.csv").write_text("a;b,c\n1;2,3\n")
    with pytest.raises(DataError, match="may be parted by ',' or ';': say --sep"):
        read_file("both.csv")
    assert list(read_file("both.csv", sep=";").cells) == ["a", "b,c"]


@pytest.mark.parametrize("header", ["store,price,sales", "store,price,sales,"])
def test_trailing_commas(frame, header):
    rows = "".join(f"S{i % 5},{i},{i / 2},\n" for i in range(60))
    Path("trail.csv").write_text(f"{header}\n{rows}")
    found = table("trail.csv")
    np.testing.assert_array_equal(found.X.price, np.arange(60))
    np.testing.assert_array_equal(found.y, np.arange(60) / 2)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1,2\n\n3,4,x\n", r"3 cells in row 4: 'x' has no column"),
        ("a,b,a\n1,2,3\n", "more than one column called 'a'"),
        ("", "it is empty"),
        ("a,b\n", "a header and no rows"),
        ('a,b\n1,"2\n' + "x" * 140_000, "cannot be read as a table"),
        ('a,b\n1,2\n3,"4\n5,6\n', "after row 2, unexpected end of data. Is a quote"),
    ],
)
def test_what_is_no_table_is_told(frame, text, message):
    Path("a.csv").write_text(text)
    with pytest.raises(DataError, match=message):
        read_file("a.csv")


@pytest.mark.parametrize("end", ["csv.gz", "csv.zip", "csv.xz", "parquet"])
def test_what_is_not_what_its_name_says(frame, end):
    Path(f"a.{end}").write_bytes(b"nothing of the kind")
    with pytest.raises(DataError, match=f"a.{end} cannot be read|needs pyarrow"):
        read_file(f"a.{end}")


def test_a_separator_is_one_character(frame):
    write(frame, "a.csv", sep="\t")
    assert len(table("a.csv", sep="\\t").y) == 60
    with pytest.raises(DataError, match="--sep is one character; got ';;'"):
        read_file("a.csv", sep=";;")


def test_a_folder_in_place_of_a_file(frame):
    Path("folder").mkdir()
    with pytest.raises(DataError, match="folder is a folder without Parquet files"):
        table("folder")


def test_a_spreadsheet_needs_its_package(frame):
    Path("book.xlsx").write_bytes(b"PK\x03\x04" + bytes(64))
    with pytest.raises(DataError, match=r"book.xlsx.*spreadsheet"):
        table("book.xlsx")


def test_a_spreadsheet_with_several_sheets(frame, monkeypatch):
    class Book(dict):
        sheet_names = property(list)
        __enter__ = lambda self: self
        __exit__ = lambda self, *args: None

        def parse(self, sheet, header, dtype, keep_default_na):
            names = pd.DataFrame([list(self[sheet])], columns=list(self[sheet]))
            return pd.concat([names, self[sheet].astype(object)], ignore_index=True)

    sheets = Book(first=frame, second=frame[:9])
    monkeypatch.setattr(pd, "ExcelFile", lambda file: sheets)
    Path("book.xlsx").touch()
    with pytest.raises(DataError, match="the sheets first, second: say --sheet"):
        table("book.xlsx")
    found = table("book.xlsx", sheet="first")
    np.testing.assert_array_equal(found.X["größe"], frame["größe"])


# Parquet -----------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["a.parquet", "folder/part-0.parquet"])
def test_parquet_with_an_index_or_in_a_folder(frame, path):
    pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    Path("folder").mkdir()
    frame.set_index("store").to_parquet(path)
    found = table(path.partition("/")[0])
    np.testing.assert_array_equal(found.X["größe"], frame["größe"])
    np.testing.assert_array_equal(found.y, frame.sales)


def test_types_of_parquet_are_kept(frame):
    pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    n = len(frame)
    ids = 10**18 + np.arange(n) % 3
    frame["id"] = pd.array([None, *ids[1:]], dtype="Int64")
    frame["lists"] = [[1.0, 2.0]] * n
    frame["codes"] = np.resize(["1", "2", "3"], n)
    frame["when"] = np.resize(pd.date_range("2024-01-01", periods=9), n)
    frame["day"] = np.resize([datetime.date(2024, 1, 1), datetime.date(2024, 2, 2)], n)
    frame["exact"] = [decimal.Decimal(i) / 4 for i in range(n)]
    frame["open"] = pd.array([None, *[True] * (n - 1)], dtype="boolean")
    frame["sales"] = [decimal.Decimal(i) / 4 for i in range(n)]
    frame.to_parquet("a.parquet")
    found = table("a.parquet")
    kinds = {name: about["kind"] for name, about in found.schema["features"].items()}
    assert kinds == {
        **dict.fromkeys(["größe", "id", "exact"], "number"),
        **dict.fromkeys(["when", "day"], "date"),
        "codes": "category",
        "open": "bool",
    }
    assert not found.classification
    assert "lists" in "".join(found.notes)
    assert read_file("a.parquet").cells.id.nunique() == 4  # with the empty one


@pytest.mark.parametrize(
    ("cell", "written"),
    [
        ("=1+1", "'=1+1"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("+49 30", "'+49 30"),
        ("-cmd", "'-cmd"),
        ("\t=1", "'\t=1"),
        ("-3.5", "-3.5"),
        ("+1e-3", "+1e-3"),
        ("-1.234,5", "-1.234,5"),
        ("a=b", "a=b"),
        ("", ""),
        (-3.5, -3.5),
    ],
)
def test_text_that_a_spreadsheet_would_evaluate_is_escaped(cell, written):
    assert without_formula(cell) == written


def test_formulas_are_escaped_on_request_only(frame, capsys):
    write(frame.assign(store="=A1")[:2].rename(columns={"sales": "@s"}), "a.csv")
    file = read_file("a.csv")
    file.write({"prediction": [-1.5, 2.0]}, ".", None, True)
    head, first, _ = capsys.readouterr().out.splitlines()
    assert head.split(",")[-2:] == ["'@s", "prediction"]
    assert first.startswith("'=A1,") and first.endswith(",-1.5")
    file.write({}, ".", None, False)
    assert capsys.readouterr().out.splitlines()[1].startswith("=A1,")
