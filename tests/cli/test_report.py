"""The report: one page for wide and narrow screens, day and night, and what is next."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import re
import shlex

import numpy as np
import pandas as pd
import pytest

from sklmeta.cli._main import parser
from sklmeta.cli._meanings import explained_rows
from sklmeta.cli._models import compared
from sklmeta.cli._next import next_step_of
from sklmeta.cli._report import write_report
from sklmeta.comparing import Comparison

NAMES = ("BayesianLinearRegressor", "linear mixed model", "own ridge")
ODD = r"<b> $\frac{ $\frac{"
PAIRS = 2  # numbers of shots, each with a picture of the pairs


def made(n_tasks, *, gain=1.0, odd=ODD):
    rng = np.random.default_rng(0)
    level = rng.gamma(2, size=n_tasks)
    frames = [
        pd.DataFrame(
            {"estimator": name, "fold": 0, "draw": 0, "shots": k, "fit_time": 1.0}
            | {"task": [f"{odd} {t}" for t in range(n_tasks)]}
            | {"score": level + gain * i + rng.normal(0, 0.01, n_tasks)}
        )
        for i, name in enumerate(NAMES)
        for k in (1, 5)
    ]
    return Comparison(
        pd.concat(frames),
        baselines=NAMES[2:],
        metric=f"RMSE {odd}",
        greater_is_better=False,
    )


def step(comparison, **options):
    columns = {"data": "my shops.csv", "task": "shop's", "target": "sales"}
    return next_step_of(comparison, **columns, **options)


@pytest.fixture(scope="module", params=[8, 60])
def page(request, tmp_path_factory):
    path = tmp_path_factory.mktemp("report") / "report.html"
    result = made(request.param)
    record = {"Seed": 7, "Command": "sklmeta compare <x>"}
    write_report(
        *(result, str(path), "a/my shops.csv", "sales"),
        next_step=step(result),
        record=record,
    )
    return request.param, path.read_text(encoding="utf-8")


def test_every_picture_is_there_for_wide_and_for_narrow_screens(page):
    text = page[1]
    n_figures = 2 + PAIRS
    assert text.count("<figure>") == text.count("<figcaption>") == n_figures
    for screen in ("wide", "narrow"):
        assert text.count(f'<svg class="{screen}" role="img"') == n_figures
    ids = re.findall(r'\bid="([^"]+)"', text)
    assert len(ids) == len(set(ids))
    assert not re.search(r'(src|href)="(?!#)(?!http://www.w3.org)', text)


def test_its_colours_are_those_of_day_and_night(page):
    text = page[1]
    used = set(re.findall(r"var\(--(c[0-9a-f]{6})\)", text))
    day, night = (
        set(re.findall(r"--(c[0-9a-f]{6}): #", part))
        for part in re.findall(r":root \{+(--c.*?)\}", text)
    )
    assert used == day == night
    assert not re.search(r"(fill|stroke): #", text)
    assert "--c000000: #ededed" in text  # ink is light by night
    assert re.search(r"figure svg {[^}]*fill: var\(--ink\)}", text)  # what is unsaid


def test_names_of_tasks_are_escaped_and_shown_on_hover(page):
    n_tasks, text = page
    assert "<b> $" not in text
    # Both pictures of every number of shots have a name for each mark.
    assert text.count("<title>") == 1 + 2 * PAIRS * n_tasks
    assert ("when the pointer rests" in text) == (n_tasks > 40)


def test_it_says_what_rows_are_and_how_it_was_found(page):
    text = page[1]
    for name in NAMES:
        assert f"<dt>{name}</dt><dd>" in text
    assert "<dt>Seed</dt><dd>7</dd>" in text
    assert "sklmeta compare &lt;x&gt;" in text
    assert "<h2>What to do next</h2>" in text


@pytest.mark.parametrize(
    ("gain", "n_tasks", "winner", "reason"),
    [
        (1.0, 30, NAMES[0], "it has the best mean"),
        (-1.0, 30, NAMES[2], "it has the best mean"),
        (0.0, 30, NAMES[2], ""),
        (1.0, 8, NAMES[0], "More tasks come first: 8 are too few"),
    ],
)
def test_the_next_command_fits_the_winner(gain, n_tasks, winner, reason):
    found = step(made(n_tasks, gain=gain), options=["--kind", "regression"])
    assert reason in found.text
    fit, predict = (
        parser().parse_args(shlex.split(command)[1:]) for command in found.commands
    )
    assert (fit.model, fit.data, fit.task) == (winner, "my shops.csv", "shop's")
    assert (fit.kind, fit.calibrate) == ("regression", n_tasks > 8)
    assert predict.model == fit.out


@pytest.mark.parametrize("classification", [False, True])
def test_every_row_of_a_usual_comparison_is_explained(classification):
    names = [*compared(classification, {}, None), "auto", "linear mixed model"]
    assert len(names) > 4
    assert {*explained_rows(Comparison(renamed(names)))} == {*names}


def renamed(names):
    draws = made(3).draws
    one = draws[draws.estimator == NAMES[0]]
    return pd.concat([one.assign(estimator=name) for name in names])


def test_rows_that_nobody_knows_are_not_explained():
    draws = made(3).draws.replace({NAMES[0]: "mine", NAMES[1]: "MAML"})
    explained = explained_rows(Comparison(draws))
    assert "mine" not in explained
    assert explained["MAML"]
