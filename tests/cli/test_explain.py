"""What a model that is adapted to a new task looks at, from a shell."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from sklmeta.cli import main
from sklmeta.cli._coefficients import coefficients_of
from sklmeta.cli._importance import importances_of
from sklmeta.cli._store import load_model
from sklmeta.evaluation.containers import adapted
from tests.cli.tables import sales

QUICK = ["--quiet", "--no-validation", "--out", "m.skops"]


@pytest.fixture
def frame(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    frame = sales()
    frame["noise"] = np.random.default_rng(1).normal(size=len(frame)).round(2)
    frame["high"] = np.where(frame.sales > frame.sales.median(), "yes", "no")
    return frame


def fit(frame, target, model, *more):
    other = "high" if target == "sales" else "sales"
    frame = frame.drop(columns=other)
    frame[frame.store > "s01"].to_csv("old.csv", index=False)
    frame[frame.store <= "s01"].to_csv("new.csv", index=False)
    names = ["--task", "store", "--target", target, "--model", model]
    assert main(["fit", "old.csv", *names, *more, *QUICK]) == 0


def test_a_mixed_model_is_explained(frame, capsys):
    fit(frame, "sales", "mixed model")
    capsys.readouterr()
    assert main(["explain", "m.skops", "new.csv", "--repeats", "3"]) == 0
    printed = capsys.readouterr().out
    assert max(map(len, printed.splitlines())) <= 80
    assert "24 labelled rows of 2 tasks" in printed
    first, second = printed.split("Coefficients of the mixed model")
    lines = [line.split() for line in first.splitlines()]
    found = {line[0]: [*map(float, line[1:])] for line in lines if len(line) == 4}
    assert list(found)[2] == "noise"  # the least of three
    mean, low, high = found["noise"]
    assert low <= mean <= high and abs(mean) < 0.1 < found["price"][1]
    assert {"s00", "s01", "intercept", "code_X"} <= {*second.split()}


def test_deviations_and_what_is_shared_make_the_predictions(frame):
    fit(frame, "sales", "mixed model")
    model, _ = load_model("m.skops")
    new = frame[frame.store == "s00"]
    X, y = new[["price", "code", "noise"]], new.sales.to_numpy()
    table = coefficients_of(model, X, y, new.store.to_numpy())
    coef = table["all tasks"] + table["s00"]
    expected = adapted(model, X, y).predict(X)
    line = coef.iloc[0] + model[:-1].transform(X) @ coef.iloc[1:].to_numpy()
    np.testing.assert_allclose(line, expected, atol=1e-6)
    assert abs(table["s00"]["intercept"]) < 4 * table["tasks' sd"]["intercept"]


def test_classes_and_markdown(frame, capsys):
    fit(frame, "high", "mixed model")
    capsys.readouterr()
    flags = ["--repeats", "2", "--markdown"]
    assert main(["explain", "m.skops", "new.csv", *flags]) == 0
    printed = capsys.readouterr().out
    assert "mean accuracy of" in printed and "of logits" in printed
    assert "| feature | worse by | from | to |" in printed
    assert "| term | all tasks | ± | tasks' sd | s00 | s01 |" in printed


def test_other_models_have_importances_alone(frame, capsys):
    fit(frame, "sales", "BayesianLinear", "--max-iter", "2")
    capsys.readouterr()
    frame[:5].to_csv("new.csv", index=False)
    assert main(["explain", "m.skops", "new.csv", "--repeats", "2"]) == 0
    printed = capsys.readouterr().out
    assert "5 labelled rows of one task" in printed and "Coefficients" not in printed


def test_rows_alone_in_their_task_are_left_out(frame):
    fit(frame, "sales", "mixed model")
    model, _ = load_model("m.skops")
    X, y = frame[["price", "code", "noise"]][:6], frame.sales.to_numpy()[:6]
    task = np.array(["a", "b", "a", "b", "c", "a"])
    found = importances_of(model, X, y, task, False, n_repeats=2, seed=0)
    assert (found.n_rows, found.n_tasks, found.n_left_out) == (5, 2, 1)
    pd.testing.assert_frame_equal(
        importances_of(model, X, y, task, False, n_repeats=2, seed=0).table, found.table
    )


@pytest.mark.parametrize(
    ("rows", "more", "message"),
    [(1, [], "needs two labelled rows"), (5, ["--repeats", "1"], "2 or more")],
)
def test_what_explain_needs(frame, capsys, rows, more, message):
    fit(frame, "sales", "mixed model")
    frame[:rows].to_csv("new.csv", index=False)
    assert main(["explain", "m.skops", "new.csv", *more]) == 1
    assert message in capsys.readouterr().err
