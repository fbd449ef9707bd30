"""New users from few rows: the WISDM activity data, 4 folds of held-out users.

    SKLMETA_DATA=... python -m benchmarks.accuracy.wisdm
        [--seeds 0 1 2] [--folds 4] [--fast]

Every user is held out once per seed of the folds; k labelled rows in total (one of
each activity of the user first, then at random), the rest is predicted. Estimators have
their default parameters.
"""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
import pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmarks.shared.report import write_report
from sklmeta import PerTask, Pooled, ProtoNetClassifier
from sklmeta.datasets import fetch_wisdm
from sklmeta.model_selection import TaskKFold, few_shot_cross_validate

SHOTS = [5, 10]
PROTONET = "ProtoNetClassifier"
APPEND = "pooled boosting (30 trees) + support rows"


def models(fast: bool) -> dict[str, Any]:
    """Build every model."""
    params = {"max_iter": 20} if fast else {}
    boosting = HistGradientBoostingClassifier(random_state=0)
    few_trees = HistGradientBoostingClassifier(max_iter=30, random_state=0)
    built = {
        PROTONET: ProtoNetClassifier(random_state=0, **params),
        "own logistic": PerTask(LogisticRegression(max_iter=1000)),
        "pooled boosting": Pooled(boosting),
        "pooled boosting + offset": Pooled(boosting, support="offset"),
        "centred pooled boosting": Pooled(boosting, center=True),
        APPEND: Pooled(few_trees, support="append", task_category=True),
    }
    return {
        name: make_pipeline(SimpleImputer(), StandardScaler(), model)
        for name, model in built.items()
    }


def lines_of(results: pd.DataFrame) -> list[str]:
    """Markdown: accuracy, averaged over users, draws and seeds."""
    lines = [
        "Accuracy of each user, averaged over users, draws and seeds of the folds (in",
        "brackets the range over the seeds); ± is the 95 % interval over users.",
        "Seconds are those of one `fit` on the clock of a shared machine.",
        "",
        "| model | k=5 | k=10 | seeds | draws | `fit` s |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for name, rows in results.groupby("model", sort=False):
        cells = [cell(rows[rows.shots == k]) for k in SHOTS]
        cells.append(", ".join(map(str, rows.seed.unique())))
        cells.append(str(rows.draw.nunique()))
        cells.append(f"{rows.groupby(['seed', 'fold']).fit_time.first().mean():.1f}")
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return lines


def cell(rows: pd.DataFrame) -> str:
    users = rows.groupby("task").score.mean()
    seeds = rows.groupby("seed").score.mean()
    text = f"{users.mean():.3f} ± {1.96 * users.std() / np.sqrt(len(users)):.3f}"
    return text if len(seeds) == 1 else f"{text} [{seeds.min():.3f}, {seeds.max():.3f}]"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--folds", type=int, default=4)
    parser.add_argument("--n-draws", type=int, default=5)
    parser.add_argument("--fast", action="store_true", help="20 meta-updates, one seed")
    args = parser.parse_args()
    X, y, user = fetch_wisdm(return_X_y_task=True)
    tables = []
    for name, model in models(args.fast).items():
        # A refit per draw: one dealing and one draw of it are enough.
        once = name == APPEND or args.fast
        for seed in args.seeds[:1] if once else args.seeds:
            cv = TaskKFold(args.folds, shuffle=True, random_state=seed)
            n_draws = 1 if once else args.n_draws
            how = {"cv": cv, "n_draws": n_draws, "support": "stratified"}
            table = few_shot_cross_validate(model, X, y, user, shots=SHOTS, **how)
            tables.append(table.assign(model=name, seed=seed))
            print(name, seed, table.groupby("shots").score.mean().round(4).to_dict())
    write_report(
        "wisdm-fast" if args.fast else "wisdm",
        f"WISDM, 36 users, {args.folds} folds of held-out users, six activities.",
        lines_of(pd.concat(tables)),
    )


if __name__ == "__main__":
    main()
