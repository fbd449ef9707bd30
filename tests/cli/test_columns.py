"""Columns of real tables: one reading, told in words, and kept with the model."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest

from sklmeta.cli import main
from sklmeta.cli._schema import Reading
from sklmeta.cli._store import load_model, save_model
from sklmeta.cli._table import DataError
from tests.cli.tables import sales, table


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def fit(frame, target="sales", model="BayesianLinear", *more):
    frame.to_csv("fit.csv", index=False)
    names = ["--task", "store", "--target", target, "--model", model]
    out = ["--max-iter", "2", "--quiet", "--out", "m.skops"]
    assert main(["fit", "fit.csv", *names, *out, *more]) == 0


def predict(frame, support=None, *more):
    frame.to_csv("new.csv", index=False)
    if support is not None:
        support.to_csv("support.csv", index=False)
        more = ("--support", "support.csv", *more)
    code = main(["predict", "m.skops", "new.csv", "--out", "out.csv", *more])
    return pd.read_csv("out.csv", dtype=str, keep_default_na=False) if not code else 1


# A column keeps its type from file to file -------------------------------------------


def test_codes_stay_text_where_a_later_file_has_digits_alone():
    frame = sales()
    fit(frame)
    support, new = frame[:6], frame[6:12]
    together = predict(new, support).prediction
    digits = (new.code != "X").to_numpy()
    alone = predict(new[digits], support).prediction
    assert list(alone) == list(together[digits])
    few = frame[:12][frame[:12].code != "X"]
    assert len(predict(new, few)) == 6  # in a support likewise


@pytest.mark.parametrize(
    "classes",
    [["1", "2", "X"], [True, False], [2, 1], ["0001", "0002"], ["None", "NA", "some"]],
)
def test_classes_keep_their_names_from_file_to_file(classes):
    frame = sales().drop(columns="sales")
    frame["ok"] = np.resize(np.array(classes, dtype=object), len(frame))
    fit(frame, "ok", "ProtoNet")
    support = frame[:12].copy()
    support.loc[4:, "ok"] = None  # not labelled yet: pandas writes 1 as 1.0 beside it
    if classes == [2, 1]:
        support["ok"] = support.ok.astype(float)
    found = predict(frame[:12], support)
    names = sorted(str(c) for c in classes)
    assert set(found.prediction) <= {*names}
    assert [c for c in found if "prob" in c] == [f"probability_{c}" for c in names]
    only = predict(frame[:12], frame[:12][frame[:12].ok == classes[0]])
    assert set(only.prediction) <= {*names}


@pytest.mark.parametrize(
    ("column", "cell", "message"),
    [
        ("price", "cheap", "support.csv, column 'price', row 4: 'cheap' is no number"),
        ("sales", "lots", "support.csv, column 'sales', row 4: 'lots' is no number"),
        ("when", "soon", "column 'when', row 4: 'soon' is no date as in fit"),
        ("open", "perhaps", "column 'open', row 4: 'perhaps' is no true or false"),
    ],
)
def test_what_cannot_be_read_as_in_fit_is_refused_by_its_cell(
    capsys, column, cell, message
):
    frame = sales().assign(when="2024-01-01", open=True)
    frame.loc[::2, ["when", "open"]] = ["2024-02-03", False]
    fit(frame)
    support = frame[:6].astype(object)
    support.loc[2, column] = cell
    assert predict(frame[6:12], support) == 1
    assert message in capsys.readouterr().err


def test_a_class_and_a_category_that_fit_has_not_seen(capsys):
    frame = sales().assign(ok=np.resize(["yes", "no"], 144)).drop(columns="sales")
    fit(frame, "ok", "ProtoNet")
    assert len(predict(frame[:3].assign(code="Y"))) == 3
    assert "column 'code': not in fit: 'Y' (3, first in row 2)" in (
        capsys.readouterr().err
    )
    assert predict(frame[:3], frame[:3].assign(ok="maybe")) == 1
    assert "row 2: 'maybe' is no class of fit (no, yes)" in capsys.readouterr().err


# Words that mean something -----------------------------------------------------------


def test_only_empty_cells_are_missing_where_words_mean_something():
    frame = sales().replace({"store": {"s00": "NA", "s01": "None"}})
    frame["grade"] = np.resize(["None", "null", "low"], len(frame))
    frame.loc[:3, "code"] = "NA"
    found = table(frame, "grade")
    assert len(found.y) == 144
    assert {"NA", "None"} <= set(found.task)
    assert list(np.unique(found.y)) == ["None", "low", "null"]
    assert (found.X.code[:4] == "NA").all()
    assert found.X.code.dtype == "category"
    assert "'NA' (4, first in row 2) is a value of its own" in "".join(found.notes)
    named = table(frame, "grade", reading=Reading(frozenset({"None", "NA"})))
    assert len(named.y) == 80
    assert named.X.code.isna().sum() == 0  # its rows had no store either


def test_words_in_numbers_are_missing_and_told():
    frame = sales().astype(object)
    frame.loc[:1, "price"] = "NA"
    frame.loc[5, "sales"] = "nan"
    found = table(frame)
    assert found.X.price.isna().sum() == 2
    assert len(found.y) == 143
    assert "'price': 2 cell(s) taken for missing: 'NA' (2, first in row 2)" in (
        "".join(found.notes)
    )


# Nearly numeric columns --------------------------------------------------------------


@pytest.mark.parametrize("column", ["sales", "price"])
@pytest.mark.parametrize("word", ["?", "about 3", "€4", "1e400"])
def test_two_cells_do_not_make_text_of_numbers(column, word):
    frame = sales().astype(object)
    frame.loc[[3, 7], column] = word
    found = table(frame)
    assert not found.classification
    assert len(found.y) == (142 if column == "sales" else 144)
    assert found.X.price.isna().sum() == 2 * (column == "price")
    assert f"{column!r}: 2 cell(s) taken for missing: {word!r} (2, first in row 5)" in (
        "".join(found.notes)
    )


@pytest.mark.parametrize(
    ("written", "settings"),
    [
        ("{:,.2f}", {}),
        ("{:.2f}", {"swap": True}),
        ("{:,.2f}", {"swap": True}),
        ("{:,.0f}", {"reading": Reading(thousands=",")}),
        ("{:,.0f}", {"swap": True, "reading": Reading(thousands=".")}),
        ("{:,.3f}", {"swap": True, "reading": Reading(decimal=",", thousands=".")}),
    ],
)
@pytest.mark.parametrize("column", ["sales", "price"])
def test_marks_of_decimals_and_thousands(written, settings, column):
    frame, settings = sales(), dict(settings)
    values = (frame[column] * 1000).round(0 if ".0f" in written else 2)
    marks = str.maketrans(",.", ".," if settings.pop("swap", False) else ",.")
    cells = values.map(lambda v: written.format(v).translate(marks))
    frame = frame[["store", "sales", "price"]].round(0)
    frame = frame.astype({"sales": int, "price": int})
    frame[column] = cells
    found = table(frame, kind="regression", **settings)
    read = found.y if column == "sales" else found.X[column]
    np.testing.assert_allclose(read, values)
    assert re.search(f"between thousands: .*{column}", "".join(found.notes))


def test_a_cell_with_two_readings_is_asked_about():
    frame = sales()
    frame["price"] = frame.price.map(lambda v: f"{v:.3f}".replace(".", ","))
    with pytest.raises(DataError, match=r"column 'price': '\d,\d+' may .* --decimal ,"):
        table(frame)
    comma = Reading(decimal=",")
    frame["sales"] = frame.sales.map(lambda v: f"{v:.2f}".replace(".", ","))
    assert table(frame).X.price.max() < 5  # as the mark in the other column
    assert table(frame, reading=comma).X.price.max() < 5


@pytest.mark.parametrize("n_rows", [10, 100])
def test_more_classes_than_make_sense_are_asked_about(n_rows):
    frame = sales(n_rows=n_rows)
    frame["sales"] = frame.sales.map("{:.2f} euro".format)
    with pytest.raises(DataError, match=r"would have \d+ classes in .*--kind regress"):
        table(frame)
    assert table(frame, kind="classification").classification
    assert table(frame, own_classes=True).classification


@pytest.mark.parametrize(("n", "other"), [(14, "classification"), (5, "regression")])
def test_whole_numbers_are_read_one_way_and_the_other_is_named(n, other):
    frame = sales().assign(sales=np.resize(np.arange(n), 144))
    found = table(frame)
    assert found.classification == (other == "regression")
    assert f"say --kind {other}" in "".join(found.notes)


def test_a_regression_target_of_text_is_refused_by_its_cells():
    frame = sales()
    with pytest.raises(DataError, match=r"'store2' holds no numbers: 's00' \(12, fir"):
        table(frame.assign(store2=frame.store), "store2", kind="regression")
    with pytest.raises(DataError, match="'code', row 3: 'X' is no number"):
        table(frame.assign(code=["1", "X"] * 72), "code", kind="regression")


@pytest.mark.parametrize("mark", [".", ","])
def test_a_later_file_may_have_another_mark(mark):
    frame = sales().drop(columns="code")
    fit(frame)
    expected = predict(frame[6:12], frame[:6]).prediction
    given = {"sep": ";", "decimal": mark, "index": False}
    frame[:6].to_csv("s.csv", **given)
    frame[6:12].to_csv("n.csv", **given)
    command = ["predict", "m.skops", "n.csv", "--support", "s.csv", "--out", "o.csv"]
    assert main([*command, *["--decimal", mark] * (mark == ",")]) == 0
    found = pd.read_csv("o.csv", sep=";", decimal=mark)
    np.testing.assert_allclose(found.prediction, expected.astype(float))


def test_models_of_before_the_schema_are_read_as_before(capsys):
    frame = sales().replace({"code": {"1": "A", "2": "B"}})
    fit(frame)
    expected = predict(frame[6:12], frame[:6]).prediction
    model, meta = load_model("m.skops")
    del meta["schema"]
    save_model(model, meta, "m.skops")
    assert list(predict(frame[6:12], frame[:6]).prediction) == list(expected)
    assert "does not say how its columns were read" in capsys.readouterr().err


# The user's own cells ----------------------------------------------------------------


def test_what_is_written_back_is_what_was_read():
    frame = sales()
    fit(frame)
    new = frame[:4].astype(object).drop(columns="sales")
    new["id"] = ["0003", "1234567890123456789", "", "1e3"]
    new["code"] = ["X", "", "1", "2"]
    new["price"] = ["1.10", "2", "", "03.0"]
    new["note"] = ["NA", "None", " a ", "TRUE"]
    found = predict(new)
    pd.testing.assert_frame_equal(
        found.drop(columns="prediction"), new.astype(str), check_dtype=False
    )


def test_stores_of_many_digits_stay_apart():
    frame = sales()
    ids = frame.store.str[1:].astype(int) + 10**18
    frame["store"] = ids.astype(str).where(frame.index > 0, "")
    found = table(frame)
    assert {str(task) for task in found.task} == {*ids.astype(str)}
    assert len(found.y) == 143


def test_stores_that_are_written_differently_stay_apart():
    names = {"s00": "1", "s01": "1.0", "s02": "01", "s03": "2"}
    frame = sales().replace({"store": names})
    assert len(np.unique(table(frame[:48]).task)) == 4


def test_a_clash_of_names_is_refused_or_prefixed(capsys):
    frame = sales()
    fit(frame, "sales", "linear mixed model", "--calibrate")
    for name in ("prediction", "low", "high"):
        new = frame[:3].assign(**{name: "mine"})
        assert predict(new) == 1
        assert f"has a column {name!r}" in capsys.readouterr().err
        found = predict(new, None, "--prefix", "new_")
        assert (found[name] == "mine").all()
        assert list(found)[-3:] == ["new_prediction", "new_low", "new_high"]


def test_rows_without_a_task_are_left_out_with_a_count(capsys):
    frame = sales()
    fit(frame)
    new = frame[6:12].copy()
    support = pd.concat([frame[:6], frame[30:33].assign(store=None)])
    new.loc[7, "store"] = None
    found = predict(new, support)
    told = capsys.readouterr().err
    assert "support.csv: 3 labelled row(s) left out: no task" in told
    assert "new.csv: 1 row(s) not predicted: no task" in told
    assert list(found.prediction == "") == [False, True] + [False] * 4
    clean = predict(frame[6:12], frame[:6]).prediction
    assert found.prediction[2:].astype(float).tolist() == pytest.approx(
        clean[2:].astype(float).tolist(), rel=1e-12
    )
