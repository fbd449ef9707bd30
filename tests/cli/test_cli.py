"""The command line, on small tables: results, messages and exit codes."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import io
import os
import re
import shutil
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

import sklmeta
from sklmeta.cli import _arguments, main
from sklmeta.cli._files import from_types
from sklmeta.cli._table import make_table, preparation


def sales(n_stores=24, n_rows=12, seed=0):
    rng = np.random.default_rng(seed)
    n = n_stores * n_rows
    store = np.repeat(np.arange(n_stores), n_rows)
    frame = pd.DataFrame(
        {
            "store": [f"s{i}" for i in store],
            "price": rng.uniform(1, 5, n),
            "promo": rng.random(n) < 0.3,
            "day": rng.choice(["mon", "tue"], n),
            "note": [f"note {i}" for i in range(n)],
            "empty": np.nan,
        }
    )
    level = rng.normal(20, 4, n_stores)[store]
    frame["sales"] = level - 2 * frame.price + rng.normal(0, 0.3, n)
    frame.loc[rng.random(n) < 0.05, "price"] = np.nan
    return frame


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    frame = sales()
    frame[frame.store != "s0"].to_csv("sales.csv", index=False)
    one = frame[frame.store == "s0"]
    one[:5].to_csv("labelled.csv", index=False)
    one[5:].drop(columns="sales").to_csv("new.csv", index=False)
    return tmp_path


DATA = ["sales.csv", "--task", "store", "--target", "sales", "--quiet"]
QUICK = [*DATA, "--max-iter", "5"]


def test_compare_prints_a_table_and_a_verdict_and_writes_a_report(folder, capsys):
    out = ["--shots", "1", "4", "--draws", "1", "--csv", "table.csv"]
    assert main(["compare", *QUICK, *out, "--models", "BayesianLinear"]) == 0
    printed = capsys.readouterr()
    assert "\nBayesianLinear " in printed.out
    assert "\npooled boosting + offset " in printed.out
    assert max(map(len, printed.out.split("What to do next")[0].splitlines())) <= 80
    assert re.search("eta-learning (pays|does not pay) here", printed.out)
    assert "at most 5 meta-updates" in " ".join(printed.out.split())
    assert "sklmeta fit sales.csv --task store --target sales --model" in printed.out
    for line in ("Seed: 0", "Rows: 276, of 23 tasks", "Features: price, promo, day"):
        assert line in printed.out
    assert "276 rows of 23 tasks, 4 features, regression of 'sales'" in printed.err
    assert "Left out as features: empty (nothing at all)" in printed.err
    assert "Read as text, by parts of words: note." in printed.err
    page = (folder / "report.html").read_text("utf-8")
    # Curves, each alone, and two numbers of shots; for wide and for narrow screens.
    assert page.count("<svg") == 8
    assert "<dt>Command</dt>" in page and "--model " in page
    assert "http" not in re.sub(r"http://www\.w3\.org", "", page)
    assert "<script" not in page
    assert "<td>BayesianLinear</td>" in page
    assert len(pd.read_csv("table.csv")) == 2 * 4


def test_the_quick_models_answer_first(folder, capsys):
    flags = ["--models", "mixed model,BayesianLinear", "--shots", "2", "--no-report"]
    loud = [flag for flag in QUICK if flag != "--quiet"]
    assert main(["compare", *loud, *flags, "--draws", "1"]) == 0
    printed = capsys.readouterr()
    early = printed.err.split("s, without BayesianLinear:\n\n")[1]
    assert "own ridge" in early and "mixed model" in early
    assert "\nBayesianLinear" not in early
    assert printed.out.count("Mean RMSE over") == 1  # the whole one


@pytest.mark.filterwarnings("always")
def test_warnings_are_lines_without_code(folder, capsys):
    frame = pd.read_csv("sales.csv")
    frame.iloc[::13, frame.columns.get_loc("store")] = [
        f"lone{i}" for i in range(len(frame.iloc[::13]))
    ]
    frame.to_csv("lonely.csv", index=False)
    names = ["--task", "store", "--target", "sales", "--models", "BayesianLinear"]
    flags = [*names, "--max-iter", "2", "--shots", "2", "--folds", "2", "--no-report"]
    assert main(["compare", "lonely.csv", *flags, "--quiet"]) == 0
    told = [line for line in capsys.readouterr().err.splitlines() if "one row" in line]
    assert len(told) == 1 and told[0].startswith("sklmeta: "), told


def test_several_scores_and_markdown(folder, capsys):
    out = ["--shots", "1", "4", "--draws", "1", "--csv", "table.csv", "--no-report"]
    models = ["--models", "mixed model,BayesianLinear", "--scoring", "rmse,mae"]
    assert main(["compare", *QUICK, *out, *models, "--markdown"]) == 0
    printed = capsys.readouterr().out
    assert "Mean rmse over" in printed
    assert "Mean mae over" in printed
    assert "(less is better)" in printed
    assert "| mixed model |" in printed
    table = pd.read_csv("table.csv").groupby("metric")["mean"].mean()
    assert 0 < table.mae < table.rmse


def test_the_table_grows_on_a_terminal(folder, monkeypatch, capsys):
    monkeypatch.setattr("sklmeta.cli._terminal.sys.stdout.isatty", lambda: True)
    out = ["--shots", "2", "--draws", "1", "--no-report", "--models", "mixed model"]
    assert main(["compare", *DATA[:-1], *out]) == 0
    printed = capsys.readouterr().out
    assert "1 of 4 estimators" in printed
    assert printed.count("own ridge") >= 2  # while it grew, and at the end


def test_fit_and_predict_from_a_shell(folder, capsys):
    model = ["--model", "linear mixed model", "--out", "m.skops"]
    assert main(["fit", *QUICK, *model]) == 0
    assert re.search(
        r"in 3 folds its mean RMSE is [\d.]+ with 1, [\d.]+ with 2, [\d.]+ with 5",
        capsys.readouterr().err,
    )
    assert main(["predict", "m.skops", "new.csv", "--support", "labelled.csv"]) == 0
    written = pd.read_csv(io.StringIO(capsys.readouterr().out))
    assert list(written.columns[-1:]) == ["prediction"]
    assert len(written) == 7
    assert (written.prediction == written.prediction.round(2)).all()
    digits = ["--support", "labelled.csv", "--digits", "0", "--out", "whole.csv"]
    assert main(["predict", "m.skops", "new.csv", *digits]) == 0
    assert (pd.read_csv("whole.csv").prediction % 1 == 0).all()
    truth = sales().query("store == 's0'").sales[5:]
    assert np.abs(written.prediction - truth.to_numpy()).mean() < 3
    # Without labelled rows: a store of which nothing is known.
    assert main(["predict", "m.skops", "new.csv", "--out", "zero.csv"]) == 0
    zero = pd.read_csv("zero.csv").prediction
    assert not np.allclose(zero, written.prediction)


def test_predict_for_several_new_tasks_at_once(folder):
    frame = sales()
    two = frame[frame.store.isin(["s0", "s1"])]
    first = two.groupby("store").cumcount() < 5
    two[first].to_csv("two.csv", index=False)
    two[~first].to_csv("rest.csv", index=False)
    assert (
        main(["fit", *QUICK, "--model", "linear mixed model", "--out", "m.skops"]) == 0
    )
    for name in ("s0", "s1"):
        two[first & (two.store == name)].to_csv(f"{name}.csv", index=False)
        two[~first & (two.store == name)].to_csv(f"{name}-rest.csv", index=False)
        arguments = ["--support", f"{name}.csv", "--out", f"{name}-out.csv"]
        assert main(["predict", "m.skops", f"{name}-rest.csv", *arguments]) == 0
    both = ["--support", "two.csv", "--out", "both.csv"]
    assert main(["predict", "m.skops", "rest.csv", *both]) == 0
    found = pd.read_csv("both.csv")
    for name in ("s0", "s1"):
        alone = pd.read_csv(f"{name}-out.csv")
        mine = found.store == name
        np.testing.assert_allclose(found.prediction[mine], alone.prediction)


def test_rows_of_a_task_without_labels_are_refused(folder, capsys):
    model = ["--model", "linear mixed model", "--out", "m.skops"]
    assert main(["fit", *QUICK, *model]) == 0
    command = ["predict", "m.skops", "sales.csv", "--support", "labelled.csv"]
    assert main(command) == 1
    assert "'s1', 's2'" in capsys.readouterr().err


@pytest.mark.parametrize("n_stores", [44, 10])  # a quarter of ten would be too few
def test_calibrated_models_predict_intervals(folder, n_stores):
    sales(n_stores=n_stores).to_csv("sales.csv", index=False)
    model = ["--model", "linear mixed model", "--out", "m.skops", "--calibrate"]
    assert main(["fit", *QUICK, *model]) == 0
    support = ["--support", "labelled.csv", "--out", "out.csv", "--coverage", "0.8"]
    assert main(["predict", "m.skops", "new.csv", *support]) == 0
    written = pd.read_csv("out.csv")
    assert (written.low < written.prediction).all()
    assert (written.prediction < written.high).all()


def test_calibration_needs_nine_tasks(folder, capsys):
    sales(n_stores=8).to_csv("sales.csv", index=False)
    assert main(["fit", *QUICK, "--out", "m.skops", "--calibrate"]) == 1
    assert "need 9 tasks; there are 8" in capsys.readouterr().err


def test_classification_with_probabilities(folder, capsys):
    frame = sales()
    frame["level"] = np.where(frame.sales > frame.sales.median(), "high", "low")
    frame.drop(columns="sales").to_csv("levels.csv", index=False)
    arguments = ["levels.csv", "--task", "store", "--target", "level", "--quiet"]
    model = ["--max-iter", "5", "--model", "ProtoNet", "--out", "m.skops"]
    assert main(["fit", *arguments, *model]) == 0
    assert "classification of 'level'" in capsys.readouterr().err
    frame[:6].to_csv("support.csv", index=False)
    support = ["--support", "support.csv", "--out", "out.csv"]
    assert main(["predict", "m.skops", "new.csv", *support]) == 0
    written = pd.read_csv("out.csv")
    assert set(written.prediction) <= {"high", "low"}
    total = written.probability_high + written.probability_low
    np.testing.assert_allclose(total, 1, rtol=1e-5)


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["compare", "sales.csv", "--task", "stroe", "--target", "sales"], "'store'?"),
        (["compare", "sales.csv", "--task", "store", "--target", "Sale"], "'sales'?"),
        (["compare", "sales.csv", "--task", "store", "--target", "xyz"], "There are: "),
        (["compare", "none.csv", "--task", "a", "--target", "b"], "no file none.csv"),
        (
            ["compare", "sales.csv", "--task", "store", "--target", "store"],
            "same column",
        ),
        (["compare", *DATA, "--drop", "prize"], "'price'?"),
        (
            ["compare", *DATA, "--features", "empty", "--drop", "empty"],
            "No column is left",
        ),
        (["compare", *DATA, "--models", "Nonsense"], "no estimator 'Nonsense'"),
        (["compare", *DATA, "--report", "no/where.html"], "There is no folder no to"),
        (["compare", *DATA, "--shots", "500"], "No two tasks have a row left"),
        (["compare", *DATA, "--task", "empty"], "No row has both a value"),
        (["fit", *DATA, "--out", "model.pkl"], "must end in .skops"),
        (["predict", "none.skops", "new.csv"], "no file none.skops"),
        (["predict", "sales.csv", "new.csv"], "no model that"),
    ],
)
def test_mistakes_are_told_in_a_line(folder, capsys, command, message):
    assert main(command) == 1
    told = capsys.readouterr().err.splitlines()[-1]
    assert told.startswith("sklmeta: ")
    assert message in told


def test_a_target_that_is_no_number(folder, capsys):
    command = ["compare", "sales.csv", "--task", "store", "--target", "day"]
    assert main([*command, "--kind", "regression"]) == 1
    assert "'day' holds no numbers" in capsys.readouterr().err


def test_wrong_arguments_exit_with_two():
    with pytest.raises(SystemExit) as stopped:
        main(["compare", "sales.csv"])
    assert stopped.value.code == 2


def test_interruption_exits_with_130(folder, monkeypatch, capsys):
    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr("sklmeta.cli._run_compare.compare", interrupted)
    assert main(["compare", *QUICK]) == 130
    assert "interrupted" in capsys.readouterr().err
    assert not (folder / "report.html").exists()


def test_without_the_extras_it_says_so_before_any_work(folder, monkeypatch, capsys):
    monkeypatch.setattr(_arguments.importlib.util, "find_spec", lambda name: None)
    assert main(["compare", *QUICK]) == 1
    assert "pip install 'sklmeta[cli]'" in capsys.readouterr().err
    assert main(["fit", *QUICK, "--out", "m.skops"]) == 1


def test_versions_for_reports_of_bugs(capsys):
    sklmeta.show_versions()
    printed = capsys.readouterr().out
    assert f"sklmeta: {sklmeta.__version__}" in printed
    assert "CUDA of torch" in printed


def test_the_module_and_the_version(folder):
    command = [sys.executable, "-m", "sklmeta", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == sklmeta.__version__


# Tables ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["a", "b"] * 30, True),
        ([True, False] * 30, True),
        ([0, 1] * 30, True),
        ([0.0, 1.0] * 30, True),
        (list(range(60)), False),
        ([0.5, 1.5] * 30, False),
        ([1, 2, 3, 4], False),
        (list(range(14)) * 20, False),  # counts
        (list(range(141)), False),
    ],
)
def test_kind_is_found_from_the_target(values, expected):
    frame = pd.DataFrame({"y": values, "x": 0.5, "task": np.arange(len(values)) % 2})
    given = {"target": "y", "task": "task"}
    assert make_table(from_types("x", frame), **given).classification == expected


def test_preparation_takes_missing_values_and_new_categories():
    frame = sales()
    table = make_table(from_types("x", frame), target="sales", task="store")
    assert list(table.X.columns) == ["price", "promo", "day", "note"]
    fitted = preparation().fit(table.X)
    new = table.X[:3].assign(day=["sun", None, "mon"], price=np.nan)
    assert np.isfinite(fitted.transform(new)).all()


def test_rows_without_a_target_are_left_out():
    frame = sales()
    frame.loc[:4, "sales"] = np.nan
    table = make_table(from_types("x", frame), target="sales", task="store")
    assert len(table.y) == len(frame) - 5
    assert "5 row(s)" in table.notes[0]


def test_parquet(folder):
    pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    sales().to_parquet("sales.parquet")
    arguments = ["sales.parquet", *DATA[1:], "--max-iter", "3"]
    model = ["--model", "linear mixed model", "--out", "m.skops"]
    assert main(["fit", *arguments, *model]) == 0


# In a browser ------------------------------------------------------------------------

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM = next(filter(None, map(shutil.which, BROWSERS)), None)


@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
def test_the_report_opens_in_a_browser(folder, tmp_path):
    assert main(["compare", *QUICK, "--shots", "1", "4", "--draws", "1"]) == 0
    command = [
        *(CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"),
        *("--disable-background-networking", "--disable-component-update"),
        *("--disable-sync", "--disable-quic", "--enable-logging=stderr"),
        f"--user-data-dir={tmp_path / 'profile'}",
        *("--dump-dom", (folder / "report.html").as_uri()),
    ]
    environment = {**os.environ, "HOME": str(tmp_path)}
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=120,
        env=environment,
        check=True,
    )
    assert "CONSOLE" not in done.stderr
    # The curves, all and each alone, and two pairs; for wide and for narrow screens.
    assert done.stdout.count("<svg") == done.stdout.count("</svg>") == 8
    assert done.stdout.count("<figcaption>") == 4
