"""How long to train where tasks are few: the three ways of `early_stopping`.

    python -m benchmarks.accuracy.early_stopping

`BayesianLinearRegressor(max_iter=600)`. The sets that ship and lines: three folds of
tasks and three draws of rows. Drug curves: 30 patients to learn from and 200 new ones,
three seeds.
"""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from benchmarks.shared.report import write_report
from sklmeta import BayesianLinearRegressor
from sklmeta.datasets import (
    load_patient_outcomes,
    load_store_sales,
    make_linear_tasks,
    make_pharmacokinetics,
)
from sklmeta.model_selection import TaskKFold, few_shot_cross_validate

WAYS: tuple[Any, ...] = (True, False, "folds")
SHOTS = [1, 5]


def model(way: Any, seed: int = 0) -> BayesianLinearRegressor:
    return BayesianLinearRegressor(early_stopping=way, max_iter=600, random_state=seed)


def tables() -> dict[str, tuple[Any, Any, Any]]:
    shops, patients = load_store_sales().frame, load_patient_outcomes().frame
    shops["promo"] = shops["promotion"] != "none"
    return {
        "35 shops": (shops[["price", "promo"]], shops["sales"], shops["store"]),
        "48 patients": (
            *(patients[["age", "dose_mg"]], patients["pain"]),
            patients["patient"],
        ),
        "30 lines": make_linear_tasks(30, random_state=0, n_rows=20),
    }


def explained(way: Any, X: Any, y: Any, task: Any) -> list[float]:
    """Of all the variance within new tasks, by number of labelled rows."""
    cv = TaskKFold(3, shuffle=True, random_state=0)
    draws = few_shot_cross_validate(
        model(way), X, y, task, shots=SHOTS, cv=cv, n_draws=3
    )
    total = draws.groupby("shots")[["sse", "sst"]].sum()
    return [float(share) for share in 1 - total["sse"] / total["sst"]]


def on_drug_curves(way: Any) -> float:
    scores = []
    for seed in range(3):
        X, y, task = make_pharmacokinetics(230, random_state=seed)
        old = task < 30
        est = model(way, seed).fit(X[old], y[old], task=task[old])
        scores.append(est.score(X[~old], y[~old], task=task[~old], shots=SHOTS[-1]))
    return float(np.mean(scores))


def main() -> None:
    warnings.simplefilter("ignore")
    head = ["set", *(f"{way}, {k} row(s)" for way in WAYS for k in SHOTS)]
    lines = [f"| {' | '.join(head)} |", "|" + " --- |" * len(head)]
    for name, given in tables().items():
        found = [share for way in WAYS for share in explained(way, *given)]
        lines.append(f"| {name} | {' | '.join(f'{share:.2f}' for share in found)} |")
    curves = " | ".join(f" | {on_drug_curves(way):.2f}" for way in WAYS)
    lines.append(f"| 30 drug curves | {curves.removeprefix(' ')} |")
    title = "R² on new tasks from one and five labelled rows, by `early_stopping`."
    write_report("early_stopping", title, lines)


if __name__ == "__main__":
    main()
