"""The page on choosing hyper-parameters quotes the defaults that there are."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import sklmeta

PAGE = Path(__file__).resolve().parents[2] / "docs" / "choosing_hyperparameters.md"
TABLES = PAGE.read_text("utf-8").split("\n## ")[2].split("\n**")
NUMBER = r"(?<![\w.])\d*\.?\d+(?![\w.]*\w)"


def rows(table):
    lines = [line for line in table.split("\n") if line.startswith("| `")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def named(cell):
    """The estimators of a cell; `Name*` is classifier and regressor."""
    found = []
    for name in re.findall(r"`(\w+\*?)`", cell):
        ends = ("Classifier", "Regressor") if name.endswith("*") else ("",)
        found += [getattr(sklmeta, name.rstrip("*") + end) for end in ends]
    assert found
    return found


@pytest.mark.parametrize("row", rows(TABLES[2]), ids=lambda row: row[0])
def test_step_sizes_are_the_defaults(row):
    defaults = {cls().inner_lr for cls in named(row[0])}
    quoted = [float(n) for n in re.findall(NUMBER, re.split("[;:]", row[1])[0])]
    assert set(quoted) == defaults
    steps = {getattr(cls(), "inner_steps", None) for cls in named(row[0])}
    assert steps == {None} or steps == {int(re.match(r"\d+", row[2])[0])}


@pytest.mark.parametrize("row", rows(TABLES[3]), ids=lambda row: row[0])
def test_own_parameters_have_the_defaults(row):
    for cls in named(row[0]):
        for name in re.findall(r"`(\w+)`", row[1]):
            assert name in cls().get_params()
        for name, value in re.findall(r"`(\w+)=([^`]+)`", row[1]):
            params = cls().get_params()
            assert name not in params or params[name] == ast.literal_eval(value)
            assert any(name in other().get_params() for other in named(row[0]))


def test_shared_parameters_exist():
    shared = sklmeta.MAMLClassifier().get_params()
    assert all(row[0].strip("`") in shared for row in rows(TABLES[1]))
