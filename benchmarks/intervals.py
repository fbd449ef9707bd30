"""Do 90 % intervals cover 90 % on new tasks, and how wide are they?

    SKLMETA_DATA=... python benchmarks/intervals.py [--sets parkinsons drugs] [--fast]

Tasks are split three ways: to fit, to calibrate, and to judge. Parkinson's has 42
patients, so every patient is judged once, in one of eight folds; half of the others are
there to fit and half, 18, to calibrate.
"""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import argparse
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from report import table, write_report
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklmeta import BayesianLinearRegressor, DeepKernelRegressor, PerTask
from sklmeta.calibration import few_shot_intervals
from sklmeta.datasets import fetch_parkinsons, make_pharmacokinetics, make_sinusoids
from sklmeta.model_selection import TaskKFold, TaskShuffleSplit

COVERAGE = 0.9
N_BOOTSTRAP = 4000


class Case(NamedTuple):
    title: str
    data: tuple[Any, ...]
    shots: list[int]
    n_splits: int


def cases(names: list[str], fast: bool) -> dict[str, Case]:
    built = {}
    if "parkinsons" in names:
        data = fetch_parkinsons(return_X_y_task=True)
        splits = 2 if fast else 8
        built["parkinsons"] = Case(
            "Parkinson's, 42 patients", data, [5, 10, 20], splits
        )
    if "drugs" in names:
        data = make_pharmacokinetics(600, random_state=0)
        built["drugs"] = Case("drug curves, 600 patients", data, [2, 3, 5], 1)
    if "sinusoids" in names:
        data = make_sinusoids(600, n_rows=40, random_state=0)
        built["sinusoids"] = Case("sinusoids, 600 tasks", data, [5, 10], 1)
    return built


def models(max_iter: int | None) -> dict[str, Any]:
    params = {} if max_iter is None else {"max_iter": max_iter}
    return {
        "Bayesian linear": BayesianLinearRegressor(random_state=0, **params),
        "deep kernel": DeepKernelRegressor(random_state=0, **params),
        "own ridge": PerTask(make_pipeline(StandardScaler(), Ridge())),
    }


def judge(model: Any, case: Case, seed: int) -> pd.DataFrame:
    """Fit, calibrate and judge on tasks of their own, once per split."""
    X, y, task = case.data
    parts = []
    if case.n_splits == 1:
        cv: Any = TaskShuffleSplit(1, test_size=0.25, random_state=seed)
    else:
        cv = TaskKFold(case.n_splits, shuffle=True, random_state=seed)
    for split, (rest, new) in enumerate(cv.split(X, y, groups=task)):
        share = 1 / 3 if case.n_splits == 1 else 1 / 2
        inner = TaskShuffleSplit(1, test_size=share, random_state=seed + split)
        (old, held), *_ = inner.split(X[rest], y[rest], groups=task[rest])
        old, held = rest[old], rest[held]
        model.fit(X[old], y[old], task=task[old])
        model.calibrate(X[held], y[held], task[held], shots=case.shots)
        judged = few_shot_intervals(
            model,
            *(X[new], y[new], task[new]),
            shots=case.shots,
            coverage=COVERAGE,
            n_draws=5,
        )
        parts.append(judged.assign(split=split))
    return pd.concat(parts, ignore_index=True)


def interval(values: NDArray[Any]) -> tuple[float, float]:
    """95 % interval of the mean over tasks, by a bootstrap over tasks."""
    rng = np.random.default_rng(0)
    means = rng.choice(values, (N_BOOTSTRAP, len(values))).mean(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)


def rows_of(name: str, case: Case, judged: pd.DataFrame) -> list[list[str]]:
    y = np.asarray(case.data[1], dtype=float)
    rows = []
    for k in case.shots:
        part = judged[judged.shots == k]
        by_task = part.groupby("task")[["covered", "width", "winkler"]].mean()
        low, high = interval(by_task.covered.to_numpy())
        inside = "yes" if low <= COVERAGE <= high else "no"
        cells = [f"{by_task.covered.mean():.3f}", f"{low:.3f} to {high:.3f}", inside]
        width = f"{by_task.width.mean() / y.std():.3f}"
        score = f"{by_task.winkler.mean() / y.std():.3f}"
        rows.append([name, str(k), *cells, width, score, str(len(by_task))])
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    known = ["parkinsons", "drugs", "sinusoids"]
    parser.add_argument("--sets", nargs="+", choices=known, default=known)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--fast", action="store_true", help="20 updates, nothing kept")
    arguments = parser.parse_args()
    lines = [
        f"Intervals of coverage {COVERAGE:g}; width and Winkler's score in units of",
        "the standard deviation of y; means over tasks and five draws of support.",
        "The interval of the coverage is over tasks (bootstrap).",
        "",
    ]
    header = ["model", "rows", "coverage", "95 % interval", "holds .90"]
    for case in cases(arguments.sets, arguments.fast).values():
        rows = []
        for name, model in models(20 if arguments.fast else None).items():
            rows += rows_of(name, case, judge(model, case, arguments.seed))
            print(case.title, *rows[-len(case.shots) :], sep="\n", flush=True)
        titles = [*header, "width", "Winkler", "tasks"]
        lines += [f"## {case.title}", "", *table(titles, rows), ""]
    lines += [f"Seed {arguments.seed}."]
    if not arguments.fast:
        write_report(
            "intervals",
            "Hierarchical split-conformal intervals on new tasks.",
            lines,
            command="python benchmarks/intervals.py",
        )


if __name__ == "__main__":
    main()
