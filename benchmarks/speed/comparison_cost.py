"""How long does a comparison take? Six estimators on 1,000 tasks of 50 rows.

    python -m benchmarks.speed.comparison_cost [--tasks 1000] [--jobs 2]

Everything at its defaults: five folds of tasks, three draws of the support, none to
twenty labelled rows.
"""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import argparse
import time

from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import Ridge

from benchmarks.shared.report import table, write_report
from sklmeta import (
    BayesianLinearRegressor,
    FineTuneRegressor,
    PerTask,
    Pooled,
    RidgeHeadRegressor,
)
from sklmeta.comparing import compare
from sklmeta.datasets import make_linear_tasks


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=int, default=1000)
    parser.add_argument("--jobs", type=int, default=2)
    arguments = parser.parse_args()
    X, y, task = make_linear_tasks(arguments.tasks, n_rows=50, random_state=0)
    models = {
        "Bayesian linear": BayesianLinearRegressor(random_state=0),
        "mixed model": BayesianLinearRegressor(hidden_layer_sizes=(), random_state=0),
        "ridge head": RidgeHeadRegressor(random_state=0),
        "fine-tuned": FineTuneRegressor(random_state=0),
        "own ridge": PerTask(Ridge()),
        "pooled boosting": Pooled(HistGradientBoostingRegressor(random_state=0)),
    }
    start = time.perf_counter()
    result = compare(models, X, y, task, n_jobs=arguments.jobs, random_state=0)
    seconds = time.perf_counter() - start
    draws = result.draws.groupby("estimator", sort=False)
    fits = draws.fit_time.mean()
    rows = [
        [name, f"{fits[name]:.1f}", f"{1e3 * draws.adapt_time.mean()[name]:.2f}"]
        for name in result.names
    ]
    write_report(
        "comparison_cost",
        f"{len(models)} estimators on {arguments.tasks:,} tasks of 50 rows.",
        [
            f"**{seconds / 60:.1f} minutes** with `n_jobs={arguments.jobs}`: five",
            f"folds, three draws, {result.shots} labelled rows.",
            "",
            *table(["estimator", "`fit` s, per fold", "`adapt` ms per task"], rows),
        ],
        command="python -m benchmarks.speed.comparison_cost",
    )


if __name__ == "__main__":
    main()
