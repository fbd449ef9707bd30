"""New patients from few rows: the Parkinson's telemonitoring data, 4 folds of patients.

    SKLMETA_DATA=... python -m benchmarks.accuracy.parkinsons [--fast] [--seeds 0 1 2]

Every patient is held out once per seed of the folds. The scores were assessed at three
visits and interpolated in between, so random rows measure interpolation; the first rows
in time are the honest case. All estimators have their default parameters, except that
``support="first"`` is what they train for where the first rows are labelled.
"""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import argparse
import time
from typing import Any

import numpy as np
import pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.dummy import DummyRegressor
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmarks.shared.report import write_report
from sklmeta import (
    BayesianLinearRegressor,
    MAMLRegressor,
    PerTask,
    Pooled,
    TransformerNeuralProcessRegressor,
)
from sklmeta.datasets import fetch_parkinsons
from sklmeta.model_selection import TaskKFold, few_shot_cross_validate

TEST_TIME = 2  # the column of days since recruitment
SHOTS = [5, 10]
N_FOLDS = 4
CASES = {"random": "random rows", "first": "the first rows in time"}
BAYES = "BayesianLinearRegressor"
APPEND = "pooled boosting + support rows"


def models(support: str, max_iter: int | None) -> dict[str, Any]:
    """Build every model; the meta-learners train on supports of the kind to come."""
    meta: dict[str, Any] = {"support": support, "random_state": 0}
    if max_iter is not None:
        meta["max_iter"] = max_iter
    boosting = HistGradientBoostingRegressor(random_state=0)
    time_alone = make_column_transformer(("passthrough", [TEST_TIME]))
    bayes = BayesianLinearRegressor(**meta)
    mixed = BayesianLinearRegressor(hidden_layer_sizes=(), **meta)
    ridge = make_pipeline(StandardScaler(), PerTask(Ridge()))
    ridge_on_time = make_pipeline(time_alone, StandardScaler(), PerTask(Ridge()))
    return {
        BAYES: bayes,
        "TransformerNeuralProcessRegressor": TransformerNeuralProcessRegressor(**meta),
        "MAMLRegressor": MAMLRegressor(**meta),
        f"{BAYES}, no encoder (mixed model)": mixed,
        f"{BAYES} on test_time †": make_pipeline(time_alone, bayes),
        f"{BAYES}, no encoder, on test_time †": make_pipeline(time_alone, mixed),
        "support mean": PerTask(DummyRegressor()),
        "own ridge": ridge,
        "own ridge on test_time †": ridge_on_time,
        "pooled boosting": Pooled(boosting),
        "pooled boosting + offset": Pooled(boosting, support="offset"),
        "centred pooled boosting": Pooled(boosting, center=True),
        APPEND: Pooled(boosting, support="append", task_category=True),
    }


def evaluate(
    model: Any, data: tuple[Any, ...], support: str, seed: int, n_draws: int
) -> dict[str, Any]:
    """RMSE in sd(y), averaged over patients; seconds of a fold."""
    X, y, patient = data
    cv = TaskKFold(N_FOLDS, shuffle=True, random_state=seed)
    start = time.process_time()
    table = few_shot_cross_validate(
        model, X, y, patient, shots=SHOTS, cv=cv, n_draws=n_draws, support=support
    )
    cpu = (time.process_time() - start) / N_FOLDS
    table["rmse"] = np.sqrt(table.sse / table.n_query) / np.std(y)
    rmse = table.groupby("shots").rmse.mean()
    patients = table.groupby(["shots", "task"]).rmse.mean().groupby("shots").std()
    n = table.task.nunique()
    return {
        **{f"k={k}": rmse[k] for k in SHOTS},
        **{f"±{k}": 1.96 * patients[k] / np.sqrt(n) for k in SHOTS},
        "fit": table.groupby("fold").fit_time.first().mean(),
        "cpu": cpu,
    }


def lines_of(results: pd.DataFrame) -> list[str]:
    """Markdown: one table per kind of support, averaged over the seeds."""
    lines = [
        "RMSE in units of the standard deviation of y over all rows, of each patient,",
        "then averaged over patients, draws and seeds of the folds (in brackets the",
        "range over the seeds); ± is the 95 % interval over patients. Seconds are per",
        "fold: of `fit` on the clock of a shared machine, and of CPU, `fit` and",
        "evaluation together. † is an expert's choice: the one feature in which the",
        "target was interpolated.",
    ]
    for support, words in CASES.items():
        part = results[results.support == support]
        if not len(part):
            continue
        lines += ["", f"## Labelled: {words}", ""]
        lines.append("| model | k=5 | k=10 | seeds | `fit` s | CPU s |")
        lines.append("| --- | --- | --- | --- | --- | --- |")
        for name, rows in part.groupby("model", sort=False):
            if "error" in rows and rows.error.notna().any():
                lines.append(f"| {name} | {rows.error.iloc[0]} | | | | |")
                continue
            cells = [cell(rows, k) for k in SHOTS]
            cells.append(", ".join(map(str, rows.seed)))
            cells += [f"{rows[column].mean():.1f}" for column in ("fit", "cpu")]
            lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return lines


def cell(rows: pd.DataFrame, k: int) -> str:
    value = rows[f"k={k}"]
    text = f"{value.mean():.3f} ± {rows[f'±{k}'].mean():.3f}"
    return text if len(rows) == 1 else f"{text} [{value.min():.3f}, {value.max():.3f}]"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--n-draws", type=int, default=5)
    parser.add_argument("--support", choices=CASES, nargs="+", default=list(CASES))
    parser.add_argument("--fast", action="store_true", help="20 meta-updates, one seed")
    args = parser.parse_args()
    data = fetch_parkinsons(return_X_y_task=True)
    results: list[dict[str, Any]] = []
    for support in args.support:
        for name, model in models(support, 20 if args.fast else None).items():
            # Only what is cheap is worth more than one dealing of the patients.
            repeated = name == BAYES or "own" in name or name == "support mean"
            seeds = args.seeds if repeated and not args.fast else args.seeds[:1]
            n_draws = 1 if name == APPEND or args.fast else args.n_draws
            for seed in seeds:
                try:
                    scores = evaluate(model, data, support, seed, n_draws)
                except FloatingPointError as error:
                    scores = {"error": str(error)}
                row = {"support": support, "model": name, "seed": seed, **scores}
                results.append(row)
                print(support, name, seed, pd.Series(scores).to_dict(), flush=True)
    write_report(
        "parkinsons-fast" if args.fast else "parkinsons",
        "Parkinson's telemonitoring, 42 patients, 4 folds of held-out patients.",
        lines_of(pd.DataFrame(results)),
    )


if __name__ == "__main__":
    main()
