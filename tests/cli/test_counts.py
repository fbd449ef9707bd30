"""Counts and amounts: found or said, and never predicted below nothing."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from sklmeta.cli import main
from sklmeta.cli._counts import family_of, few_rows, look_like_counts
from sklmeta.cli._store import load_model
from sklmeta.evaluation.containers import inner_estimator

NAMES = ["--task", "store", "--target", "visits", "--quiet"]
FIT = ["fit", "old.csv", *NAMES, "--no-validation", "--out", "m.skops"]


@pytest.fixture
def frame(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    store = np.arange(14).repeat(12)
    rain = rng.uniform(0, 4, len(store)).round(1)
    mean = np.exp(1.5 + rng.normal(0, 0.7, 14)[store] - 0.5 * rain)
    visits = rng.poisson(mean * rng.gamma(2, 0.5, len(store)))
    frame = pd.DataFrame({"store": store, "rain": rain, "visits": visits})
    frame[frame.store > 0].to_csv("old.csv", index=False)
    new = frame[frame.store == 0]
    new[:4].to_csv("support.csv", index=False)
    new[4:].assign(rain=np.linspace(0, 40, 8)).to_csv("new.csv", index=False)
    return frame


def predictions():
    files = ["new.csv", "--support", "support.csv", "--out", "out.csv"]
    assert main(["predict", "m.skops", *files]) == 0
    return pd.read_csv("out.csv")


def test_counts_are_found_and_fitted_as_such(frame, capsys):
    assert main(FIT) == 0
    told = capsys.readouterr().err
    assert "are taken for counts; if they are not, say --kind regression" in told
    assert "counts (negative binomial) of 'visits'" in told
    model = inner_estimator(load_model("m.skops")[0])
    assert type(model).__name__ == "MixedModelRegressor"
    assert (model.family, model.random_slopes) == ("negative_binomial", "all")
    found = predictions().prediction
    assert (found >= 0).all() and found.iloc[0] > found.iloc[-1]


@pytest.mark.parametrize(
    ("model", "calibrate"),
    [("own ridge", []), ("own ridge", ["--calibrate"]), ("NeuralProcess", [])],
)
def test_no_model_predicts_a_negative_count(frame, capsys, model, calibrate):
    assert main([*FIT, "--model", model, "--max-iter", "2", *calibrate]) == 0
    without = "Without a distribution of counts" in capsys.readouterr().err
    assert without == (model == "own ridge")
    found = predictions()
    assert (found.drop(columns=["store", "rain", "visits"]) >= 0).all(axis=None)


def test_what_is_said_goes_before_what_is_found(frame, capsys):
    assert main([*FIT, "--kind", "regression", "--model", "mixed model"]) == 0
    assert "regression of 'visits'" in capsys.readouterr().err
    assert (predictions().prediction < 0).any()


def test_counts_are_compared_by_models_of_counts(frame, capsys):
    flags = ["--max-iter", "2", "--folds", "2", "--draws", "1", "--shots", "2"]
    assert main(["compare", "old.csv", *NAMES, *flags, "--no-report"]) == 0
    printed = capsys.readouterr()
    assert "\nNeuralProcess " in printed.out and "BayesianLinear" not in printed.out
    assert "Without a distribution of counts: own ridge, " in printed.err
    flags = [*flags, "--models", "mixed model", "--kind", "counts", "--no-report"]
    assert main(["compare", "old.csv", *NAMES, *flags]) == 0
    assert "--kind counts" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("kind", "change", "message"),
    [
        ("counts", 0.5, "has 1.5. Say --kind regression, or amounts"),
        ("counts", -30, "Say --kind regression, or amounts"),
        ("amounts", 0, "for numbers above 0; 'visits' has 0."),
    ],
)
def test_a_kind_that_the_target_is_not(frame, capsys, kind, change, message):
    frame.assign(visits=frame.visits + change).to_csv("old.csv", index=False)
    assert main([*FIT, "--kind", kind]) == 1
    assert message in capsys.readouterr().err


def test_amounts(frame):
    frame.assign(visits=frame.visits + 0.5).to_csv("old.csv", index=False)
    (frame[:4].assign(visits=[1.5, 3, 2, 2])).to_csv("support.csv", index=False)
    assert main([*FIT, "--kind", "amounts"]) == 0
    assert inner_estimator(load_model("m.skops")[0]).family == "gamma"
    assert (predictions().prediction >= 0).all()


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0, 0, 0, 1, 1, 2, 3, 9], True),
        ([1, 1, 1, 2, 2, 3, 4, 10], False),  # no zero
        ([0, 0, 0, 1.5, 1, 2, 3, 9], False),
        ([0, 5, 6, 6, 7, 7, 8, 8], False),  # grades
        ([0, 0], False),
        ([], False),
    ],
)
def test_what_looks_like_counts(values, expected):
    assert look_like_counts(np.array(values, float)) == expected


def test_events_that_know_nothing_of_each_other_are_poisson():
    rng = np.random.default_rng(0)
    task = np.arange(40).repeat(20)
    mean = np.exp(rng.normal(size=40))[task]
    even, spread = rng.poisson(mean), rng.poisson(mean * rng.gamma(1, 1, len(task)))
    assert family_of(even.astype(float), task, "counts", "y") == "poisson"
    assert family_of(spread.astype(float), task, "counts", "y") == "negative_binomial"


def test_short_tasks_have_levels_of_their_own_and_no_slopes(frame, capsys):
    assert few_rows(np.arange(10).repeat(4), 4)
    assert not few_rows(np.arange(10).repeat(20), 2)
    short = frame[frame.store > 0].groupby("store").head(3)
    short.assign(sun=4 - short.rain**0.5).to_csv("old.csv", index=False)
    assert main([*FIT, "--kind", "counts"]) == 0
    assert "too few rows for slopes of their own" in capsys.readouterr().err
    assert inner_estimator(load_model("m.skops")[0]).random_slopes == "none"
