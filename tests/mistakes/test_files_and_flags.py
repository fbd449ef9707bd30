"""Mistakes with files and at the command line."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import numpy as np
import pytest
from mistakes import Mistake, check, table

import sklmeta
from sklmeta.cli import main


@pytest.fixture
def folder(shop, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    frame = shop.frame.assign(store=shop.task, sales=shop.y)
    frame.to_csv("sales.csv", index=False)
    (tmp_path / "empty.csv").write_text("")
    (tmp_path / "words.skops").write_text("no model")
    frame[:0].to_csv("header.csv", index=False)
    frame.assign(sales=np.nan).to_csv("blank.csv", index=False)
    return shop


FILES = {
    "no such file": Mistake(
        lambda d: sklmeta.load("none.skops"), FileNotFoundError, "none.skops"
    ),
    "no model in it": Mistake(
        lambda d: sklmeta.load("words.skops"), ValueError, "words.skops"
    ),
    "a table for a model": Mistake(
        lambda d: sklmeta.load("sales.csv"), ValueError, "sales.csv"
    ),
    "no estimator": Mistake(
        lambda d: sklmeta.save({"a": 1}, "m.skops"), (TypeError), "dict|estimator"
    ),
}

FLAGS = {
    "no command": ([], "required"),
    "a command that there is not": (["train"], "invalid choice: 'train'"),
    "no task": (["compare", "sales.csv", "--target", "sales"], "--task"),
    "no target": (["compare", "sales.csv", "--task", "store"], "--target"),
    "shots of a word": (
        ["compare", "sales.csv", "--task", "s", "--target", "y", "--shots", "few"],
        "--shots",
    ),
    "a flag misspelt": (
        ["fit", "sales.csv", "--task", "s", "--target", "y", "--out", "m", "--epochs"],
        "--epochs",
    ),
}

DATA = {
    "no such table": (["compare", "none.csv"], "none.csv"),
    "an empty file": (["compare", "empty.csv"], "empty.csv"),
    "no rows": (["compare", "header.csv"], "row"),
    "no targets": (["compare", "blank.csv"], "sales"),
    "no such column": (["compare", "sales.csv", "--target", "profit"], "profit"),
    "no such feature": (["compare", "sales.csv", "--features", "cost"], "cost"),
    "a table into no folder": (["compare", "sales.csv", "--csv", "no/t.csv"], "folder"),
    "a report into no folder": (
        ["compare", "sales.csv", "--report", "no/r.html"],
        "folder",
    ),
    "no such model": (["compare", "sales.csv", "--models", "XGBoost"], "XGBoost"),
}


@table(FILES)
def test_files(mistake, folder):
    check(mistake, folder)


@pytest.mark.parametrize("name", FLAGS)
def test_flags(name, folder, capsys):
    arguments, words = FLAGS[name]
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2
    assert words in capsys.readouterr().err


@pytest.mark.parametrize("name", DATA)
def test_data(name, folder, capsys):
    (command, path, *own), words = DATA[name]
    given = {"--task": "store", "--target": "sales", **dict([own] if own else [])}
    flags = [part for pair in given.items() for part in pair]
    assert main([command, path, *flags, "--quiet"]) in (1, 2)
    said = capsys.readouterr().err
    assert words in said and "Traceback" not in said
