"""A new patient's drug curve from two to five samples: learners, baselines, a ceiling.

    python -m benchmarks.accuracy.pharmacokinetics [--fast] [--seeds 100 101 102]

A seed makes 200 patients to learn from and 400 new ones. All estimators have their
default parameters.
"""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.ensemble import HistGradientBoostingRegressor

from benchmarks.shared.report import write_report
from sklmeta import (
    BayesianLinearRegressor,
    MAMLRegressor,
    Pooled,
    TransformerNeuralProcessRegressor,
)
from sklmeta.datasets import make_pharmacokinetics
from sklmeta.model_selection import few_shot_cross_validate

sys.path.insert(0, str(Path(__file__).parents[2] / "examples"))
from demo_drug_curve import KnownLaw, own_gaussian_process

N_OLD, N_NEW = 200, 400
SHOTS = [2, 3, 5]


def models(max_iter: int | None) -> dict[str, Any]:
    meta: dict[str, Any] = {"random_state": 0}
    if max_iter is not None:
        meta["max_iter"] = max_iter
    boosting = HistGradientBoostingRegressor(random_state=0)
    return {
        "TransformerNeuralProcessRegressor": TransformerNeuralProcessRegressor(**meta),
        "BayesianLinearRegressor": BayesianLinearRegressor(**meta),
        "MAMLRegressor": MAMLRegressor(**meta),
        "own Gaussian process": own_gaussian_process(),
        "pooled boosting": Pooled(boosting),
        "pooled boosting + offset": Pooled(boosting, support="offset"),
        "centred pooled boosting": Pooled(boosting, center=True),
        "ceiling: maximum a posteriori, true law known": KnownLaw(),
    }


def evaluate(model: Any, seed: int, n_draws: int) -> dict[str, Any]:
    """RMSE over all query rows, and averaged over patients, in sd(y); seconds."""
    X, y, patient = make_pharmacokinetics(N_OLD + N_NEW, random_state=seed)
    old = patient < N_OLD
    cv = [(np.flatnonzero(old), np.flatnonzero(~old))]
    start = time.process_time()
    table = few_shot_cross_validate(
        model, X, y, patient, shots=SHOTS, cv=cv, n_draws=n_draws
    )
    cpu = time.process_time() - start
    sd = np.std(y[~old])
    sums = table.groupby("shots")[["sse", "n_query"]].sum()
    rmse = np.sqrt(sums.sse / sums.n_query) / sd
    table["rmse"] = np.sqrt(table.sse / table.n_query) / sd
    by_patient = table.groupby("shots").rmse.mean()
    return {
        **{f"all {k}": rmse[k] for k in SHOTS},
        **{f"patient {k}": by_patient[k] for k in SHOTS},
        "fit": table.fit_time.iloc[0],
        "cpu": cpu,
    }


def lines_of(results: pd.DataFrame, seeds: list[int]) -> list[str]:
    lines = [
        "RMSE in units of the standard deviation of y, mean over the seeds: of all",
        "query rows together, and of each patient, then averaged. Seconds per fit on",
        "the clock of a shared machine, and of CPU, fit and evaluation together.",
        f"Seeds: {', '.join(map(str, seeds))}.",
        "",
        "| model | all rows, 2 / 3 / 5 | per patient, 2 / 3 / 5 | fit s | CPU s |",
        "| --- | --- | --- | --- | --- |",
    ]
    for name, rows in results.groupby("model", sort=False):
        if "error" in rows and rows.error.notna().any():
            lines.append(f"| {name} | {rows.error.dropna().iloc[0]} | | | |")
            continue
        cells = [
            " / ".join(f"{rows[f'{kind} {k}'].mean():.3f}" for k in SHOTS)
            for kind in ("all", "patient")
        ]
        cells += [f"{rows[column].mean():.1f}" for column in ("fit", "cpu")]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[100])
    parser.add_argument("--n-draws", type=int, default=5)
    parser.add_argument("--fast", action="store_true", help="20 meta-updates")
    args = parser.parse_args()
    results = []
    for seed in args.seeds:
        for name, model in models(20 if args.fast else None).items():
            try:
                scores = evaluate(model, seed, args.n_draws)
            except FloatingPointError as error:
                scores = {"error": str(error)}
            results.append({"model": name, **scores})
            print(seed, name, scores, flush=True)
    write_report(
        "pharmacokinetics-fast" if args.fast else "pharmacokinetics",
        f"{N_OLD} patients to learn from, {N_NEW} new ones, 12 samples of each.",
        lines_of(pd.DataFrame(results), args.seeds),
    )


if __name__ == "__main__":
    main()
