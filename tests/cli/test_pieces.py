"""Parquet in pieces: the predictions of the whole, and a file that is not sorted."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import os

import numpy as np
import pandas as pd
import pytest

from sklmeta.cli import main
from tests.cli.tables import sales

pytest.importorskip("pyarrow", reason="pyarrow is not installed")

NAMES = ["--task", "store", "--quiet", "--no-validation", "--out", "m.skops"]


@pytest.fixture
def frame(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    frame = sales()
    frame["shop"] = 7
    frame["ok"] = np.where(frame.sales > frame.sales.median(), "high", "low")
    return frame


def fit(frame, target, model):
    other = "ok" if target == "sales" else "sales"
    frame.drop(columns=[other, "shop"]).to_parquet("fit.parquet")
    command = ["fit", "fit.parquet", "--target", target, "--model", model]
    assert main([*command, *NAMES]) == 0


def with_gaps(frame, target):
    known = frame.groupby("store").cumcount() < 5
    known &= frame.store != "s03"  # of which nothing is known
    return frame.assign(**{target: frame[target].where(known)}), known


@pytest.mark.parametrize(
    ("target", "model"), [("sales", "mixed model"), ("ok", "mixed model")]
)
def test_pieces_predict_what_the_whole_does(frame, target, model):
    fit(frame, target, model)
    table, known = with_gaps(frame, target)
    table.to_parquet("all.parquet", row_group_size=31, index=False)
    pieces = ["--in-pieces", "--rows", "17", "--digits", "6", "--out", "out.parquet"]
    assert main(["predict", "m.skops", "all.parquet", *pieces]) == 0
    found = pd.read_parquet("out.parquet")
    assert list(found.store) == list(table.store[~known])
    assert (found.shop == 7).all() and found.shop.dtype == np.int64
    table[known].to_csv("support.csv", index=False)
    lone = table.store == "s03"
    table[~known & ~lone].to_csv("new.csv", index=False)
    table[lone].to_csv("lone.csv", index=False)
    digits = ["--digits", "6", "--out"]
    support = ["--support", "support.csv"]
    assert main(["predict", "m.skops", "new.csv", *support, *digits, "new.out"]) == 0
    assert main(["predict", "m.skops", "lone.csv", *digits, "lone.out"]) == 0
    whole = pd.concat([pd.read_csv("new.out"), pd.read_csv("lone.out")])
    whole = whole.sort_values("store", kind="stable")
    for name in found.columns.drop([*table.columns]):
        expected = whole[name].to_numpy()
        if name == "prediction" and target == "ok":
            assert list(found[name]) == list(expected)
        else:
            np.testing.assert_allclose(found[name], expected, atol=2e-6)


def test_a_file_that_is_not_sorted_is_refused_and_nothing_left(frame, capsys):
    fit(frame, "sales", "mixed model")
    table, _ = with_gaps(frame, "sales")
    mixed = pd.concat([table[24:], table[:24]])
    mixed.to_parquet("all.parquet", index=False)
    pieces = ["--in-pieces", "--rows", "30", "--out", "out.parquet"]
    assert main(["predict", "m.skops", "all.parquet", *pieces]) == 1
    assert "'s00' comes after 's11' in row 122" in capsys.readouterr().err
    assert not [name for name in os.listdir() if name.startswith("out.parquet")]
    table[::-1].to_parquet("all.parquet", index=False)  # descending will do
    assert main(["predict", "m.skops", "all.parquet", *pieces]) == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["all.csv", "--out", "out.parquet"], "reads one Parquet file"),
        (["none.parquet", "--out", "out.parquet"], "no file none.parquet"),
        (["fit.parquet", "--out", "out.csv"], "writes another"),
        (["fit.parquet", "--out", "out.parquet"], "no row to predict"),
        (["fit.parquet", "--out", "out.parquet", "--rows", "0"], "--rows is 1 or more"),
    ],
)
def test_what_in_pieces_needs(frame, capsys, arguments, message):
    fit(frame, "sales", "mixed model")
    assert main(["predict", "m.skops", *arguments, "--in-pieces"]) == 1
    assert message in " ".join(capsys.readouterr().err.split())


def test_the_whole_is_written_as_parquet_too(frame):
    fit(frame, "sales", "mixed model")
    frame[:5].to_parquet("support.parquet")
    frame[5:12].to_parquet("new.parquet", index=False)
    files = ["new.parquet", "--support", "support.parquet"]
    assert main(["predict", "m.skops", *files, "--out", "out.parquet"]) == 0
    found = pd.read_parquet("out.parquet")
    assert found.drop(columns="prediction").equals(frame[5:12].reset_index(drop=True))
    assert found.prediction.notna().all()
